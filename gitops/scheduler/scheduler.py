"""Pods that wait: each gets the best node and is bound to it, or is told why there is none and whom it makes leave.

Source: kubernetes/pkg/scheduler/schedule_one.go and eventhandlers.go, 1.35. Pods that name another scheduler are left
alone. A round decides many pods from one view; what it gives away is booked until its end, so no place is given twice.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, cast

from gitops.kinds.core.pod import POD, Pod, is_terminal, pod_condition, pod_status
from gitops.kinds.keys import Key
from gitops.kinds.objects import Condition, KubeObject, is_going, key_of, timestamp, uid
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes
from gitops.scheduler.choice import fits, pick, refusals
from gitops.scheduler.filters import explain, nowhere
from gitops.scheduler.preemption import Candidate, preempt
from gitops.scheduler.state import Placed, Row, State, constrained, state_of
from gitops.scheduler.template import Template, claims_of
from gitops.scheduler.volumes import CLAIM, STORAGE_CLASS, VOLUME

SCHEDULER_NAME: Final = "default-scheduler"
SCHEDULED: Final = "PodScheduled"
DISRUPTED: Final = "DisruptionTarget"
GATED: Final = "Scheduling is blocked due to non-empty scheduling gates"
RETRY_SECONDS: Final = 300.0  # Whatever hint was lost, as Kubernetes.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """As `together`, of one pod."""
    ((_, writes),) = together(view, (key,), now)
    return writes


def together(view: Reader, keys: Sequence[Key], now: datetime) -> list[tuple[Key, Writes]]:
    """Decide pods without a node, the most important first, then the oldest.

    Args:
        view: read are the pods, nodes, and for some rules namespaces, services, owners and disruption budgets. It
            shows all our earlier bindings, or one place is given twice.
        keys: Pods.
        now: UTC; what conditions get.
    Returns:
        For each `spec.nodeName` and the condition PodScheduled; or that condition with the reasons and, where that
        makes room, less important pods deleted. Nothing if the same was said before.
    """
    state = state_of(view)
    answers: list[tuple[Key, Writes]] = []
    waiting: list[tuple[Key, Pod, Template]] = []
    for key in keys:
        pod = view.get(POD, key)
        if pod is None or not _is_waiting(pod):
            answers.append((key, NOTHING))
        elif pod["spec"].get("schedulingGates"):
            answers.append((key, _told(pod, "SchedulingGated", GATED, now)))
        else:
            waiting.append((key, pod, state.template_of(view, pod)))
    classes: dict[
        Template, int
    ] = {}  # Equal pods together: what was found out about one still holds for the next.
    for _, _, template in waiting:
        classes.setdefault(template, len(classes))
    waiting.sort(key=lambda one: (-one[2].priority, _created(one[1]), classes[one[2]], one[0].text))
    round_ = _Round(view, state)
    try:
        answers += [(key, round_.decide(key, pod, template, now)) for key, pod, template in waiting]
    finally:
        round_.undo()
    return answers


class _Round:
    """Decisions from one view, each seeing the ones before. `undo` leaves the state as the view has it."""

    def __init__(self, view: Reader, state: State) -> None:
        self._view, self._state = view, state
        self._booked: list[Placed] = []
        self._reserved: list[Key] = []
        self._doomed: set[Key] = set()
        self._hopeless: dict[Template, tuple[int, str]] = {}  # What was told of equal pods, at which version.

    def decide(self, key: Key, pod: Pod, template: Template, now: datetime) -> Writes:
        state = self._state
        if template.claims and state.order:
            asked = state.volumes.asked(template.namespace, template.claims)
            if asked.missing:
                return _told(pod, "Unschedulable", nowhere(asked.missing, len(state.order)), now)
        row = self._nominated(key, template) or pick(state, template, key)
        if row is not None:
            self._book(state.placed_as(self._view, key, pod, row.name))
            return _bound(pod, row.name, now)
        known = self._hopeless.get(template)
        if known is not None and known[0] == state.version and key not in state.nominated:
            return _told(pod, "Unschedulable", known[1], now)
        message = explain(refusals(state, template, key))
        if not state.order:
            return _told(pod, "Unschedulable", message, now)
        candidate, why = preempt(self._view, state, template, key)
        if candidate is not None:
            return self._preempting(key, pod, candidate, message, now)
        message = f"{message} preemption: {why}"
        self._hopeless[template] = (state.version, message)
        return _told(pod, "Unschedulable", message, now)

    def undo(self) -> None:
        for one in reversed(self._booked):
            self._state.unbook(one)
        for key in self._reserved:
            self._state.nominated.pop(key, None)

    def _nominated(self, key: Key, template: Template) -> Row | None:
        """The node whose pods made way for this one is tried first, alone."""
        nominated = self._state.nominated.get(key)
        row = self._state.rows.get(nominated.node) if nominated else None
        return row if row is not None and fits(self._state, template, row, key) else None

    def _book(self, one: Placed) -> None:
        self._state.book(one)
        self._booked.append(one)

    def _preempting(self, key: Key, pod: Pod, candidate: Candidate, message: str, now: datetime) -> Writes:
        node = candidate.row.name
        if key not in self._state.nominated:
            self._state.nominated[key] = self._state.placed_as(self._view, key, pod, node)
            self._state.version += 1
            self._reserved.append(key)
        victims = [
            victim
            for one in candidate.victims
            if not one.going and one.key not in self._doomed
            if (victim := self._view.get(POD, one.key)) is not None
        ]
        self._doomed.update(map(key_of, victims))
        told = _with_condition(pod, SCHEDULED, "False", "Unschedulable", message, now)
        reserved = cast(Pod, {**told, "status": {**pod_status(told), "nominatedNodeName": node}})
        text = f"Preempted by pod {uid(pod)} on node {node}"
        events = [EventNote(pod, "Warning", "FailedScheduling", message)]
        events += [EventNote(victim, "Normal", "Preempted", text) for victim in victims]
        return Writes(
            update=tuple(_disrupted(victim, now) for victim in victims),
            delete=tuple(map(key_of, victims)),
            status=None if reserved == pod else reserved,
            events=tuple(events),
            after_seconds=RETRY_SECONDS,
        )


def _bound(pod: Pod, node: str, now: datetime) -> Writes:
    placed = _with_condition(pod, SCHEDULED, "True", "", "", now)
    status = {name: value for name, value in pod_status(placed).items() if name != "nominatedNodeName"}
    bound = cast(Pod, {**placed, "spec": {**pod["spec"], "nodeName": node}, "status": status})
    message = f"Successfully assigned {_place(pod)} to {node}"
    return Writes(status=bound, events=(EventNote(pod, "Normal", "Scheduled", message),))


def _told(pod: Pod, reason: str, message: str, now: datetime) -> Writes:
    after_seconds = None if reason == "SchedulingGated" else RETRY_SECONDS
    told = pod_condition(pod, SCHEDULED)
    if told and told["status"] == "False" and (told.get("reason"), told.get("message")) == (reason, message):
        return Writes(after_seconds=after_seconds)
    waiting = _with_condition(pod, SCHEDULED, "False", reason, message, now)
    events = () if reason == "SchedulingGated" else (EventNote(pod, "Warning", "FailedScheduling", message),)
    return Writes(status=waiting, events=events, after_seconds=after_seconds)


def _disrupted(victim: Pod, now: datetime) -> Pod:
    message = f"{SCHEDULER_NAME}: preempting to accommodate a higher priority pod"
    return _with_condition(victim, DISRUPTED, "True", "PreemptionByScheduler", message, now)


def _with_condition(pod: Pod, name: str, status: str, reason: str, message: str, now: datetime) -> Pod:
    condition: Condition = {"type": name, "status": status, "lastTransitionTime": timestamp(now)}
    old = pod_condition(pod, name)
    if old and old["status"] == status and "lastTransitionTime" in old:
        condition["lastTransitionTime"] = old["lastTransitionTime"]
    if reason:
        condition["reason"], condition["message"] = reason, message
    others = [one for one in pod_status(pod).get("conditions") or () if one["type"] != name]
    return cast(Pod, {**pod, "status": {**pod_status(pod), "conditions": [*others, condition]}})


def _is_waiting(pod: Pod) -> bool:
    """For this scheduler, and still to run."""
    if pod["spec"].get("nodeName") or is_going(pod) or is_terminal(pod):
        return False
    return pod["spec"]["schedulerName"] == SCHEDULER_NAME


def _created(pod: Pod) -> str:
    return pod["metadata"].get("creationTimestamp", "")


def _place(pod: Pod) -> str:
    return f"{pod['metadata'].get('namespace')}/{pod['metadata'].get('name')}"


def _waiting(view: Reader) -> Iterator[Key]:
    return (key_of(pod) for pod in view.on_node(POD, "") if _is_waiting(pod))


def _of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """A pod that waits; all that wait, when one has left its node; those that look at neighbours, whatever one does."""
    key = key_of(obj)
    pod = view.get(POD, key)
    if pod is not None and _is_waiting(pod):
        yield key
    elif not cast(Pod, obj)["spec"].get("nodeName"):
        return
    elif pod is None or is_terminal(pod):
        yield from _waiting(view)
    else:
        yield from constrained(view)


def _of_node(view: Reader, _: KubeObject) -> Iterator[Key]:
    return _waiting(view)


def _of_volume(view: Reader, _: KubeObject) -> Iterator[Key]:
    """Pods that wait and have claims."""
    return (key_of(pod) for pod in view.on_node(POD, "") if _is_waiting(pod) and claims_of(pod))


SCHEDULER: Final = Controller(
    "scheduler",
    reconcile,
    (
        Trigger("", "Pod", _of_pod),
        Trigger("", "Node", _of_node),
        *(Trigger(*kind, _of_volume) for kind in (CLAIM, VOLUME, STORAGE_CLASS)),
    ),
    resync=_waiting,
    serial=True,
    together=together,
)
