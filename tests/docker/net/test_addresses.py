"""A pod's address that another pod has by now: nothing that was meant for the first gets to the second."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from agent.proxies import ClusterState, NodeNetworkSettings
from gitops.kinds.errors import Unavailable
from tests.docker.net.cluster import VIP, a_service, a_slice, a_state, brought, http, running
from tests.docker.net.traffic import from_node

ADDRESS = "10.77.3.2"
KEEP_SENDING = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], 80))
end = time.monotonic() + 20
try:
    while time.monotonic() < end:
        connection.send(b"x")
        time.sleep(0.02)
except OSError:
    sys.exit(3)
"""


def a_slice_of(address: str, uid: str) -> Any:
    found = a_slice(address)
    found["endpoints"][0]["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": "web", "uid": uid}
    return found


def test_no_packet_for_a_pod_that_is_gone_reaches_the_one_that_got_its_address(
    node: NodeNetworkSettings, new_host: Any, serve: Any, start: Any, wait: Any
) -> None:
    """The cluster's endpoints are behind all the time, as with a master that is away."""
    first, other, second = new_host(ADDRESS), new_host("10.77.3.3"), new_host(ADDRESS)
    behind = replace(a_state(), slices=(a_slice_of(ADDRESS, "uid-first"),))

    async def scenario() -> tuple[list[str], int, list[str]]:
        async with running(node) as network:
            await network.attach(first.pid, ADDRESS, "uid-first")
            await network.attach(other.pid, other.address, "uid-other")
            await asyncio.to_thread(serve, first, 8080, "first")
            await brought(network, behind)
            assert await asyncio.to_thread(other.get, f"http://{VIP}/") == "first"
            sending = ("nsenter", "-n", "-t", str(other.pid), sys.executable, "-c", KEEP_SENDING, VIP)
            caller = start(*sending)
            while await network.is_out(ADDRESS) is True or await network._services.open_flows(ADDRESS) == 0:
                await asyncio.sleep(0.05)

            await network.detach("uid-first")
            second.run("iptables", "-A", "INPUT", "!", "-i", "lo", "-j", "ACCEPT")
            await network.attach(second.pid, ADDRESS, "uid-second")
            await asyncio.to_thread(serve, second, 8080, "second")
            assert await asyncio.to_thread(caller.wait, 20) == 3
            told = [await asyncio.to_thread(ask, f"http://{VIP}/") for ask in (other.get, from_node)]
            told.append(await asyncio.to_thread(http))
            listed = second.run("iptables", "-nvxL", "INPUT")
            packets = int(listed.splitlines()[2].split()[0])

            await brought(network, replace(behind, slices=(a_slice_of(ADDRESS, "uid-second"),)))
            return told, packets, [await asyncio.to_thread(other.get, f"http://{VIP}/")]

    told, packets, after = asyncio.run(scenario())

    assert "second" not in "".join(told)
    assert packets == 0
    assert after == ["second"]


def test_the_flows_of_a_pod_whose_link_went_with_it_are_forgotten(
    node: NodeNetworkSettings, new_host: Any
) -> None:
    """A sandbox that ends takes its link along, mostly before anybody asks for its address."""
    pod = new_host(ADDRESS)
    ways = ("--src", "192.0.2.7", "--dst", "192.0.2.1", "--reply-src", ADDRESS, "--reply-dst", "192.0.2.7")
    ports = ("--sport", "4000", "--dport", "30053", "--reply-port-src", "53", "--reply-port-dst", "4000")
    flow = ("conntrack", "-I", "-p", "udp", *ways, *ports, "--timeout", "300", "-u", "ASSURED")

    async def scenario() -> str:
        async with running(node) as network:
            await network.attach(pod.pid, ADDRESS, "uid-first")
            os.kill(pod.pid, signal.SIGKILL)
            while await network.attached():
                await asyncio.sleep(0.02)
            subprocess.run(flow, check=True, capture_output=True)

            await network.detach("uid-first")
            listed = subprocess.run(
                ("conntrack", "-L", "-p", "udp", "--reply-src", ADDRESS), check=True, capture_output=True
            )
            return listed.stdout.decode()

    assert asyncio.run(scenario()) == ""


def test_a_process_in_the_nodes_own_network_is_never_wired(node: NodeNetworkSettings) -> None:
    """The pid of a sandbox that has ended may be anybody's: the node would lose its own way out."""

    async def scenario() -> dict[str, str]:
        async with running(node) as network:
            with pytest.raises(Unavailable, match="in the node's own network"):
                await network.attach(os.getpid(), ADDRESS, "uid-first")
            return await network.attached()

    assert asyncio.run(scenario()) == {}


@pytest.mark.parametrize(("endpoints", "status"), [("10.77.3.2", "200 OK"), ("10.77.4.2", "503")])
def test_a_balancer_is_told_whether_this_node_has_endpoints(
    node: NodeNetworkSettings, endpoints: str, status: str
) -> None:
    service = a_service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31_000)
    here = a_slice(endpoints)
    here["endpoints"][0]["nodeName"] = "n1" if endpoints == "10.77.3.2" else "n2"

    async def scenario() -> str:
        async with running(node) as network:
            await brought(network, ClusterState((service,), (here,)))
            ask = ("curl", "-s", "-i", "-m", "3", "http://127.0.0.1:31000/healthz")
            done = await asyncio.to_thread(subprocess.run, ask, capture_output=True, text=True)
            return done.stdout

    told = asyncio.run(scenario())

    assert f"HTTP/1.1 {status}" in told
    assert ('"localEndpoints":1' in told) == (status == "200 OK")
