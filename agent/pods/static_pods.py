"""Runs the pods of a directory: each by an ordinary worker, and each with a mirror in the API, so that people see it.

The file is what counts. A mirror that somebody deletes is made again, one of an older file or of none is deleted, and
while the master is away the pods run, restart and change without one. Source: kubernetes/pkg/kubelet/pod
(`mirror_client.go`) and `kubelet.go` (`tryReconcileMirrorPods`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

from agent.pods import static_files
from agent.pods.means import PodApi
from agent.pods.pods import Pods
from agent.pods.static_files import HASH
from gitops.kinds.core.node import Node
from gitops.kinds.core.pod import MIRROR, Pod, PodStatus, pod_status
from gitops.kinds.errors import AlreadyExists, GitwardError, NotFound, Unavailable
from gitops.kinds.objects import annotations_of, is_going, timestamp, uid, with_meta

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0  # Between two looks at the directory: a stat and a read of small files.
RETRY_SECONDS: Final = 2.0

Name = tuple[str, str]  # Namespace and name.


class MirrorApi(PodApi, Protocol):
    async def create(self, pod: Pod) -> Pod: ...


class StaticPods:
    """A `PodApi` for all pods of the node: what concerns a static one stays here, all else is passed on."""

    def __init__(
        self, directory: Path | None, node: str, api: MirrorApi, owner: Callable[[], Node | None]
    ) -> None:
        """`directory` None: there are none, and mirrors of earlier ones are removed. `owner`: the node's object."""
        self._directory, self._node, self._api, self._owner = directory, node, api, owner
        self._pods: Pods | None = None
        self._stated: dict[str, Pod] = {}  # What the files state, by uid.
        self._running: dict[str, Pod] = {}  # With a worker, until nothing is left of it.
        self._mirrors: dict[Name, Pod] = {}
        self._texts: Mapping[Path, bytes] | None = None
        self._told: Mapping[Path, str] = {}
        self._changed = asyncio.Event()
        self._listed = False

    # As a PodApi.

    async def report(self, pod: Pod, status: PodStatus) -> Pod:
        if uid(pod) not in self._running:
            return await self._api.report(pod, status)
        known = self._running[uid(pod)]
        version = int(known["metadata"].get("resourceVersion", "0")) + 1
        stored = with_meta(cast(Pod, {**known, "status": status}), resourceVersion=str(version))
        self._running[uid(pod)] = stored
        self._changed.set()
        return stored

    async def delete(self, pod: Pod) -> None:
        if uid(pod) not in self._running:
            await self._api.delete(pod)
            return
        del self._running[uid(pod)]
        if self._pods is not None:
            self._pods.gone(uid(pod))
        self._apply()
        self._changed.set()

    def event(
        self, about: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str = ""
    ) -> None:
        """Of a static pod it is told about the mirror: that is what people ask for."""
        if uid(about) in self._running and (mirror := self._mirrors.get(_name(about))) is not None:
            about = with_meta(about, uid=uid(mirror))
        self._api.event(about, kind, reason, message, container)

    # What the node tells.

    def uids(self) -> set[str]:
        return set(self._running)

    def mirror(self, pod: Pod, *, gone: bool) -> None:
        """A mirror of this node as the API has it."""
        if gone:
            self._mirrors.pop(_name(pod), None)
        else:
            self._mirrors[_name(pod)] = pod
        self._changed.set()

    async def begin(self, pods: Pods) -> None:
        """All mirrors were told, by the API or from memory: the first look, after which `uids` tells of all static
        pods. Their statuses go on from those of their mirrors; mirrors that are missing are made from now on."""
        self._pods = pods
        await self._look()
        self._listed = True
        self._changed.set()

    async def run(self, now: Callable[[], datetime], sleep: Callable[[float], Awaitable[None]]) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reflect(sleep))
            while True:
                await sleep(LOOK_SECONDS)
                await self._look()
                self._end(now())

    # From files to pods.

    async def _look(self) -> None:
        if self._directory is None:
            return
        texts, problems = await asyncio.to_thread(static_files.read, self._directory)
        if self._directory in problems and self._texts is not None:
            self._tell(problems)  # A directory that cannot be read says nothing about its pods.
            return
        if texts != self._texts:
            stated, invalid = static_files.pods_of(texts, self._node)
            problems |= invalid
            self._texts, self._stated = texts, stated
            self._tell(problems)
        self._apply()

    def _tell(self, problems: Mapping[Path, str]) -> None:
        for path, why in problems.items():
            if self._told.get(path) != why:
                log.error("static pod not run", extra={"fields": {"file": str(path), "error": why}})
        self._told = dict(problems)

    def _apply(self) -> None:
        """Begins what is stated and does not run; the successor of a pod waits until that is gone."""
        if self._pods is None:
            return
        present = {_name(pod) for pod in self._running.values()}
        for pod_uid, pod in self._stated.items():
            if pod_uid not in self._running and _name(pod) not in present:
                self._running[pod_uid] = begun = _with_status(pod, self._mirrors.get(_name(pod)))
                self._pods.apply(begun)

    def _end(self, now: datetime) -> None:
        for pod_uid, pod in list(self._running.items()):
            if pod_uid not in self._stated and not is_going(pod) and self._pods is not None:
                going = with_meta(
                    pod,
                    deletionTimestamp=timestamp(now),
                    deletionGracePeriodSeconds=pod["spec"]["terminationGracePeriodSeconds"],
                    resourceVersion=str(int(pod["metadata"].get("resourceVersion", "0")) + 1),
                )
                self._running[pod_uid] = going
                self._pods.apply(going)

    # From pods to mirrors.

    async def _reflect(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._listed:
                continue
            try:
                for name in {_name(pod) for pod in self._running.values()} | set(self._mirrors):
                    await self._reflect_one(name)
            except GitwardError as error:
                log.debug("mirror not kept", extra={"fields": {"error": str(error)}})
                await sleep(RETRY_SECONDS)
                self._changed.set()

    async def _reflect_one(self, name: Name) -> None:
        pod = next((one for one in self._running.values() if _name(one) == name), None)
        mirror = self._mirrors.get(name)
        if mirror is not None and (pod is None or is_going(mirror) or not _shows(mirror, pod)):
            await self._api.delete(mirror)
            self._mirrors.pop(name, None)
            mirror = None
        if pod is None or is_going(pod):
            return
        if mirror is None:
            try:
                mirror = await self._api.create(self._mirror_of(pod))
            except AlreadyExists:
                log.warning("name of a static pod is taken", extra={"fields": {"pod": "/".join(name)}})
                return
            self._mirrors[name] = mirror
        status = pod_status(pod)
        if status and pod_status(mirror) != status:
            try:
                self._mirrors[name] = await self._api.report(mirror, status)
            except NotFound:
                self._mirrors.pop(name, None)
                self._changed.set()

    def _mirror_of(self, pod: Pod) -> Pod:
        meta: dict[str, Any] = {
            "name": pod["metadata"].get("name", ""),
            "namespace": pod["metadata"].get("namespace", ""),
            "labels": pod["metadata"].get("labels") or {},
            "annotations": {**annotations_of(pod), MIRROR: annotations_of(pod)[HASH]},
        }
        if (node := self._owner()) is None:
            raise Unavailable(
                f"node {self._node} is not registered yet"
            )  # Whose else could the pod be taken for?
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": uid(node)}
        meta["ownerReferences"] = [{**owner, "controller": True}]
        return cast(Pod, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod["spec"]})


def _name(pod: Pod) -> Name:
    return pod["metadata"].get("namespace", ""), pod["metadata"].get("name", "")


def _shows(mirror: Pod, pod: Pod) -> bool:
    return annotations_of(mirror).get(MIRROR) == annotations_of(pod).get(HASH)


def _with_status(pod: Pod, mirror: Pod | None) -> Pod:
    """An agent that starts anew goes on from what an earlier one has told."""
    if mirror is None or is_going(mirror) or not _shows(mirror, pod):
        return pod
    return cast(Pod, {**pod, "status": pod_status(mirror)})
