"""Pod garbage: pods that no node will ever end. Those of nodes that are gone, and unscheduled ones that are going.

Source: kubernetes/pkg/controller/podgc, 1.35. A node must be missing for a while: one that is made again under its
name keeps its pods. Pods that have ended stay.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, cast

from gitops.controllers.conditions import with_condition
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod, is_terminal, pod_status
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

QUARANTINE_SECONDS: Final = 40.0
MESSAGE: Final = "PodGC: node no longer exists"


def pod_gc(watching_since: datetime) -> Controller:
    """The controller of a leader that has watched since then."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Remove a pod that nobody will end.

        Args:
            view: read are `key` and its node.
            key: a Pod.
            now: UTC.
        Returns:
            The pod's removal, without grace; before it, that it has failed, for those who count failures.
        """
        pod = view.get(POD, key)
        if pod is None:
            return NOTHING
        node = pod["spec"].get("nodeName")
        if not node:
            return Writes(remove=(key,)) if is_going(pod) else NOTHING
        if view.get(NODE, NODE.key("", node)) is not None:
            return NOTHING
        since = max(view.recorded(POD, key) or now, watching_since)
        left = QUARANTINE_SECONDS - (now - since) / timedelta(seconds=1)
        if left > 0:
            return Writes(after_seconds=left)
        if is_terminal(pod):
            return Writes(remove=(key,))
        return Writes(update=(_failed(pod, now),), remove=(key,))

    return Controller(
        "pod-gc",
        reconcile,
        (Trigger("", "Pod", _of_pod), Trigger("", "Node", _of_node)),
        resync=_lost,
    )


def _failed(pod: Pod, now: datetime) -> Pod:
    status = pod_status(pod)
    told = with_condition(
        status.get("conditions") or (), "DisruptionTarget", True, "DeletionByPodGC", MESSAGE, now
    )
    return cast(Pod, {**pod, "status": {**status, "phase": "Failed", "conditions": told}})


def _of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
    pod = cast(Pod, obj)
    node = pod["spec"].get("nodeName")
    if (not node and is_going(pod)) or (node and view.get(NODE, NODE.key("", node)) is None):
        yield key_of(obj)


def _of_node(view: Reader, obj: KubeObject) -> Iterator[Key]:
    name = obj["metadata"].get("name", "")
    if view.get(NODE, NODE.key("", name)) is None:
        yield from map(key_of, view.on_node(POD, name))


def _lost(view: Reader) -> Iterator[Key]:
    """All of them."""
    nodes = {node["metadata"].get("name", "") for node in view.list(NODE)}
    for pod in view.list(POD):
        node = pod["spec"].get("nodeName")
        if (node and node not in nodes) or (not node and is_going(pod)):
            yield key_of(pod)
