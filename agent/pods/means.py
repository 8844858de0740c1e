"""What a pod's worker acts with: the node's engine, network, volumes, sources and the API, as small protocols."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from agent.pods.addresses import Addresses
from agent.pods.admission import Admission
from agent.pods.names import Names
from agent.pods.pulls import Pulls
from agent.pods.security import Confinement
from agent.pods.sources import Sources
from agent.pods.spares import Spares
from agent.probes.checks import Checks
from agent.runtime.protocol import PIDS_MAX, Mount, Runtime
from agent.services.table import HostPort
from agent.volumes.disk import DiskUse
from agent.volumes.downward import Surroundings
from agent.volumes.references import Lookup
from gitops.kinds.core.pod import Container, Pod, PodStatus
from gitops.kinds.core.service import Service


class PodNetwork(Protocol):
    """Addresses for sandboxes. Each call may be repeated."""

    def pick_address(self, used: Iterable[str]) -> str:
        """A free address of this node. Raises Unavailable if there is none."""
        ...

    async def attach(self, pid: int, address: str, uid: str) -> None:
        """Give the network namespace of a sandbox's process its address."""
        ...

    async def publish(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        """These ports of the node lead to the pod, from now until it is detached."""
        ...

    def adopted(self) -> None:
        """The ports of all pods that ran when the agent began are published."""
        ...

    async def detach(self, uid: str) -> None: ...

    async def without(self, pod_ip: str) -> object:
        """Returns once this node's proxies send nothing new there and open flows have ended, or after a short bound."""
        ...


class PodVolumeStore(Protocol):
    """As `agent.volumes.volumes.PodVolumes`."""

    async def ensure(self, pod: Pod, lookup: Lookup, around: Surroundings) -> None: ...

    async def mounts(
        self, pod: Pod, container: Container, values: Mapping[str, str], *, attempt: int
    ) -> tuple[Mount, ...]: ...

    async def message(self, uid: str, container: str, attempt: int) -> str | None: ...

    async def disk_use(self, uid: str) -> Mapping[str, DiskUse]:
        """What its emptyDirs take on disk, by volume."""
        ...

    async def message_use(self, uid: str) -> DiskUse:
        """What its containers' last words take."""
        ...

    async def remove(self, uid: str) -> None: ...

    def has(self, uid: str) -> bool: ...


class PodApi(Protocol):
    """What a worker tells the API of its pod."""

    async def report(self, pod: Pod, status: PodStatus) -> Pod:
        """The pod as stored with this status. Raises Conflict if it has changed since, NotFound if it is gone."""
        ...

    async def delete(self, pod: Pod) -> None:
        """Grace 0, this very pod. Absent is fine."""
        ...

    def event(
        self, about: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str = ""
    ) -> None:
        """Recorded some time; repeats are counted."""
        ...


class NodeFacts(NamedTuple):
    name: str
    address: str
    allocatable: Mapping[str, str]
    memory_bytes: int
    names: Names
    confinement: Confinement = Confinement()
    pids_max: int = PIDS_MAX  # Of each container.
    unsafe_sysctls: tuple[
        str, ...
    ] = ()  # Which pods may set beside the safe ones; `kernel.msg*` names all of a prefix.


@dataclass(frozen=True, slots=True)
class Means:
    """`services`: all that the node knows. `simulated`: the simulation's annotations are obeyed.

    `spares` None: every sandbox is made when its pod comes.
    """

    runtime: Runtime
    network: PodNetwork
    volumes: PodVolumeStore
    sources: Sources
    addresses: Addresses
    checks: Checks
    api: PodApi
    node: NodeFacts
    services: Callable[[], Iterable[Service]]
    clock: Callable[[], datetime]
    group: asyncio.TaskGroup
    pulls: Pulls
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    simulated: bool = False
    spares: Spares | None = None
    admission: Admission = field(default_factory=Admission)

    def around(self, address: str) -> Surroundings:
        return Surroundings(self.node.name, self.node.address, address, self.node.allocatable)
