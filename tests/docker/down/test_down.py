"""`gitward down` on a host that has something of ours: all of it goes, and nothing of anybody else."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import teardown
from agent.network import Network, NetworkSettings
from agent.network.links import attached
from agent.runtime.docker import DockerRuntime
from agent.runtime.protocol import SandboxSpec
from agent.settings import NodeSettings, write_config
from gitops.cli.down import run_down
from gitops.client import Credentials
from gitops.kinds.errors import Conflict, Unavailable
from gitops.kinds.sensitive import Sensitive


class Node:
    """What a killed `up` leaves on a host: a data directory, containers, a network."""

    def __init__(self, data_dir: Path, docker_host: str) -> None:
        self.data_dir, self.docker_host = data_dir, docker_host
        (data_dir / "pki").mkdir(parents=True)
        ca = f"the CA of {data_dir}".encode()
        (data_dir / "pki/ca.crt").write_bytes(ca)
        self.cluster = hashlib.sha256(ca).hexdigest()[:8]
        node = NodeSettings("n1", self.cluster, data_dir, "10.77.0.0/16", "10.78.0.0/16", "", "", docker_host)
        write_config(node, Credentials("https://127.0.0.1:6443", ca, b"cert", Sensitive(b"key")))

    def network(self) -> None:
        ranges = ("10.77.1.0/24", "10.77.0.0/16", "10.78.0.0/16")
        network = Network(NetworkSettings(self.cluster, "n1", *ranges, self.data_dir / "network"))
        asyncio.run(network.setup())

    def pod(self, name: str) -> None:
        async def make() -> None:
            runtime = await DockerRuntime.connect(self.docker_host, cluster=self.cluster)
            await runtime.ensure_sandbox(SandboxSpec(f"uid-{name}", name, "shop", name))
            await runtime.close()

        asyncio.run(make())

    def pods(self) -> list[str]:
        async def found() -> list[str]:
            runtime = await DockerRuntime.connect(self.docker_host, cluster=self.cluster)
            states = await runtime.states()
            await runtime.close()
            return sorted(state.pod_name for state in states)

        return asyncio.run(found())


@pytest.fixture
def node(
    namespace: None, docker_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Node]:
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    node = Node(tmp_path / "data", docker_host)
    yield node
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    run_down(node.data_dir)


def test_what_is_left_goes_and_the_data_stays(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.network()
    node.pod("web")

    run_down(node.data_dir)

    out = capsys.readouterr().out
    assert "removed 1 container\n" in out
    assert "removed gw0, its addresses and routes" in out
    assert out.endswith(f"cluster {node.cluster} left this host; its data stays in {node.data_dir}\n")
    assert node.pods() == []
    assert teardown.bridge_owner() is None
    assert (node.data_dir / "pki/ca.crt").exists()


def test_it_can_be_said_twice(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.network()
    run_down(node.data_dir)
    capsys.readouterr()

    run_down(node.data_dir)

    assert "removed" not in capsys.readouterr().out


def test_without_the_data_directory_the_bridge_names_the_cluster(node: Node, tmp_path: Path) -> None:
    node.network()
    node.pod("web")

    run_down(tmp_path / "gone")

    assert node.pods() == []
    assert teardown.bridge_owner() is None


def test_without_the_bridge_too_the_containers_name_it(node: Node, tmp_path: Path) -> None:
    node.pod("web")

    run_down(tmp_path / "gone")

    assert node.pods() == []


def test_the_containers_of_another_cluster_stay(node: Node, docker_host: str, tmp_path: Path) -> None:
    other = Node(tmp_path / "other", docker_host)
    other.pod("db")
    node.pod("web")

    with pytest.raises(Conflict, match="name one by its --data-dir"):
        run_down(tmp_path / "gone")
    run_down(node.data_dir)

    assert (node.pods(), other.pods()) == ([], ["db"])
    run_down(other.data_dir)


def test_the_network_of_another_cluster_stays(
    node: Node, docker_host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Node(tmp_path / "other", docker_host)
    node.network()

    run_down(other.data_dir)

    assert f"left the network to cluster {node.cluster}, which holds gw0\n" in capsys.readouterr().out
    assert teardown.bridge_owner() == node.cluster
    assert attached(node.cluster) == {}


def test_an_engine_that_does_not_answer_is_told_with_what_it_keeps(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.network()
    node.pod("web")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    with pytest.raises(Unavailable, match=f"not removed: the containers of cluster {node.cluster}"):
        run_down(node.data_dir)

    assert teardown.bridge_owner() is None
    assert node.pods() == ["web"]
