"""A pod's conditions, in the order in which Kubernetes writes them. Pure.

Source: kubernetes/pkg/kubelet/status/generate.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, cast

from agent.pods.observed import RESIZE, PodObserved
from agent.pods.resizing import resizing, withheld
from agent.runtime.protocol import Phase
from gitops.kinds.core.pod import ContainerStatus, Pod, PodPhase, is_sidecar, pod_status
from gitops.kinds.objects import Condition, timestamp

RESIZES: Final = ("PodResizePending", "PodResizeInProgress")
DONE: Final = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}


def conditions(
    desired: Pod,
    observed: PodObserved,
    statuses: Sequence[ContainerStatus],
    phase: PodPhase,
    *,
    initialized: bool,
    now: datetime,
) -> list[Condition]:
    """What others wrote (PodScheduled, DisruptionTarget) is kept; `lastTransitionTime` moves only with the status."""
    sandbox = observed.sandbox
    wired = sandbox is not None and sandbox.phase is Phase.RUNNING and bool(observed.address)
    inits = {one["name"] for one in desired["spec"].get("initContainers", ()) if not is_sidecar(one)}
    unready = [one["name"] for one in statuses if not one["ready"] and one["name"] not in inits]
    ready = _ready(phase, unready, initialized)
    known = {one["type"]: one for one in pod_status(desired).get("conditions", ())}
    written = [
        _condition("PodReadyToStartContainers", wired),
        _initialized(phase, [one for one in statuses if one["name"] in inits], initialized),
        cast(Condition, {**_gated(desired, ready, known), "type": "Ready"}),
        ready,
    ]
    if "PodScheduled" not in known:
        written.append(_condition("PodScheduled", True))
    ours = {*(one["type"] for one in written), *RESIZES}
    written += _resizes(desired, observed)
    others = [one for name, one in known.items() if name not in ours]
    generation = desired["metadata"].get("generation")
    return [_stamped(one, known.get(one["type"]), generation, now) for one in written] + others


def _ready(phase: PodPhase, unready: Sequence[str], initialized: bool) -> Condition:
    if reason := DONE.get(phase):
        return {**_condition("ContainersReady", False), "reason": reason}
    if initialized and not unready:
        return _condition("ContainersReady", True)
    message = f"containers with unready status: [{' '.join(unready)}]"
    return {**_condition("ContainersReady", False), "reason": "ContainersNotReady", "message": message}


def _gated(desired: Pod, ready: Condition, known: Mapping[str, Condition]) -> Condition:
    """Ready only when all its readiness gates are open too: conditions that others write."""
    if ready["status"] != "True":
        return ready
    shut = []
    for name in (gate["conditionType"] for gate in desired["spec"].get("readinessGates", ())):
        gate = known.get(name)
        if gate is None:
            shut.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif gate["status"] != "True":
            shut.append(f'the status of pod readiness gate "{name}" is not "True", but {gate["status"]}')
    if not shut:
        return ready
    return {**_condition("Ready", False), "reason": "ReadinessGatesNotReady", "message": ", ".join(shut)}


def _resizes(desired: Pod, observed: PodObserved) -> list[Condition]:
    """Of a resize that is asked for and not done. Absent: there is none."""
    if not resizing(desired, observed):
        return []
    if why := withheld(desired, observed):
        return [{**_condition(RESIZES[0], True), "reason": why.reason, "message": why.message}]
    if trouble := observed.trouble.get(RESIZE):
        return [{**_condition(RESIZES[1], True), "reason": "Error", "message": trouble.message}]
    return [_condition(RESIZES[1], True)]


def _initialized(phase: PodPhase, inits: Iterable[ContainerStatus], initialized: bool) -> Condition:
    if not initialized:
        todo = [one["name"] for one in inits if not one["ready"]]
        message = f"containers with incomplete status: [{' '.join(todo)}]"
        return {**_condition("Initialized", False), "reason": "ContainersNotInitialized", "message": message}
    condition = _condition("Initialized", True)
    return {**condition, "reason": "PodCompleted"} if phase == "Succeeded" else condition


def _condition(name: str, holds: bool) -> Condition:
    return {"type": name, "status": "True" if holds else "False"}


def _stamped(
    condition: Condition, known: Condition | None, generation: int | None, now: datetime
) -> Condition:
    """When its status last changed, and of which generation of the pod it speaks."""
    since = timestamp(now)
    if known is not None and known["status"] == condition["status"]:
        since = known.get("lastTransitionTime", since)
    stamped: Condition = {**condition, "lastTransitionTime": since}
    return {**stamped, "observedGeneration": generation} if generation else stamped
