"""Pod garbage: pods that no node will ever end, and those that have ended beyond what is kept.

Source: kubernetes/pkg/controller/podgc, 1.35: pods of nodes that are gone or marked as out of service, unscheduled ones
that are going, and of the ended ones all but 12,500. A node must be missing for a while: one that is made again under
its name keeps its pods.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from gitops.controllers.conditions import with_condition
from gitops.kinds.core.node import NODE, Node, node_condition
from gitops.kinds.core.pod import POD, Pod, is_terminal, pod_status
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

QUARANTINE_SECONDS: Final = 40.0
ENDED_MAX: Final = 12_500  # Kubernetes' --terminated-pod-gc-threshold.
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
MESSAGE: Final = "PodGC: node no longer exists"


class _Rank(NamedTuple):
    """Who goes first of those that have ended: the evicted, then the oldest."""

    stays: bool
    created: str
    text: str


class _Ended:
    """The pods of a view that have ended, in order; kept up to date by what the view was touched in."""

    def __init__(self) -> None:
        self._ranks: dict[Key, _Rank] = {}
        self._ordered: list[tuple[_Rank, Key]] = []
        self._mark = -1

    def beyond(self, view: Reader, kept_max: int) -> list[Key]:
        """Those that are more than are kept, the first to go first."""
        self._follow(view)
        return [key for _, key in self._ordered[: max(len(self._ordered) - kept_max, 0)]]

    def _follow(self, view: Reader) -> None:
        self._mark, keys = view.touched(self._mark)
        if keys is None:
            found = ((key_of(pod), _rank(pod)) for pod in view.list(POD))
            self._ranks = {key: rank for key, rank in found if rank is not None}
            self._ordered = sorted((rank, key) for key, rank in self._ranks.items())
            return
        for key in dict.fromkeys(keys):
            if key.kind != "Pod" or key.group:
                continue
            pod = view.get(POD, key)
            new, old = (_rank(pod) if pod is not None else None), self._ranks.pop(key, None)
            if old is not None:
                del self._ordered[bisect_left(self._ordered, (old, key))]
            if new is not None:
                self._ranks[key] = new
                insort(self._ordered, (new, key))


_ended: Final[WeakKeyDictionary[object, _Ended]] = WeakKeyDictionary()


def pod_gc(watching_since: datetime, ended_max: int = ENDED_MAX) -> Controller:
    """The controller of a leader that has watched since then."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Remove a pod that nobody will end, or that has ended beyond what is kept.

        Args:
            view: read are `key` and its node, and which other pods have ended.
            key: a Pod.
            now: UTC.
        Returns:
            The pod's removal, without grace; before it, that it has failed, for those who count failures.
        """
        pod = view.get(POD, key)
        if pod is None:
            return NOTHING
        if is_terminal(pod) and key in _beyond(view, ended_max):
            return Writes(remove=(key,))
        name = pod["spec"].get("nodeName")
        if not name:
            return Writes(remove=(key,)) if is_going(pod) else NOTHING
        node = view.get(NODE, NODE.key("", name))
        if node is not None:
            return _removed(pod, now) if is_going(pod) and _is_off(node) else NOTHING
        since = max(view.recorded(POD, key) or now, watching_since)
        left = QUARANTINE_SECONDS - (now - since) / timedelta(seconds=1)
        return Writes(after_seconds=left) if left > 0 else _removed(pod, now)

    def of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
        pod = cast(Pod, obj)
        if _is_lost(view, pod):
            yield key_of(obj)
        if is_terminal(pod):
            yield from _beyond(view, ended_max)

    def every(view: Reader) -> Iterator[Key]:
        yield from (key_of(pod) for pod in view.list(POD) if _is_lost(view, pod))
        yield from _beyond(view, ended_max)

    return Controller(
        "pod-gc", reconcile, (Trigger("", "Pod", of_pod), Trigger("", "Node", _of_node)), resync=every
    )


def _beyond(view: Reader, kept_max: int) -> list[Key]:
    ended = _ended.get(view)
    if ended is None:
        ended = _ended[view] = _Ended()
    return ended.beyond(view, kept_max)


def _rank(pod: Pod) -> _Rank | None:
    """None: it has not ended."""
    if not is_terminal(pod):
        return None
    evicted = pod_status(pod).get("reason") == "Evicted"
    return _Rank(not evicted, pod["metadata"].get("creationTimestamp", ""), key_of(pod).text)


def _is_off(node: Node) -> bool:
    """Somebody says that it is shut down, and it is not Ready: nothing of it runs any more."""
    ready = node_condition(node, "Ready")
    off = any(one["key"] == OUT_OF_SERVICE for one in node["spec"].get("taints") or ())
    return off and (ready is None or ready["status"] != "True")


def _removed(pod: Pod, now: datetime) -> Writes:
    return Writes(update=() if is_terminal(pod) else (_failed(pod, now),), remove=(key_of(pod),))


def _failed(pod: Pod, now: datetime) -> Pod:
    status = pod_status(pod)
    told = with_condition(
        status.get("conditions") or (), "DisruptionTarget", True, "DeletionByPodGC", MESSAGE, now
    )
    return cast(Pod, {**pod, "status": {**status, "phase": "Failed", "conditions": told}})


def _is_lost(view: Reader, pod: Pod) -> bool:
    """Its node is gone or off, or it goes and never had one."""
    name = pod["spec"].get("nodeName")
    if not name:
        return is_going(pod)
    node = view.get(NODE, NODE.key("", name))
    return node is None or (is_going(pod) and _is_off(node))


def _of_node(view: Reader, obj: KubeObject) -> Iterator[Key]:
    name = obj["metadata"].get("name", "")
    node = view.get(NODE, NODE.key("", name))
    if node is None or _is_off(node):
        yield from map(key_of, view.on_node(POD, name))
