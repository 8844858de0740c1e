"""Relief of a node that runs short of memory, disk or processes: unused images go, then one pod after the other.

What to do is decided by `agent/pods/pressure.py`. Source: kubernetes/pkg/kubelet/eviction/eviction_manager.go.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.pods.pods import Pods
from agent.pods.pressure import (
    RESOURCE,
    Candidate,
    Reading,
    Taken,
    beyond_limits,
    conditions,
    first_to_go,
    limits_disk,
    message,
    met,
)
from agent.runtime.protocol import SANDBOX
from agent.thresholds import Signal, Threshold
from agent.usage.layers import container_bytes
from agent.usage.node_counters import read_disk, read_memory, read_processes
from agent.usage.sampler import Snapshot
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import GitwardError
from gitops.kinds.objects import key_of, uid

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0  # The kubelet's.
GONE_SECONDS: Final = 30.0  # How long an evicted pod is waited for before the next one goes.
GONE_POLL_SECONDS: Final = 0.5
ON_DISK: Final = (Signal.NODEFS, Signal.IMAGEFS)


def readings_of(nodefs: Path, imagefs: Path) -> Callable[[], Mapping[Signal, Reading]]:
    """Reads this host; blocks. `imagefs` that cannot be seen from here is not judged."""

    def read() -> Mapping[Signal, Reading]:
        found = {Signal.MEMORY: Reading(*read_memory()), Signal.PID: Reading(*read_processes())}
        for signal, folder in ((Signal.NODEFS, nodefs), (Signal.IMAGEFS, imagefs)):
            if folder.exists():
                disk = read_disk(folder)
                found[signal] = Reading(disk.available_bytes, disk.capacity_bytes)
        return found

    return read


class Relief:
    """`collect`: removes unused images of that many bytes, and says how many it freed."""

    def __init__(
        self,
        thresholds: tuple[Threshold, ...],
        keep_seconds: float,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._thresholds, self._keep_seconds = thresholds, keep_seconds
        self._clock, self._sleep = clock, sleep
        self._conditions: frozenset[str] = frozenset()
        self._last_met: Mapping[str, datetime] = {}
        self.collect: Callable[[int], Awaitable[int]] | None = None
        self.changed: Callable[[], None] = lambda: None

    def conditions(self) -> frozenset[str]:
        """MemoryPressure, DiskPressure, PIDPressure: those that the node has."""
        return self._conditions

    async def run(
        self,
        pods: Pods,
        read: Callable[[], Mapping[Signal, Reading]],
        usage: Callable[[], Awaitable[Snapshot | None]],
        root: Path,
    ) -> None:
        """For ever. `usage`: of containers; `root`: the engine's folder."""
        while True:
            try:
                await self._look(pods, read, usage, root)
            except (GitwardError, OSError, ValueError, KeyError) as error:
                log.warning("node's pressure not judged", extra={"fields": {"error": repr(error)}})
            except Exception:  # The top of a loop: a node that cannot be judged runs its pods on.
                log.exception("node's pressure not judged")
            await self._sleep(LOOK_SECONDS)

    async def _look(
        self,
        pods: Pods,
        read: Callable[[], Mapping[Signal, Reading]],
        usage: Callable[[], Awaitable[Snapshot | None]],
        root: Path,
    ) -> None:
        for pod in pods.pods():
            if limits_disk(pod) and (why := beyond_limits(await self._candidate(pods, pod, None, root))):
                pods.evict(uid(pod), why)
        readings = await asyncio.to_thread(read)
        below = met(self._thresholds, readings)
        self._tell(below)
        if below and below[0].signal in ON_DISK and await self._freed(below[0], readings[below[0].signal]):
            readings = await asyncio.to_thread(read)
            below = met(self._thresholds, readings)
        if not below:
            return
        snapshot = await usage()
        candidates = [await self._candidate(pods, pod, snapshot, root) for pod in pods.pods()]
        chosen = first_to_go(candidates, below[0].signal)
        if chosen is None:
            log.warning(
                "the node runs short, and no pod may go",
                extra={"fields": {"resource": RESOURCE[below[0].signal]}},
            )
            return
        why = message(chosen, below[0], readings[below[0].signal])
        log.warning("pod evicted", extra={"fields": {"pod": str(key_of(chosen.pod)), "why": why}})
        pods.evict(uid(chosen.pod), why)
        await self._until_ended(pods, uid(chosen.pod))
        if below[0].signal in ON_DISK:
            await pods.remove_dead(
                uid(chosen.pod)
            )  # Else what it wrote stays, and its neighbour would go next.

    def _tell(self, below: tuple[Threshold, ...]) -> None:
        before = self._conditions
        self._conditions, self._last_met = conditions(
            below, self._last_met, self._clock(), self._keep_seconds
        )
        if self._conditions != before:
            facts = {"conditions": sorted(self._conditions)}
            log.warning("the node's pressure has changed", extra={"fields": facts})
            self.changed()

    async def _freed(self, threshold: Threshold, read: Reading) -> bool:
        """Whether images went."""
        if self.collect is None:
            return False
        return await self.collect(threshold.of(read.capacity) - read.available) > 0

    async def _candidate(self, pods: Pods, pod: Pod, snapshot: Snapshot | None, root: Path) -> Candidate:
        pod_uid = uid(pod)
        taken = {"": Taken(disk_bytes=sum((await pods.used_bytes(pod_uid)).values()))}
        for state in pods.states:
            if state.pod_uid == pod_uid and state.container != SANDBOX:
                size = await asyncio.to_thread(container_bytes, root, state.id)
                before = taken.get(state.container, Taken())
                taken[state.container] = before._replace(disk_bytes=before.disk_bytes + size)
        for one in snapshot.pods if snapshot is not None else ():
            for container in one.containers if one.uid == pod_uid else ():
                used, before = container.sample.usage, taken.get(container.name, Taken())
                taken[container.name] = before._replace(
                    memory_bytes=used.working_set_bytes, processes=used.processes
                )
        return Candidate(pod, taken)

    async def _until_ended(self, pods: Pods, pod_uid: str) -> None:
        waited = 0.0
        while pods.remains(pod_uid) and waited < GONE_SECONDS:
            await self._sleep(GONE_POLL_SECONDS)
            waited += GONE_POLL_SECONDS
