"""An agent's pods on a real engine, with a real network of the node."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from docker.api.client import APIClient

from agent import teardown
from agent.network import Network, NetworkSettings
from agent.pods.security import confinement
from agent.probes.checks import NetworkChecks
from agent.runtime.docker import DockerRuntime
from agent.services.table import HostPort
from agent.volumes.persistent import Persistent
from agent.volumes.volumes import PodVolumes
from tests.agent_world import FACTS, NODE, Api, Node, running_node


class Links:
    """The node's pod network, without services in front of it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.withdrawn: list[str] = []

    def pick_address(self, used: Iterable[str]) -> str:
        return self._network.pick_address(used)

    async def attach(self, pid: int, address: str, uid: str) -> None:
        await self._network.attach(pid, address, uid)

    async def publish(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        """There are no rules here."""

    def adopted(self) -> None:
        """Nothing waits for it."""

    async def detach(self, uid: str) -> None:
        await self._network.detach(uid)

    async def without(self, pod_ip: str) -> None:
        self.withdrawn.append(pod_ip)


class Host:
    """One node: its engine, its volumes, an API that outlives its agents."""

    def __init__(self, docker_host: str, home: Path) -> None:
        self.docker_host, self.home, self.cluster, self.api = docker_host, home, "tests", Api()
        self.persistent = Persistent(home / "volumes")

    async def runtime(self) -> DockerRuntime:
        return await DockerRuntime.connect(self.docker_host, cluster=self.cluster)

    @asynccontextmanager
    async def agent(self, spares: int = 0) -> AsyncIterator[Node]:
        """From its start to its kill."""
        runtime = await self.runtime()
        network = Network(
            NetworkSettings(
                self.cluster, NODE, "10.77.1.0/24", "10.77.0.0/16", "10.78.0.0/16", self.home / "network"
            )
        )
        await network.setup()
        checks = NetworkChecks(runtime)
        try:
            facts = FACTS._replace(
                confinement=confinement(await runtime.info(), self.home / "seccomp"),
                unsafe_sysctls=("net.core.*",),
            )
            async with running_node(
                runtime,
                checks,
                self.api,
                network=Links(network),
                volumes=PodVolumes(self.home / "pods", self.persistent),
                facts=facts,
                spares=spares,
            ) as node:
                yield node
        finally:
            await checks.close()
            await runtime.close()

    def logs_of(self, container_id: str) -> list[Path]:
        """The engine's own files of what a container said."""
        api = APIClient(base_url=self.docker_host, version="1.41")
        try:
            return list(Path(api.inspect_container(container_id)["LogPath"]).parent.iterdir())
        finally:
            api.close()

    async def clean(self) -> None:
        runtime = await self.runtime()
        volumes = PodVolumes(self.home / "pods")
        for state in await runtime.states():
            await runtime.remove(state.id)
        for uid in await volumes.uids():
            await volumes.remove(uid)
        await runtime.close()
        # The namespace may be shared with other tests: the bridge is the lock of one cluster.
        await asyncio.to_thread(
            teardown.remove,
            cluster=self.cluster,
            network_state_dir=self.home / "network",
            run_dir=self.home / "run",
            data_dir=self.home,
        )


@pytest.fixture
def play(docker_host: str, tmp_path: Path) -> Callable[[Callable[[Host], Awaitable[None]]], None]:
    """Runs a scenario on a node of its own, and cleans up after it."""
    if missing := [program for program in ("iptables", "ip") if shutil.which(program) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")

    def run(scenario: Callable[[Host], Awaitable[None]]) -> None:
        async def main() -> None:
            host = Host(docker_host, tmp_path)
            try:
                async with asyncio.timeout(120):
                    await scenario(host)
            finally:
                await host.clean()

        asyncio.run(main())

    return run
