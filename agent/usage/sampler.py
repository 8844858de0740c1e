"""Samples every few seconds what each running container uses. Two samples make a rate; the master asks for the last."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from agent.runtime.protocol import SANDBOX, ContainerState, Phase
from agent.usage.cgroups import CgroupReader, Usage
from agent.usage.node_counters import Disk, Interface, read_disk, read_interfaces, read_node
from gitops.kinds.core.pod import Pod
from gitops.kinds.objects import uid

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 10.0


class Sample(NamedTuple):
    """`nano_cores`: billionths of a core since the sample before; None: there was none."""

    at: datetime
    usage: Usage
    nano_cores: int | None = None


class ContainerUsage(NamedTuple):
    name: str
    id: str
    image: str
    started_at: datetime | None
    sample: Sample


class PodUsage(NamedTuple):
    namespace: str
    name: str
    uid: str
    started_at: datetime | None
    containers: tuple[ContainerUsage, ...]
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one time. `restarts` by namespace, pod and container."""

    node_name: str
    node: Sample
    memory_bytes: int
    cpus: int
    disk: Disk
    pods: tuple[PodUsage, ...] = ()
    restarts: tuple[tuple[str, str, str, int], ...] = ()


class Source(Protocol):
    """Where counters come from."""

    def read(self, container_id: str, pid: int) -> Usage | None: ...

    def forget(self, but: set[str]) -> None: ...


class Idle:
    """Simulated containers use nothing."""

    def read(self, container_id: str, pid: int) -> Usage | None:
        return Usage(0)

    def forget(self, but: set[str]) -> None:
        return


@dataclass
class Sampler:
    """`run` it as a task; `now` gives the last snapshot.

    Attributes:
        states, pods: what runs on the node and which pods it has, as known anyway: the engine is not asked.
        source: None: the cgroups of this host.
        networks: whether a sandbox's interfaces are this host's to read.
    """

    node_name: str
    cpus: int
    folder: Path
    states: Callable[[], Iterable[ContainerState]]
    pods: Callable[[], Iterable[Pod]]
    clock: Callable[[], datetime]
    source: Source = field(default_factory=CgroupReader)
    networks: bool = True
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _before: dict[str, Sample] = field(default_factory=dict)
    _last: Snapshot | None = None
    _fresh: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """For ever. The files are read on another thread: a machine short of memory answers slowly."""
        while True:
            states, pods = tuple(self.states()), tuple(self.pods())
            try:
                self._last = await asyncio.to_thread(self._sample, states, pods)
            except (OSError, ValueError, KeyError) as error:
                log.warning("usage cannot be read", extra={"fields": {"error": repr(error)}})
            self._fresh.set()
            await self.sleep(PERIOD_SECONDS)

    async def now(self) -> Snapshot | None:
        """The last one; waits for the first. None: /proc cannot be read."""
        await self._fresh.wait()
        return self._last

    def _sample(self, states: tuple[ContainerState, ...], pods: tuple[Pod, ...]) -> Snapshot:
        running = [one for one in states if one.phase is Phase.RUNNING]
        node, memory_bytes = read_node()
        usages: dict[str, list[ContainerUsage]] = {}
        for one in running:
            if one.container != SANDBOX and (used := self.source.read(one.id, one.pid)) is not None:
                shown = ContainerUsage(
                    one.container, one.id, one.image, one.started_at, self._rated(one.id, used)
                )
                usages.setdefault(one.pod_uid, []).append(shown)
        snapshot = Snapshot(
            self.node_name,
            self._rated("", node),
            memory_bytes,
            self.cpus,
            read_disk(self.folder),
            tuple(self._pod(one, usages, pods) for one in running if one.container == SANDBOX),
            tuple(_restarts(pods)),
        )
        known = {"", *(one.id for one in running)}
        self.source.forget(known)
        self._before = {name: sample for name, sample in self._before.items() if name in known}
        return snapshot

    def _pod(
        self, sandbox: ContainerState, usages: dict[str, list[ContainerUsage]], pods: tuple[Pod, ...]
    ) -> PodUsage:
        on_host = any(uid(pod) == sandbox.pod_uid and pod["spec"].get("hostNetwork") for pod in pods)
        return PodUsage(
            sandbox.pod_namespace,
            sandbox.pod_name,
            sandbox.pod_uid,
            sandbox.started_at,
            tuple(usages.get(sandbox.pod_uid, ())),
            read_interfaces(sandbox.pid) if self.networks and not on_host else (),
        )

    def _rated(self, name: str, usage: Usage) -> Sample:
        at, before = self.clock(), self._before.get(name)
        sample = Sample(at, usage)
        if before is not None and (seconds := (at - before.at).total_seconds()) > 0:
            used = max(usage.cpu_nanoseconds - before.usage.cpu_nanoseconds, 0)
            sample = sample._replace(nano_cores=int(used / seconds))
        self._before[name] = sample
        return sample


def _restarts(pods: Iterable[Pod]) -> Iterable[tuple[str, str, str, int]]:
    for pod in pods:
        meta = pod["metadata"]
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            yield meta.get("namespace", ""), meta.get("name", ""), status["name"], status["restartCount"]
