"""All of a node's network behind its one door: a roll without loss, the agent's end, and `down`."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import teardown
from agent.network import NetworkSettings
from agent.proxies import NodeNetwork, NodeNetworkSettings
from agent.services.table import Backend, HostPort
from gitops.kinds.errors import Invalid
from tests.docker.net.cluster import (
    HTTP,
    HTTPS,
    VIP,
    a_state,
    an_ingress,
    brought,
    http,
    running,
)
from tests.docker.net.load import Load
from tests.docker.snapshot import snapshot


def test_no_request_is_lost_while_pods_are_killed_and_the_structure_changes(
    node: NodeNetworkSettings, new_host: Any, start: Any, wait: Any, tmp_path: Path
) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("hello")
    hosts = (new_host("10.77.3.2"), new_host("10.77.3.3"))

    def serve_python(host: Any) -> Any:
        # HTTP/1.1: the proxy keeps idle connections to it, as it would to a real server.
        server = (sys.executable, "-m", "http.server", "-p", "HTTP/1.1", "-d", str(tmp_path / "www"), "8080")
        process = start("nsenter", "-n", "-t", str(host.pid), *server)
        wait(lambda: ":1F90 00000000:0000 0A" in Path(f"/proc/{host.pid}/net/tcp").read_text())
        return process

    async def scenario() -> Counter[str]:
        async with running(node) as network:
            for number, host in enumerate(hosts):
                await network.attach(host.pid, host.address, f"uid-{number}")
            servers = [await asyncio.to_thread(serve_python, host) for host in hosts]
            both = ("10.77.3.2", "10.77.3.3")
            await brought(network, a_state(*both))
            with Load((HTTP, 25), (HTTP, 1), (f"{VIP}:80", 1), (f"{VIP}:80", 1)) as load:
                for round_ in range(8):
                    more = tuple(
                        an_ingress(f"more-{each}", host=f"m{each}.example") for each in range(round_)
                    )
                    ingresses = (an_ingress(), *more)
                    gone = round_ % 2
                    await asyncio.sleep(0.1)
                    await brought(network, a_state(both[1 - gone], ingresses=ingresses))
                    await network.without(both[gone])
                    servers[gone].kill()
                    servers[gone].wait()
                    servers[gone] = await asyncio.to_thread(serve_python, hosts[gone])
                    await brought(network, a_state(*both, ingresses=ingresses))
            return load.answers

    answers = asyncio.run(scenario())

    assert answers["200"] > 500
    assert set(answers) == {"200"}, answers


def test_without_waits_for_the_table_and_for_open_flows(
    node: NodeNetworkSettings, pods: tuple[Any, Any], start: Any, wait: Any
) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2", "10.77.3.3"))
            await network.without("10.77.3.2", timeout_seconds=0.2)
            assert not await network.is_out("10.77.3.2")
            asyncio.get_running_loop().call_later(
                0.2, lambda: tasks.append(asyncio.ensure_future(brought(network, a_state("10.77.3.3"))))
            )
            await network.without("10.77.3.2")
            assert await network.is_out("10.77.3.2")
            assert await network.is_out("10.77.9.9")
            inside = ("nsenter", "-n", "-t", str(pods[1].pid))
            caller = start(*inside, "sh", "-c", "sleep 30 | busybox nc 10.77.3.2 8080")
            await asyncio.to_thread(
                wait, lambda: "10.77.3.2:8080" in pods[1].run("busybox", "netstat", "-tn")
            )
            await network.without("10.77.3.2", timeout_seconds=0.5)
            assert not await network.is_out("10.77.3.2")
            subprocess.run(("pkill", "-P", str(caller.pid)), check=False)
            await network.without("10.77.3.2")
            assert await network.is_out("10.77.3.2")

    tasks: list[Any] = []
    asyncio.run(scenario())


def test_the_agents_end_and_start_interrupt_nothing_and_killed_helpers_come_back(
    node: NodeNetworkSettings, pods: tuple[Any, Any]
) -> None:
    async def first() -> list[int]:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
        return teardown_pids(node)

    async def second() -> None:
        async with running(node) as network:
            assert teardown_pids(node) == before
            assert http() == "a"
            assert pods[1].get(f"http://{VIP}/") == "a"
            await brought(network, a_state("10.77.3.2"))
            assert teardown_pids(node) == before
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(15):  # A second on a machine of its own.
                while await asyncio.to_thread(http) != "a" or len(teardown_pids(node)) < len(before):
                    await asyncio.sleep(0.02)

    before = asyncio.run(first())
    assert http() == "a"
    assert pods[1].get(f"http://{VIP}/") == "a"

    asyncio.run(second())


def test_a_port_of_the_node_stays_open_while_the_agent_starts_anew(
    node: NodeNetworkSettings, pods: tuple[Any, Any]
) -> None:
    """`pods[0]` serves on 8080, and DNS's own address is no address of the node to publish on."""
    port = HostPort("tcp", "", 8088, Backend("10.77.3.2", 8080))
    url = "http://10.77.3.1:8088/"

    async def first() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            await network.publish("uid-a", (port,))
            assert await asyncio.to_thread(pods[1].get, url) == "a"

    async def second() -> None:
        network = NodeNetwork(node, waits_for_pods=True)
        await network.setup()
        try:
            await network.sync(a_state("10.77.3.2", ingresses=()))
            await asyncio.sleep(1)
            assert await asyncio.to_thread(pods[1].get, url) == "a"
            await network.publish("uid-a", (port,))
            network.adopted()
            async with asyncio.timeout(20):
                await network.settled()
            assert await asyncio.to_thread(pods[1].get, url) == "a"
            await network.detach("uid-a")
            async with asyncio.timeout(20):
                await network.settled()
            assert await asyncio.to_thread(pods[1].get, url) == ""
        finally:
            await network.close()

    asyncio.run(first())
    assert pods[1].get(url) == "a"
    asyncio.run(second())


def teardown_pids(node: NodeNetworkSettings) -> list[int]:
    return sorted(pid for pid, _ in teardown._processes_of(node.run_dir))


def test_down_leaves_the_host_as_it_was(
    settings: NetworkSettings, tmp_path: Path, new_host: Callable[[str], Any]
) -> None:
    run_dir = Path(f"/run/gitward-test-{os.getpid()}")
    subprocess.run(
        ("iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "ACCEPT"), check=True
    )
    before = snapshot()
    pod = new_host("10.77.3.2")

    async def live() -> None:
        async with running(NodeNetworkSettings(settings, run_dir, HTTP, HTTPS)) as network:
            await network.attach(pod.pid, pod.address, "uid-a")
            await brought(network, a_state("10.77.3.2"))

    asyncio.run(live())
    assert snapshot() != before

    done = teardown.remove(
        cluster="c1", network_state_dir=settings.state_dir, run_dir=run_dir, data_dir=tmp_path
    )

    assert snapshot() == before
    assert any("gw0" in line for line in done)
    assert (
        teardown.remove(
            cluster="c1", network_state_dir=settings.state_dir, run_dir=run_dir, data_dir=tmp_path
        )
        == []
    )


def test_another_cluster_is_refused_and_its_down_touches_nothing(
    settings: NetworkSettings, node: NodeNetworkSettings, tmp_path: Path
) -> None:
    other = NetworkSettings("c2", "n1", "10.81.0.0/24", "10.81.0.0/16", "10.82.0.0/16", tmp_path / "other")

    async def live() -> None:
        async with running(node):
            with pytest.raises(Invalid, match="belongs to 'gitward:c1:n1'"):
                await NodeNetwork(NodeNetworkSettings(other, tmp_path / "run", HTTP, HTTPS)).setup()

    asyncio.run(live())
    before = snapshot()

    teardown.remove(
        cluster="c2",
        network_state_dir=other.state_dir,
        run_dir=tmp_path / "run",
        data_dir=tmp_path / "nothing",
    )

    assert snapshot() == before


def test_a_range_that_the_host_uses_is_refused(node: NodeNetworkSettings, outside: Any) -> None:
    subprocess.run(("ip", "route", "add", "10.78.4.0/24", "via", "192.168.50.2"), check=True)

    with pytest.raises(Invalid, match=r"--service-cidr 10\.78\.0\.0/16 overlaps with route 10\.78\.4\.0/24"):
        asyncio.run(NodeNetwork(node).setup())


def test_a_port_that_is_taken_ends_no_agent_and_is_taken_over_when_it_is_free(
    node: NodeNetworkSettings, new_host: Any
) -> None:
    """The port of the way to the API: nobody but pods needs it, and it may be free a moment later."""
    wanted = replace(node, api_url="https://127.0.0.1:1")
    pod = new_host("10.77.3.2")

    async def scenario() -> tuple[str, bool]:
        taken = socket.socket()
        taken.bind(("0.0.0.0", 6444))  # As a program that minds no one.
        taken.listen()
        async with running(wanted) as network:
            await network.attach(pod.pid, pod.address, "uid-first")
            told = network.problems.get("way to the API", "")
            taken.close()
            while network.problems:
                await asyncio.sleep(0.1)
            with socket.create_connection((wanted.network.gateway, 6444), timeout=5):
                return told, True

    told, is_open = asyncio.run(asyncio.wait_for(scenario(), 60))

    assert told.startswith("pods cannot reach the API: 10.77.3.1:6444: ")
    assert is_open
