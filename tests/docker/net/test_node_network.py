"""All of a node's network behind its one door: HTTP by ingress, a roll without loss, the agent's end, and `down`."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from agent import teardown
from agent.network import NetworkSettings
from agent.proxies import ClusterState, NodeNetwork, NodeNetworkSettings
from tests.docker.snapshot import snapshot
from gitops.kinds.errors import Invalid

HTTP, HTTPS = "127.0.0.1:8880", "127.0.0.1:8443"
VIP = "10.78.0.20"


def a_service(**spec: object) -> Any:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 8080}]
    base = {"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": VIP, "ports": ports}
    meta = {"namespace": "shop", "name": "web"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {**base, **spec}}


def a_slice(*addresses: str) -> Any:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
    }


def an_ingress(name: str = "web", host: str = "shop.example", path: str = "/", **spec: object) -> Any:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"rules": [rule], **spec},
    }


def a_state(
    *addresses: str, ingresses: tuple[Any, ...] | None = None, secrets: tuple[Any, ...] = ()
) -> ClusterState:
    wanted = (an_ingress(),) if ingresses is None else ingresses
    return ClusterState((a_service(),), (a_slice(*addresses),), wanted, secrets)


def http(host: str = "shop.example", path: str = "/", *more: str) -> str:
    command = ("curl", "-s", "-m", "3", "-H", f"Host: {host}", f"http://{HTTP}{path}", *more)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def https(host: str) -> str:
    resolve = f"{host}:8443:127.0.0.1"
    command = ("curl", "-s", "-k", "-v", "-m", "3", "--resolve", resolve, f"https://{host}:8443/")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    subject = next((line for line in done.stderr.splitlines() if "subject:" in line), "")
    return f"{done.stdout.strip()} {subject.partition('subject: ')[2]}".strip()


@pytest.fixture
def node(settings: NetworkSettings, tmp_path: Path) -> Iterator[NodeNetworkSettings]:
    run_dir = Path(f"/run/gitward-test-{os.getpid()}")
    yield NodeNetworkSettings(settings, run_dir, HTTP, HTTPS)
    teardown.remove(cluster="c1", network_state_dir=settings.state_dir, run_dir=run_dir, data_dir=tmp_path)


@asynccontextmanager
async def running(settings: NodeNetworkSettings) -> AsyncIterator[NodeNetwork]:
    network = NodeNetwork(settings)
    await network.setup()
    try:
        yield network
    finally:
        await network.close()


async def brought(network: NodeNetwork, state: ClusterState) -> None:
    await network.sync(state)
    async with asyncio.timeout(20):
        await network.settled()


@pytest.fixture
def pods(new_host: Callable[[str], Any], serve: Any, node: NodeNetworkSettings) -> tuple[Any, Any]:
    """Two wired pods that answer with their names."""
    a, b = new_host("10.77.3.2"), new_host("10.77.3.3")

    async def wire() -> None:
        async with running(node) as network:
            for uid, pod in (("uid-a", a), ("uid-b", b)):
                await network.attach(pod.pid, pod.address, uid)

    asyncio.run(wire())
    serve(a, 8080, "a")
    serve(b, 8080, "b")
    return a, b


def test_an_ingress_is_served_by_host_and_path(node: NodeNetworkSettings, pods: tuple[Any, Any]) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            assert (network.problems, network.ingress_problem) == ({}, "")

    asyncio.run(scenario())

    assert http() == "a"
    assert http("other.example") == "no ingress rule for this host and path"
    assert pods[1].get(f"http://{VIP}/") == "a"


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
                assert "cannot bind" in network.ingress_problem.lower()
                assert network.problems == {}
                assert pods[1].get(f"http://{VIP}/") == "a"
                taken.close()
                async with asyncio.timeout(20):
                    await network.settled()
                assert (http(), network.ingress_problem) == ("a", "")

    asyncio.run(scenario())


class Load:
    """Constant requests in threads: kept-alive and fresh connections to the ingress, fresh ones to the service."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self._stop = threading.Event()
        ways = ((HTTP, 25), (HTTP, 1), (f"{VIP}:80", 1), (f"{VIP}:80", 1))
        self._threads = [threading.Thread(target=self._ask, args=way) for way in ways]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, where: str, requests_per_connection: int) -> None:
        while not self._stop.is_set():
            connection = HTTPConnection(where, timeout=5)
            try:
                for _ in range(requests_per_connection):
                    connection.request("GET", "/", headers={"Host": "shop.example"})
                    answer = connection.getresponse()
                    answer.read()
                    self.answers[f"{answer.status}"] += 1
                    time.sleep(0.002)
            except OSError as error:
                self.answers[f"{where}: {error}"] += 1
            except HTTPException as error:
                self.answers[f"{where}: {error!r}"] += 1
            finally:
                connection.close()


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
            with Load() as load:
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
            async with asyncio.timeout(3):  # A second on a machine of its own.
                while await asyncio.to_thread(http) != "a" or len(teardown_pids(node)) < len(before):
                    await asyncio.sleep(0.02)

    before = asyncio.run(first())
    assert http() == "a"
    assert pods[1].get(f"http://{VIP}/") == "a"

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
