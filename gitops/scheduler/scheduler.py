"""One pod: find it a node and bind it, or say why there is none.

Source: kubernetes/pkg/scheduler/schedule_one.go, 1.35. Pods that name another scheduler are left alone. There is no
preemption yet.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod, is_terminal, pod_condition, pod_status
from gitops.kinds.keys import Key
from gitops.kinds.objects import Condition, KubeObject, is_going, key_of, timestamp
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes
from gitops.scheduler.filters import explain, reasons_against
from gitops.scheduler.nodes import node_state
from gitops.scheduler.scores import best

SCHEDULER_NAME: Final = "default-scheduler"
SCHEDULED: Final = "PodScheduled"


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bind a pod that has no node.

    Args:
        view: read are `key`, all nodes and the pods on them. It shows our last binding, or one place is given twice.
        key: a Pod.
        now: UTC; what the condition gets.
    Returns:
        `spec.nodeName` and the condition PodScheduled, or that condition with the reasons; then it waits until a node
        changes or a pod leaves. Nothing if the same was said before.
    """
    pod = view.get(POD, key)
    if pod is None or not _is_waiting(pod):
        return NOTHING
    states = [node_state(view, node) for node in view.list(NODE) if not is_going(node)]
    refusals = [reasons_against(pod, state) for state in states]
    feasible = [state for state, reasons in zip(states, refusals, strict=True) if not reasons]
    if not feasible:
        return _unschedulable(pod, explain(refusals), now)
    return _bound(pod, best(pod, feasible).name, now)


def _bound(pod: Pod, node: str, now: datetime) -> Writes:
    placed = _with_condition(pod, "True", "", "", now)
    bound = cast(Pod, {**placed, "spec": {**pod["spec"], "nodeName": node}})
    message = f"Successfully assigned {_place(pod)} to {node}"
    return Writes(status=bound, events=(EventNote(pod, "Normal", "Scheduled", message),))


def _unschedulable(pod: Pod, message: str, now: datetime) -> Writes:
    told = pod_condition(pod, SCHEDULED)
    if told and told["status"] == "False" and told.get("message") == message:
        return NOTHING
    waiting = _with_condition(pod, "False", "Unschedulable", message, now)
    return Writes(status=waiting, events=(EventNote(pod, "Warning", "FailedScheduling", message),))


def _with_condition(pod: Pod, status: str, reason: str, message: str, now: datetime) -> Pod:
    condition: Condition = {"type": SCHEDULED, "status": status, "lastTransitionTime": timestamp(now)}
    old = pod_condition(pod, SCHEDULED)
    if old and old["status"] == status and "lastTransitionTime" in old:
        condition["lastTransitionTime"] = old["lastTransitionTime"]
    if reason:
        condition["reason"], condition["message"] = reason, message
    others = [one for one in pod_status(pod).get("conditions") or () if one["type"] != SCHEDULED]
    return cast(Pod, {**pod, "status": {**pod_status(pod), "conditions": [*others, condition]}})


def _is_waiting(pod: Pod) -> bool:
    """For this scheduler, and still to run."""
    if pod["spec"].get("nodeName") or is_going(pod) or is_terminal(pod):
        return False
    return pod["spec"]["schedulerName"] == SCHEDULER_NAME


def _place(pod: Pod) -> str:
    return f"{pod['metadata'].get('namespace')}/{pod['metadata'].get('name')}"


def _waiting(view: Reader) -> Iterator[Key]:
    return (key_of(pod) for pod in view.list(POD) if _is_waiting(pod))


def _of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """A pod that waits; and all that wait, when one has left its node."""
    key = key_of(obj)
    pod = view.get(POD, key)
    if pod is not None and _is_waiting(pod):
        yield key
    elif cast(Pod, obj)["spec"].get("nodeName") and (pod is None or is_terminal(pod)):
        yield from _waiting(view)


def _of_node(view: Reader, _: KubeObject) -> Iterator[Key]:
    return _waiting(view)


SCHEDULER: Final = Controller(
    "scheduler",
    reconcile,
    (Trigger("", "Pod", _of_pod), Trigger("", "Node", _of_node)),
    resync=_waiting,
    serial=True,
)
