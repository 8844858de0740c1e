"""What the API is told of one container: waiting, running or terminated, how often it restarted, its last words. Pure.

What the engine no longer knows (a container that somebody removed) is taken from the status that the API holds.
Source: kubernetes/pkg/kubelet (`convertToAPIContainerStatuses`).
"""

from datetime import datetime
from typing import Final, NamedTuple

from agent.pods.backoff import back_off_seconds, may_start_at
from agent.pods.observed import PodObserved
from agent.pods.resizing import is_outdated
from agent.pods.restarting import every_container, is_ephemeral, is_init, restarts
from agent.runtime.protocol import ContainerState, Phase
from gitops.kinds.core.pod import (
    Container,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    is_terminal,
    pod_status,
)
from gitops.kinds.core.pod import ContainerState as StatedContainer
from gitops.kinds.objects import is_going, timestamp

ENGINE: Final = "docker"
KILLED_EXIT_CODE: Final = 137
ERR_IMAGE_PULL_SECONDS: Final = (
    2  # How long a failed pull is shown as such, before it is shown as backing off.
)
POD_MESSAGES_MAX_BYTES: Final = 12 << 10  # Of all its containers together, in equal parts.
OOM_REASON: Final = "OOMKilled"


def known_status(pod: Pod, name: str) -> ContainerStatus | None:
    """What the API says of it so far."""
    told = pod_status(pod)
    every = (
        *told.get("initContainerStatuses", ()),
        *told.get("containerStatuses", ()),
        *told.get("ephemeralContainerStatuses", ()),
    )
    return next((status for status in every if status["name"] == name), None)


def exit_code_of(status: ContainerStatus) -> int | None:
    """None: it has not ended."""
    ended = status["state"].get("terminated")
    return ended["exitCode"] if ended else None


def _id(state: ContainerState) -> str:
    return f"{ENGINE}://{state.id}"


def is_started(
    container: Container, observed: PodObserved, state: ContainerState, known: ContainerStatus | None
) -> bool:
    verdict = observed.verdicts.get(container["name"])
    if verdict is not None and verdict.container_id == state.id:
        return verdict.started
    if known is not None and known.get("containerID") == _id(state):
        return known.get("started", False)  # An agent that was restarted believes what it said before.
    return "startupProbe" not in container


def _ready(
    container: Container, observed: PodObserved, state: ContainerState, known: ContainerStatus | None
) -> bool:
    verdict = observed.verdicts.get(container["name"])
    if verdict is not None and verdict.container_id == state.id:
        return verdict.started and verdict.ready
    if known is not None and known.get("containerID") == _id(state) and "running" in known.get("state", {}):
        return known["ready"]
    return "readinessProbe" not in container and "startupProbe" not in container


def container_status(
    desired: Pod, observed: PodObserved, container: Container, now: datetime
) -> ContainerStatus:
    """Of an init, app or ephemeral container."""
    first_wait = "PodInitializing" if desired["spec"].get("initContainers") else "ContainerCreating"
    known = known_status(desired, container["name"])
    name, history = container["name"], observed.history(container["name"])
    newest = next(iter(history), None)
    status: ContainerStatus = {
        "name": name,
        "state": {},
        "lastState": {},
        "ready": False,
        "restartCount": known["restartCount"] if known else 0,
        "image": container["image"],
        "imageID": known["imageID"] if known else "",
    }
    if newest is None:
        return _absent(status, desired, observed, known, first_wait, now)
    status["restartCount"] = max(newest.attempt, status["restartCount"])
    status["imageID"] = newest.image_id
    status["containerID"] = _id(newest)
    if container.get("lifecycle", {}).get("stopSignal") and newest.stop_signal:
        status["stopSignal"] = newest.stop_signal
    status["started"] = False
    earlier = [state for state in history[1:] if state.phase is Phase.EXITED]
    words = _Words(desired, observed, known)
    if earlier:
        status["lastState"] = {"terminated": _terminated(earlier[0], words)}
    match newest.phase:
        case Phase.RUNNING if not observed.runs(newest):
            status["state"] = {"waiting": {"reason": first_wait}}
        case Phase.RUNNING:
            status["state"] = {"running": {"startedAt": timestamp(newest.started_at or now)}}
            status["started"] = is_started(container, observed, newest, known)
            _with_resources(status, desired, container, newest, known)
            serves = not is_going(desired) and not is_init(desired, container)
            serves = serves and not is_ephemeral(desired, container)
            status["ready"] = serves and _ready(container, observed, newest, known)
        case Phase.CREATED:
            status["state"] = {"waiting": _waiting(container, observed, first_wait, now)}
        case Phase.EXITED:
            ended = _terminated(newest, words)
            status["state"] = {"terminated": ended}
            status["ready"] = is_init(desired, container) and newest.exit_code == 0
            if wait := _wait_after(desired, observed, container, newest, now):
                status["state"], status["lastState"] = wait, {"terminated": ended}
    return status


def _with_resources(
    status: ContainerStatus,
    desired: Pod,
    container: Container,
    running: ContainerState,
    known: ContainerStatus | None,
) -> None:
    """What it has: what it shall have, or until a resize is done what was told before."""
    has = container["resources"]
    if is_outdated(desired, container, running):
        has = known.get("resources", {}) if known else {}
    if has:
        status["resources"] = has
        if "requests" in has:
            status["allocatedResources"] = has["requests"]


def _absent(
    status: ContainerStatus,
    desired: Pod,
    observed: PodObserved,
    known: ContainerStatus | None,
    first_wait: str,
    now: datetime,
) -> ContainerStatus:
    """The engine has no such container: not made yet, or somebody removed it."""
    state = known.get("state", {}) if known else {}
    container = next(one for one in every_container(desired) if one["name"] == status["name"])
    final = is_going(desired) or is_terminal(desired) or not restarts(desired, container, KILLED_EXIT_CODE)
    if known and "terminated" in state and (final or observed.running):
        return known
    if known and "running" in state:
        lost: ContainerStateTerminated = {
            "exitCode": KILLED_EXIT_CODE,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located",
            "containerID": known.get("containerID", ""),
        }
        if final:
            return {**status, "state": {"terminated": lost}, "started": False}
        status["lastState"] = {"terminated": lost}
    status["state"] = {"waiting": _waiting(container, observed, first_wait, now)}
    status["started"] = False
    return status


def _wait_after(
    desired: Pod, observed: PodObserved, container: Container, ended: ContainerState, now: datetime
) -> StatedContainer | None:
    """Why a container that ended is not running again yet; None: it is not to run, or starts at once."""
    if is_going(desired) or is_terminal(desired) or not restarts(desired, container, ended.exit_code):
        return None
    if container["name"] in observed.trouble:
        return {"waiting": _waiting(container, observed, "ContainerCreating", now)}
    may_start = may_start_at(ended)
    if may_start is None or may_start <= now:
        return None
    meta = desired["metadata"]
    pod = f"{meta.get('name', '')}_{meta.get('namespace', '')}({meta.get('uid', '')})"
    delay = _go_seconds(back_off_seconds(ended))
    message = f"back-off {delay} restarting failed container={container['name']} pod={pod}"
    return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}


def _go_seconds(seconds: int) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _waiting(
    container: Container, observed: PodObserved, otherwise: str, now: datetime
) -> ContainerStateWaiting:
    trouble = observed.trouble.get(container["name"])
    if trouble is None:
        return {"reason": otherwise}
    if trouble.reason == "ErrImagePull" and (now - trouble.at).total_seconds() >= ERR_IMAGE_PULL_SECONDS:
        message = f'Back-off pulling image "{container["image"]}": ErrImagePull: {trouble.message}'
        return {"reason": "ImagePullBackOff", "message": message}
    return {"reason": trouble.reason, "message": trouble.message}


class _Words(NamedTuple):
    """Where the last words of a container's attempts are found."""

    pod: Pod
    observed: PodObserved
    known: ContainerStatus | None

    def of(self, state: ContainerState) -> str:
        """What was reported once stays: the file is gone when the pod's volumes are."""
        for stated in (self.known.get("state"), self.known.get("lastState")) if self.known else ():
            ended = stated.get("terminated") if stated else None
            if ended is not None and ended.get("containerID") == _id(state):
                return ended.get("message", "")
        words = [state.error, self.observed.messages.get(state.id, "")]
        size = POD_MESSAGES_MAX_BYTES // len(every_container(self.pod))
        return ": ".join(filter(None, words)).encode()[:size].decode(errors="ignore")


def _terminated(state: ContainerState, words: _Words) -> ContainerStateTerminated:
    ended: ContainerStateTerminated = {"exitCode": state.exit_code, "reason": _why_ended(state)}
    if message := words.of(state):
        ended["message"] = message
    if state.started_at:
        ended["startedAt"] = timestamp(state.started_at)
    if finished := state.finished_at or state.created_at:
        ended["finishedAt"] = timestamp(finished)
    ended["containerID"] = _id(state)
    return ended


def _why_ended(state: ContainerState) -> str:
    if state.started_at is None:
        return "StartError"
    if state.oom_killed:
        return OOM_REASON
    return "Completed" if state.exit_code == 0 else "Error"
