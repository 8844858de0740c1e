"""All pods of a node: a worker for each, told of what the API says and of what the engine says.

The engine's events are hints; a full list every few seconds is the truth. What runs here and belongs to no pod of the
API is ended, but only once the API's list was complete.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from time import monotonic
from typing import Final

from agent.pods.container_status import known_status
from agent.pods.eviction import LOOK_SECONDS, beyond, limits_bytes
from agent.pods.means import Means
from agent.pods.restarting import every_container
from agent.pods.static_files import is_static
from agent.pods.worker import PodWorker
from agent.runtime.protocol import LABEL_ADDRESS, LABEL_HOST_PORTS, SANDBOX, ContainerState, Phase
from agent.services.host_ports import from_label
from agent.volumes.disk import DiskUse
from gitops.kinds.core.pod import Pod, is_terminal
from gitops.kinds.errors import GitwardError
from gitops.kinds.objects import uid

log = logging.getLogger(__name__)

RELIST_SECONDS: Final = 3.0
EVENTS_PAUSE_SECONDS: Final = 1.0
FAULT_SECONDS: Final = 5.0


class Pods:
    """`engine_problem`: why the engine does not answer; '' while it does."""

    def __init__(self, means: Means, left_volumes: Callable[[], Iterable[str]] = lambda: ()) -> None:
        """`left_volumes`: uids of pods that have volumes here."""
        self._means, self._left_volumes = means, left_volumes
        self._workers: dict[str, tuple[PodWorker, asyncio.Task[None]]] = {}
        self._found: dict[str, list[ContainerState]] = {}  # What ran when the agent began, by pod.
        self._complete = False
        self.engine_problem = ""
        self.states: tuple[ContainerState, ...] = ()  # Of the last list.

    def apply(self, pod: Pod) -> None:
        """A pod of this node as the API has it now."""
        self._worker(uid(pod)).update(pod)

    def gone(self, pod_uid: str) -> None:
        """The API has no such pod any more."""
        if pod_uid in self._workers:
            self._workers[pod_uid][0].update(None)

    def complete(self, uids: Iterable[str]) -> None:
        """The API has exactly these pods for this node: all others are to be ended."""
        self._complete = True
        known = set(uids)
        for pod_uid in [one for one in self._workers if one not in known]:
            self.gone(pod_uid)
        for pod_uid in set(self._left_volumes()) - known:
            self._worker(pod_uid)

    def content_changed(self, pod_uid: str) -> None:
        if pod_uid in self._workers:
            self._workers[pod_uid][0].content_changed()

    def find(self, namespace: str, name: str, pod_uid: str = "") -> PodWorker | None:
        """The worker of a pod by its name (and uid, if one is given: of a static pod the API knows its mirror's)."""
        for one, (worker, _) in self._workers.items():
            if worker.pod is None:
                continue
            meta = worker.pod["metadata"]
            if (meta.get("namespace"), meta.get("name")) == (namespace, name) and (
                pod_uid in ("", one) or is_static(worker.pod)
            ):
                return worker
        return None

    def pods(self) -> tuple[Pod, ...]:
        return tuple(worker.pod for worker, _ in self._workers.values() if worker.pod is not None)

    def evict(self, pod_uid: str, why: str, grace_seconds: float = 0) -> None:
        if pod_uid in self._workers:
            self._workers[pod_uid][0].evict(why, grace_seconds)

    def remains(self, pod_uid: str) -> bool:
        """Whether a container of it runs, as far as known, or has ended and the API does not say so yet, or its
        volumes are there."""
        found = self._workers.get(pod_uid)
        left = found is not None and any(
            one.phase is Phase.RUNNING or (one.container != SANDBOX and not _is_told(found[0].pod, one))
            for one in found[0].states
        )
        return left or self._means.volumes.has(pod_uid)

    async def remove_dead(self, pod_uid: str) -> None:
        """Its containers that have ended, with what they wrote and their logs. Raises Unavailable."""
        for state in self.states_of(pod_uid):
            if state.phase is Phase.EXITED:
                await self._means.runtime.remove(state.id)

    def states_of(self, pod_uid: str) -> tuple[ContainerState, ...]:
        found = self._workers.get(pod_uid)
        return found[0].states if found is not None else ()

    async def disk_use(self, pod_uid: str) -> Mapping[str, DiskUse]:
        """What its emptyDirs take on disk, by volume. Raises Unavailable."""
        return await self._means.volumes.disk_use(pod_uid)

    async def message_use(self, pod_uid: str) -> DiskUse:
        """What its containers' last words take. Raises Unavailable."""
        return await self._means.volumes.message_use(pod_uid)

    def images(self) -> frozenset[str]:
        """Every image that a pod of this node names or a container of one has, by its name in the manifest."""
        named = {one["image"] for pod in self.pods() for one in every_container(pod)}
        return frozenset(named | {state.image for state in self.states})

    async def adopt(self) -> None:
        """Before the first pod is applied: what runs here, and the addresses in use. Raises Unavailable."""
        for state in await self._means.runtime.states():
            self._found.setdefault(state.pod_uid, []).append(state)
            if state.container == SANDBOX and (address := state.labels.get(LABEL_ADDRESS)):
                self._means.addresses.known(state.pod_uid, address)
                ports = from_label(state.labels.get(LABEL_HOST_PORTS, ""))
                await self._means.network.publish(state.pod_uid, ports)
        if self._means.spares is not None:
            await self._means.spares.look()
        self._means.network.adopted()

    async def run(self) -> None:
        """For ever; cancelled, it leaves running what runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._relist())
            if self._means.spares is not None:
                group.create_task(self._means.spares.run())
            group.create_task(self._evict())

    def _worker(self, pod_uid: str) -> PodWorker:
        if pod_uid not in self._workers:
            worker = PodWorker(self._means, pod_uid)
            worker.observe(self._found.pop(pod_uid, ()), monotonic())
            task = self._means.group.create_task(self._look_after(worker, pod_uid))
            self._workers[pod_uid] = (worker, task)
        return self._workers[pod_uid][0]

    async def _look_after(self, worker: PodWorker, pod_uid: str) -> None:
        while True:
            try:
                await worker.run()
            except Exception:  # The top of a pod's task: an error of ours ends neither its care nor the node.
                log.exception("pod's task failed", extra={"fields": {"pod": pod_uid}})
                await self._means.sleep(FAULT_SECONDS)
            else:
                self._means.addresses.release(pod_uid)  # Of one that never got a sandbox too.
                del self._workers[pod_uid]
                return

    async def _evict(self) -> None:
        """Ends the pods that use more of the disk than they may."""
        while True:
            await self._means.sleep(LOOK_SECONDS)
            for worker, _ in list(self._workers.values()):
                pod = worker.pod
                if pod is None or is_terminal(pod) or not limits_bytes(pod):
                    continue
                try:
                    used = await self._means.volumes.disk_use(uid(pod))
                except GitwardError as error:
                    log.warning(
                        "volumes not measured", extra={"fields": {"pod": uid(pod), "error": str(error)}}
                    )
                    continue
                except Exception:  # The top of a loop: what one pod has written ends no other's care.
                    log.exception("volumes not measured", extra={"fields": {"pod": uid(pod)}})
                    continue
                if why := beyond(pod, {name: one.size_bytes for name, one in used.items()}):
                    worker.evict(why)

    async def _relist(self) -> None:
        while True:
            asked_at = monotonic()
            try:
                states = await self._means.runtime.states()
            except GitwardError as error:
                if not self.engine_problem:
                    log.warning("engine does not answer", extra={"fields": {"error": str(error)}})
                self.engine_problem = str(error)
            else:
                self.engine_problem = ""
                self._spread(states, asked_at)
            await self._means.sleep(RELIST_SECONDS)

    def _spread(self, states: list[ContainerState], asked_at: float) -> None:
        self.states = tuple(states)
        by_pod: dict[str, list[ContainerState]] = {}
        for state in states:
            by_pod.setdefault(state.pod_uid, []).append(state)
        for pod_uid, (worker, _) in self._workers.items():
            worker.observe(by_pod.get(pod_uid, ()), asked_at)
        if self._complete:
            for pod_uid in by_pod.keys() - self._workers.keys():
                self._worker(pod_uid)

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._means.runtime.events()) as events:
                    async for event in events:
                        if event.pod_uid in self._workers:
                            self._workers[event.pod_uid][0].happened(event.container_id)
            except GitwardError as error:
                log.debug("engine's events ended", extra={"fields": {"error": str(error)}})
            await self._means.sleep(EVENTS_PAUSE_SECONDS)


def _is_told(pod: Pod | None, state: ContainerState) -> bool:
    """Whether the API says how a container ended: nobody could, once it is removed."""
    known = known_status(pod, state.container) if pod is not None else None
    return known is None or "terminated" in known.get("state", {})
