"""Ports that somebody else has: the node says so and what to do, does the rest, and takes them when they are free."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from agent.proxies import NodeNetwork, NodeNetworkSettings
from gitops.kinds.errors import Unavailable
from tests.docker.net.cluster import HTTP, VIP, a_state, brought, http, running


@contextlib.contextmanager
def held(kind: socket.SocketKind, address: str, port: int, *, shared: bool = False) -> Iterator[None]:
    """By a program of root's. `shared`: one that would share it, as HAProxy and nginx do with their successors."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        taken.bind((address, port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        yield


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_resolver_on_all_addresses_is_told_of_in_a_line_and_its_port_is_taken_later(
    node: NodeNetworkSettings, pods: tuple[Any, Any], kind: socket.SocketKind
) -> None:
    async def scenario() -> None:
        network = NodeNetwork(node)
        await network._dns.helper.stop()  # An earlier agent's would have kept the port.
        with held(kind, "0.0.0.0", 53):  # As dnsmasq and unbound by default.
            for _ in range(2):
                with pytest.raises(Unavailable) as told:
                    await network.setup()
                assert str(told.value) == (
                    "dns does not start: 10.78.0.10:53 is in use by another program (`gitward doctor` says which): let "
                    "it listen on its own addresses alone (dnsmasq: bind-interfaces), or choose another --service-cidr"
                )
        async with running(node) as again:
            await brought(again, a_state("10.77.3.2", ingresses=()))
            assert VIP in pods[1].run("busybox", "nslookup", "web.shop.svc.cluster.local", "10.78.0.10")

    asyncio.run(scenario())


@pytest.mark.parametrize("shared", [False, True])
def test_a_web_server_on_the_ingress_port_loses_no_connection_to_us(
    node: NodeNetworkSettings, pods: tuple[Any, Any], shared: bool
) -> None:
    async def scenario() -> None:
        address, _, port = HTTP.rpartition(":")
        async with running(node) as network:
            with held(socket.SOCK_STREAM, address, int(port), shared=shared):
                await network.sync(a_state("10.77.3.2"))
                async with asyncio.timeout(20):
                    while not network.ingress_problem:
                        await asyncio.sleep(0.1)
                assert network.ingress_problem == (
                    f"{HTTP} is in use by another program (`gitward doctor` says which): stop it, or choose another "
                    "address by --ingress-http ADDRESS:PORT, or nowhere: --ingress-http ''"
                )
                assert network.problems == {}  # Pods, services and DNS work.
                assert network.serves_ingress is False
                assert pods[1].get(f"http://{VIP}/") == "a"
            async with asyncio.timeout(20):
                await network.settled()
            assert await asyncio.to_thread(http) == "a"
            assert network.ingress_problem == ""

    asyncio.run(scenario())
