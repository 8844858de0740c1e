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
    CONDITION,
    DISK,
    INODES,
    RESOURCE,
    Candidate,
    Reading,
    Taken,
    beyond_limits,
    conditions,
    due,
    first_to_go,
    grace_of,
    limits_disk,
    message,
    met,
)
from agent.runtime.protocol import SANDBOX
from agent.thresholds import Signal, Threshold
from agent.usage.layers import container_use, system_use
from agent.usage.node_counters import read_disk, read_memory, read_processes
from agent.usage.sampler import Snapshot
from agent.volumes.disk import DiskUse
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import GitwardError
from gitops.kinds.objects import key_of, uid

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0  # The kubelet's.
GONE_SECONDS: Final = 30.0  # How long an evicted pod is waited for before the next one goes.
OWN_FILES_BYTES_MAX: Final = (
    16 << 20
)  # They are some hundred bytes; CVE-2020-8557 filled a node's disk by them.
EVERYTHING_BYTES: Final = 1 << 62
GONE_POLL_SECONDS: Final = 0.5
ON_DISK: Final = tuple(signal for signal, condition in CONDITION.items() if condition == DISK)


def readings_of(nodefs: Path, imagefs: Path) -> Callable[[], Mapping[Signal, Reading]]:
    """Reads this host; blocks. `imagefs` that cannot be seen from here is not judged."""

    def read() -> Mapping[Signal, Reading]:
        found = {Signal.MEMORY: Reading(*read_memory()), Signal.PID: Reading(*read_processes())}
        for signal, inodes, folder in (
            (Signal.NODEFS, Signal.NODEFS_INODES, nodefs),
            (Signal.IMAGEFS, Signal.IMAGEFS_INODES, imagefs),
        ):
            if folder.exists():
                disk = read_disk(folder)
                found[signal] = Reading(disk.available_bytes, disk.capacity_bytes)
                if disk.inodes:
                    found[inodes] = Reading(disk.inodes_free, disk.inodes)
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
        *,
        pod_grace_max_seconds: float = 0,
    ) -> None:
        """`pod_grace_max_seconds`: what time a pod gets that goes for a soft threshold."""
        self._thresholds, self._keep_seconds = thresholds, keep_seconds
        self._pod_grace_max_seconds = pod_grace_max_seconds
        self._below_since: Mapping[Threshold, datetime] = {}
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
            if why := await self._beyond(pods, pod, root):
                pods.evict(uid(pod), why)
        readings = await asyncio.to_thread(read)
        below = met(self._thresholds, readings)
        self._tell(below)
        below, self._below_since = due(below, self._below_since, self._clock())
        if below and below[0].signal in ON_DISK and await self._freed(below[0], readings[below[0].signal]):
            readings = await asyncio.to_thread(read)
            below, self._below_since = due(met(self._thresholds, readings), self._below_since, self._clock())
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
        grace_seconds = grace_of(chosen.pod, below[0], self._pod_grace_max_seconds)
        pods.evict(uid(chosen.pod), why, grace_seconds)
        await self._until_ended(pods, uid(chosen.pod), grace_seconds + GONE_SECONDS)
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
        wanted = threshold.of(read.capacity) - read.available
        if RESOURCE[threshold.signal] == INODES:
            wanted = EVERYTHING_BYTES  # How many an image has is not known.
        return await self.collect(wanted) > 0

    async def _beyond(self, pods: Pods, pod: Pod, root: Path) -> str:
        """Why it goes though the node has enough; '': it does not."""
        if (taken := await self._own_files(pods, uid(pod), root)).size_bytes > OWN_FILES_BYTES_MAX:
            return (
                f"/etc/hosts, /etc/hostname, /etc/resolv.conf and the termination messages of the pod hold "
                f"{taken.size_bytes >> 20} MiB, more than {OWN_FILES_BYTES_MAX >> 20} MiB. "
            )
        return beyond_limits(await self._candidate(pods, pod, None, root)) if limits_disk(pod) else ""

    async def _own_files(self, pods: Pods, pod_uid: str, root: Path) -> DiskUse:
        """What its containers wrote into the files that every pod has; no volume's and no layer's quota holds there."""
        taken = await pods.message_use(pod_uid)
        for state in pods.states:
            if state.pod_uid == pod_uid and state.container == SANDBOX:
                taken = taken.with_more(await asyncio.to_thread(system_use, root, state.id))
        return taken

    async def _candidate(self, pods: Pods, pod: Pod, snapshot: Snapshot | None, root: Path) -> Candidate:
        pod_uid = uid(pod)
        taken = {"": _with_disk(Taken(), await self._own_files(pods, pod_uid, root))}
        for use in (await pods.disk_use(pod_uid)).values():
            taken[""] = _with_disk(taken[""], use)
        for state in pods.states:
            if state.pod_uid == pod_uid and state.container != SANDBOX:
                use = await asyncio.to_thread(container_use, root, state.id)
                taken[state.container] = _with_disk(taken.get(state.container, Taken()), use)
        for one in snapshot.pods if snapshot is not None else ():
            for container in one.containers if one.uid == pod_uid else ():
                used, before = container.sample.usage, taken.get(container.name, Taken())
                taken[container.name] = before._replace(
                    memory_bytes=used.working_set_bytes, processes=used.processes
                )
        return Candidate(pod, taken)

    async def _until_ended(self, pods: Pods, pod_uid: str, most_seconds: float) -> None:
        waited = 0.0
        while pods.remains(pod_uid) and waited < most_seconds:
            await self._sleep(GONE_POLL_SECONDS)
            waited += GONE_POLL_SECONDS


def _with_disk(before: Taken, use: DiskUse) -> Taken:
    return before._replace(disk_bytes=before.disk_bytes + use.size_bytes, inodes=before.inodes + use.inodes)
