"""Taint eviction: pods leave a node with a NoExecute taint that they do not tolerate, or no longer.

Source: kubernetes/pkg/controller/tainteviction, 1.35. The time that a pod tolerates a taint counts from when our own
controllers set it, and not before this leader has watched: a master that was away for an hour evicts nothing at once.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, cast

from gitops.controllers.conditions import with_condition
from gitops.kinds.core.node import NODE, Node, Taint
from gitops.kinds.core.pod import POD, Pod, Toleration, is_terminal, pod_status
from gitops.kinds.core.tolerations import tolerates_one
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of, moment_of
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

DISRUPTED: Final = "DisruptionTarget"
MESSAGE: Final = "Taint manager: deleting due to NoExecute taint"


def taint_eviction(watching_since: datetime) -> Controller:
    """The controller of a leader that has watched since then."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Delete a pod whose node has a taint that it does not tolerate, or say until when it does.

        Args:
            view: read are `key` and its node.
            key: a Pod.
            now: UTC.
        """
        pod = view.get(POD, key)
        if pod is None or is_going(pod) or is_terminal(pod) or not (name := pod["spec"].get("nodeName")):
            return NOTHING
        node = view.get(NODE, NODE.key("", name))
        taints = _no_execute(node) if node is not None else []
        if not taints:
            return NOTHING
        left = _seconds_left(pod, taints, max(_since(taints) or now, watching_since), now)
        if left is None:
            return NOTHING
        if left > 0:
            return Writes(after_seconds=left)
        note = EventNote(
            pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key.namespace}/{key.name}"
        )
        return Writes(update=(_disrupted(pod, now),), delete=(key,), events=(note,))

    return Controller(
        "taint-eviction",
        reconcile,
        (Trigger("", "Pod", _of_pod), Trigger("", "Node", _of_node)),
        resync=_on_tainted_nodes,
    )


def _no_execute(node: Node) -> list[Taint]:
    return [one for one in node["spec"].get("taints") or () if one["effect"] == "NoExecute"]


def _since(taints: list[Taint]) -> datetime | None:
    """When the newest of them was set; None where nobody said."""
    times = [moment_of(added) for one in taints if (added := cast("dict[str, str]", one).get("timeAdded"))]
    return max(times, default=None)


def _seconds_left(pod: Pod, taints: list[Taint], since: datetime, now: datetime) -> float | None:
    """The shortest time that its tolerations give it; 0 if one is missing; None: for ever."""
    tolerations = pod["spec"].get("tolerations") or ()
    used: list[Toleration] = []
    for taint in taints:
        found = next((one for one in tolerations if tolerates_one(one, taint)), None)
        if found is None:
            return 0.0
        used.append(found)
    limits = [max(one["tolerationSeconds"], 0) for one in used if "tolerationSeconds" in one]
    return max(min(limits) - (now - since) / timedelta(seconds=1), 0.0) if limits else None


def _disrupted(pod: Pod, now: datetime) -> Pod:
    before = pod_status(pod).get("conditions") or ()
    told = with_condition(before, DISRUPTED, True, "DeletionByTaintManager", MESSAGE, now)
    return cast(Pod, {**pod, "status": {**pod_status(pod), "conditions": told}})


def _of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """Only on a tainted node: most changes of pods are not ours."""
    name = cast(Pod, obj)["spec"].get("nodeName")
    node = view.get(NODE, NODE.key("", name)) if name else None
    if node is not None and _no_execute(node):
        yield key_of(obj)


def _of_node(view: Reader, obj: KubeObject) -> Iterator[Key]:
    if _no_execute(cast(Node, obj)):
        yield from map(key_of, view.on_node(POD, obj["metadata"].get("name", "")))


def _on_tainted_nodes(view: Reader) -> Iterator[Key]:
    for node in view.list(NODE):
        yield from _of_node(view, node)
