"""A pod's row in `kubectl get pods`; STATUS is worked out from all its containers.

Source: Kubernetes, pkg/printers/internalversion/printers.go, `printPod`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from gitops.kinds.core.pod_types import (
    ContainerStateTerminated,
    ContainerStatus,
    Pod,
    is_ready,
    is_sidecar,
    is_terminal,
    pod_condition,
    pod_phase,
    pod_status,
)
from gitops.kinds.objects import is_going
from gitops.kinds.tables import NONE, Row, age, age_of, columns, name_of

POD_COLUMNS: Final = columns(
    "Name",
    "Ready",
    "Status",
    "Restarts",
    "Age",
    wide=("IP", "Node", "Nominated Node", "Readiness Gates"),
)


class Summary(NamedTuple):
    """A pod in a line: what `kubectl get pods` says of it."""

    ready: int
    containers: int
    status: str
    restarts: int
    last_restart: str | None  # When.


class _Initialized(NamedTuple):
    """What the init containers say: `reason` is '' once they are done."""

    reason: str
    ready_sidecars: int


def pod_cells(pod: Pod, now: datetime) -> Row:
    summary = summarize(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts += f" ({age(summary.last_restart, now)} ago)"
    status = pod_status(pod)
    address = next((one["ip"] for one in status.get("podIPs") or ()), status.get("podIP") or NONE)
    return (
        name_of(pod),
        f"{summary.ready}/{summary.containers}",
        summary.status,
        restarts,
        age_of(pod, now),
        address,
        pod["spec"].get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        NONE,
    )


def summarize(pod: Pod) -> Summary:
    """STATUS, READY and RESTARTS of a pod."""
    status, reason = pod_status(pod), pod_status(pod).get("reason") or pod_phase(pod)
    scheduled = pod_condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    sidecars = {one["name"] for one in pod["spec"].get("initContainers") or () if is_sidecar(one)}
    inits = status.get("initContainerStatuses") or []
    initialized = _initialized(inits, sidecars, len(pod["spec"].get("initContainers") or ()))
    ready, counted = initialized.ready_sidecars, inits
    condition = pod_condition(pod, "Initialized")
    if not initialized.reason or (condition is not None and condition["status"] == "True"):
        main = status.get("containerStatuses") or []
        counted = [*(one for one in inits if one["name"] in sidecars), *main]
        running = sum(1 for one in main if _runs(one))
        ready += running
        reason = _reason(main, initialized.reason or reason)
        if reason == "Completed" and running:
            reason = "Running" if is_ready(pod) else "NotReady"
    else:
        reason = initialized.reason
    if is_going(pod) and status.get("reason") == "NodeLost":
        reason = "Unknown"
    elif is_going(pod) and not is_terminal(pod):
        reason = "Terminating"
    return Summary(
        ready,
        len(pod["spec"]["containers"]) + len(sidecars),
        reason,
        sum(one.get("restartCount", 0) for one in counted),
        _last_restart(counted),
    )


def _initialized(statuses: list[ContainerStatus], sidecars: set[str], count: int) -> _Initialized:
    ready = 0
    for index, status in enumerate(statuses):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated["exitCode"] == 0:
            continue
        if status["name"] in sidecars and status.get("started"):
            ready += status["ready"]
            continue
        if terminated is not None:
            return _Initialized(f"Init:{_end(terminated)}", ready)
        if waiting is not None and (reason := waiting.get("reason")) and reason != "PodInitializing":
            return _Initialized(f"Init:{reason}", ready)
        return _Initialized(f"Init:{index}/{count}", ready)
    return _Initialized("", ready)


def _runs(status: ContainerStatus) -> bool:
    """Ready, and neither waiting nor ended for a reason."""
    state = status.get("state") or {}
    waits = bool((state.get("waiting") or {}).get("reason"))
    return status["ready"] and "running" in state and not waits and state.get("terminated") is None


def _reason(statuses: list[ContainerStatus], reason: str) -> str:
    """The first container that waits or has ended gives the reason: the walk goes from last to first."""
    for status in reversed(statuses):
        state = status.get("state") or {}
        if waiting := (state.get("waiting") or {}).get("reason"):
            reason = waiting
        elif (terminated := state.get("terminated")) is not None:
            reason = _end(terminated)
    return reason


def _end(terminated: ContainerStateTerminated) -> str:
    if reason := terminated.get("reason"):
        return reason
    signal = terminated.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated['exitCode']}"


def _last_restart(statuses: Iterable[ContainerStatus]) -> str | None:
    """When the last run before the present one ended."""
    last = [state for status in statuses if (state := (status.get("lastState") or {}).get("terminated"))]
    return max((end for state in last if (end := state.get("finishedAt"))), default=None)
