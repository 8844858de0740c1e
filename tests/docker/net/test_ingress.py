"""HTTP by ingress on a node: hosts, paths, certificates, and what a bad object or a taken port does."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent import teardown
from agent.proxies import NodeNetworkSettings
from tests.docker.net.cluster import (
    VIP,
    a_state,
    an_ingress,
    brought,
    http,
    https,
    running,
)


def test_an_ingress_is_served_by_host_and_path(node: NodeNetworkSettings, pods: tuple[Any, Any]) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            assert (network.problems, network.ingress_problem) == ({}, "")

    asyncio.run(scenario())

    assert http() == "a"
    assert http("other.example") == "no ingress rule for this host and path"
    assert pods[1].get(f"http://{VIP}/") == "a"


def test_every_spelling_of_a_host_is_one_host(node: NodeNetworkSettings, pods: tuple[Any, Any]) -> None:
    """K14: else a rule for all hosts, of another namespace perhaps, would get what is meant for this one."""

    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))

    asyncio.run(scenario())

    assert [
        http(host) for host in ("SHOP.Example", "shop.example.", "Shop.example.:80", "shop.example:443")
    ] == ["a"] * 4
    assert http("shop.example.evil") == "no ingress rule for this host and path"


def test_endpoints_change_without_a_reload(node: NodeNetworkSettings, pods: tuple[Any, Any]) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            config = (node.network.state_dir / "ingress" / "haproxy.cfg").read_text()
            await brought(network, a_state("10.77.3.3"))
            assert {http() for _ in range(4)} == {"b"}
            after = (node.network.state_dir / "ingress" / "haproxy.cfg").read_text()
            assert config.splitlines()[2] == after.splitlines()[2]  # The description: the same structure.
            await brought(network, a_state("10.77.3.2", "10.77.3.3"))
            assert {http() for _ in range(4)} == {"a", "b"}
            await brought(network, a_state())
            assert (network.problems, network.ingress_problem) == ({}, "")
            assert "503" in http()

    asyncio.run(scenario())


def test_a_bad_ingress_hurts_no_other(node: NodeNetworkSettings, pods: tuple[Any, Any]) -> None:
    bad = (
        an_ingress("host", host="a b\n    bind :1"),
        an_ingress("path", host="x.example", path='/";#'),
        an_ingress("taken"),
    )

    async def scenario() -> None:
        async with running(node) as network:
            await brought(
                network, a_state("10.77.3.2", ingresses=(*bad, an_ingress("zweit", host="y.example")))
            )
            assert (network.problems, network.ingress_problem) == ({}, "")
            assert [trouble.ingress[1] for trouble in network.troubles] == ["host", "path"]

    asyncio.run(scenario())

    assert http("shop.example") == "a"
    assert http("y.example") == "a"


def test_tls_by_a_secret_and_a_changed_certificate(
    node: NodeNetworkSettings, pods: tuple[Any, Any], tls_secret: Callable[..., Any]
) -> None:
    entry = {"hosts": ["shop.example"], "secretName": "cert"}
    secure = an_ingress(tls=[entry, {"hosts": ["bad.example"], "secretName": "bad"}])

    async def scenario() -> None:
        async with running(node) as network:
            secrets = (tls_secret("cert", "first"), tls_secret("bad", "bad", bits=1024))
            await brought(network, a_state("10.77.3.2", ingresses=(secure,), secrets=secrets))
            assert (network.problems, network.ingress_problem) == ({}, "")
            assert [trouble.message for trouble in network.troubles] == [
                "spec.tls: Secret shop/bad: HAProxy does not take this certificate or key"
            ]
            assert https("shop.example") == "a CN=first"
            assert https("other.example").endswith("CN=Gitward default certificate")
            await brought(
                network, a_state("10.77.3.2", ingresses=(secure,), secrets=(tls_secret("cert", "second"),))
            )
            assert https("shop.example") == "a CN=second"

    asyncio.run(scenario())

    folder = node.network.state_dir / "ingress" / "certificates"
    assert os.path.ismount(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_taken_port_stops_the_ingress_only_and_it_comes_when_the_port_is_free(
    node: NodeNetworkSettings, pods: tuple[Any, Any]
) -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 8880))
            taken.listen()
            async with running(node) as network:
                await network.sync(a_state("10.77.3.2"))
                async with asyncio.timeout(20):
                    while not network.ingress_problem:
                        await asyncio.sleep(0.02)
                assert "127.0.0.1:8880 is in use by another program" in network.ingress_problem
                assert network.problems == {}
                assert pods[1].get(f"http://{VIP}/") == "a"
                taken.close()
                async with asyncio.timeout(20):
                    await network.settled()
                assert (http(), network.ingress_problem) == ("a", "")

    asyncio.run(scenario())


def test_an_ingress_that_listens_nowhere_runs_no_proxy_and_takes_an_earlier_one_away(
    node: NodeNetworkSettings, pods: tuple[Any, Any]
) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            assert network.serves_ingress is None  # Not known yet.
            await brought(network, a_state("10.77.3.2"))
            assert http() == "a"
            assert network.serves_ingress
        nowhere = replace(node, ingress_http="", ingress_https="")
        async with running(nowhere) as network:
            await brought(network, a_state("10.77.3.2"))
            assert (http(), network.serves_ingress, network.ingress_problem) == ("", False, "")
            assert [name for _, name in teardown._processes_of(node.run_dir)] == ["dns"]
            assert await network.is_out("10.77.9.9")
        async with running(replace(node, ingress_https="")) as network:
            await brought(network, a_state("10.77.3.2"))
            assert (http(), https("shop.example"), network.serves_ingress) == ("a", "", True)

    asyncio.run(scenario())
