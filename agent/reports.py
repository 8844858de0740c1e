"""What a node tells the API: statuses of its pods, their last delete, and events with repeats counted."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, cast

from gitops.client import Client
from gitops.kinds.core.event import EVENT, Event
from gitops.kinds.core.pod import POD, Pod, PodStatus
from gitops.kinds.errors import Conflict, GitwardError, NotFound, Unavailable
from gitops.kinds.objects import KubeObject, timestamp, uid

log = logging.getLogger(__name__)

QUEUE_EVENTS_MAX: Final = (
    1_000  # Beyond it events are dropped, and the log says so: they are for people, not for us.
)
AGAIN_SECONDS: Final = 2.0
REMEMBERED_MAX: Final = 4_096
MESSAGE_MAX_CHARACTERS: Final = 1_024
CLUSTER_EVENTS: Final = "default"  # Where the events of what has no namespace lie, as Kubernetes' do.


class _Said(NamedTuple):
    about: KubeObject
    type: str
    reason: str
    message: str
    container: str
    at: str  # When it happened; it may be told much later.


class _Written(NamedTuple):
    """Where an event is, and how often it was told: a whole one of each would be some 25 KB for every pod that was."""

    namespace: str
    name: str
    times: int


class ApiReports:
    """A `PodApi` over the client."""

    def __init__(
        self, client: Client, node: str, clock: Callable[[], datetime], suffix: Callable[[], str]
    ) -> None:
        """`suffix`: makes the name of an event its own."""
        self._client, self._node, self._clock, self._suffix = client, node, clock, suffix
        self._queue: asyncio.Queue[_Said] = asyncio.Queue(QUEUE_EVENTS_MAX)
        self._known: dict[tuple[str, ...], _Written] = {}

    async def report(self, pod: Pod, status: PodStatus) -> Pod:
        return await self._client.update_status(POD, cast(Pod, {**pod, "status": status}))

    async def create(self, pod: Pod) -> Pod:
        """Of a static pod's mirror. Raises AlreadyExists."""
        return await self._client.create(POD, pod)

    async def delete(self, pod: Pod) -> None:
        meta = pod["metadata"]
        try:
            await self._client.delete(
                POD, meta.get("namespace", ""), meta.get("name", ""), grace_seconds=0, uid=uid(pod)
            )
        except (NotFound, Conflict):
            return  # Gone, or another pod bears its name: the watch says the rest.

    def event(
        self,
        about: KubeObject,
        kind: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        container: str = "",
    ) -> None:
        try:
            text, now = message[:MESSAGE_MAX_CHARACTERS], timestamp(self._clock())
            self._queue.put_nowait(_Said(about, kind, reason, text, container, now))
        except asyncio.QueueFull:
            log.warning("event dropped", extra={"fields": {"reason": reason, "message": message}})

    async def run(self) -> None:
        """Writes events, one at a time, for ever; what happens while the master is away is told when it is back."""
        while True:
            said = await self._queue.get()
            try:
                while not await self._is_written(said):
                    await asyncio.sleep(AGAIN_SECONDS)
            except GitwardError as error:
                log.debug("event not taken", extra={"fields": {"reason": said.reason, "error": str(error)}})

    async def _is_written(self, said: _Said) -> bool:
        try:
            await self._write(said)
        except Unavailable:
            return False
        return True

    async def _write(self, said: _Said) -> None:
        key = (uid(said.about), said.type, said.reason, said.message, said.container)
        known, now = self._known.get(key), said.at
        if known is not None:
            told = {"count": known.times + 1, "lastTimestamp": now}
            try:
                self._known[key] = _written(
                    await self._client.patch(EVENT, known.namespace, known.name, told)
                )
            except NotFound:
                del self._known[key]
            else:
                return
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        self._known[key] = _written(await self._client.create(EVENT, self._event(said, now)))

    def _event(self, said: _Said, now: str) -> Event:
        meta = said.about["metadata"]
        about = {
            "apiVersion": said.about["apiVersion"],
            "kind": said.about["kind"],
            "name": meta.get("name", ""),
            "uid": uid(said.about),
        }
        if namespace := meta.get("namespace"):
            about["namespace"] = namespace
        if said.container:
            about["fieldPath"] = _field_path(said.about, said.container)
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta.get('name', '')}.{self._suffix()}",
                "namespace": meta.get("namespace", CLUSTER_EVENTS),
            },
            "involvedObject": about,
            "reason": said.reason,
            "message": said.message,
            "type": said.type,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        return cast(Event, event)


def _field_path(pod: KubeObject, container: str) -> str:
    spec: Mapping[str, Any] = cast(Mapping[str, Any], pod)["spec"]
    for field in ("initContainers", "ephemeralContainers"):
        if any(one["name"] == container for one in spec.get(field, ())):
            return f"spec.{field}{{{container}}}"
    return f"spec.containers{{{container}}}"


def _written(event: Event) -> _Written:
    meta = event["metadata"]
    return _Written(meta.get("namespace", ""), meta.get("name", ""), event.get("count", 1))
