"""A pod's status from what is observed: phase, conditions in Kubernetes' order, one entry for each container.

Pure. What the engine no longer knows (a container that somebody removed) is taken from the status that the API holds.
Source: kubernetes/pkg/kubelet (`getPhase`, `convertToAPIContainerStatuses`, `status/generate.go`).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from agent.pods.backoff import back_off_seconds, may_start_at, restarts
from agent.pods.conditions import conditions
from agent.pods.observed import PodObserved
from agent.pods.resources import qos_class
from agent.runtime.protocol import ContainerState, Phase
from gitops.kinds.core.pod import (
    Container,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodPhase,
    PodStatus,
    is_sidecar,
    is_terminal,
    pod_phase,
    pod_status,
)
from gitops.kinds.core.pod import ContainerState as StatedContainer
from gitops.kinds.objects import is_going, moment_of, timestamp

ENGINE: Final = "docker"
KILLED_EXIT_CODE: Final = 137
ERR_IMAGE_PULL_SECONDS: Final = (
    2  # How long a failed pull is shown as such, before it is shown as backing off.
)
POD_MESSAGES_MAX_BYTES: Final = 12 << 10  # Of all its containers together, in equal parts.
OOM_REASON: Final = "OOMKilled"


def report(desired: Pod, observed: PodObserved, now: datetime) -> PodStatus:
    """What the API shall say of the pod now. Equal to its present status where nothing changed."""
    known = pod_status(desired)
    spec = desired["spec"]
    initialized = is_initialized(desired, observed) or is_terminal(desired)
    first_wait = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    inits = [
        _container(
            desired,
            observed,
            container,
            _known(known.get("initContainerStatuses"), container),
            first_wait,
            now,
        )
        for container in spec.get("initContainers", ())
    ]
    apps = [
        _container(
            desired, observed, container, _known(known.get("containerStatuses"), container), first_wait, now
        )
        for container in spec["containers"]
    ]
    phase, reason, message = _phase(desired, observed, inits, apps, initialized=initialized, now=now)
    status: PodStatus = {"phase": phase}
    if reason:
        status["reason"], status["message"] = reason, message
    status["conditions"] = conditions(
        desired, observed, (*inits, *apps), phase, initialized=initialized, now=now
    )
    if observed.node_address:
        status["hostIP"] = observed.node_address
        status["hostIPs"] = [{"ip": observed.node_address}]
    if address := observed.address or known.get("podIP", ""):
        status["podIP"] = address
        status["podIPs"] = [{"ip": address}]
    status["startTime"] = known.get("startTime") or timestamp(now)
    status["qosClass"] = known.get("qosClass") or qos_class(desired)
    if inits:
        status["initContainerStatuses"] = inits
    status["containerStatuses"] = apps
    if generation := desired["metadata"].get("generation"):
        status["observedGeneration"] = generation
    return status


def is_initialized(desired: Pod, observed: PodObserved) -> bool:
    """All init containers of this sandbox have done their part: ended well, or as a sidecar started. Once an app
    container was made for it they surely had, even if somebody removed their remains since."""
    sandbox = observed.sandbox
    if sandbox is None:
        return False
    apps = {container["name"] for container in desired["spec"]["containers"]}
    if any(state.container in apps and state.sandbox_id == sandbox.id for state in observed.containers):
        return True
    return all(is_init_done(desired, observed, one) for one in desired["spec"].get("initContainers", ()))


def is_init_done(desired: Pod, observed: PodObserved, container: Container) -> bool:
    """Whether the next init container may start."""
    newest, sandbox = observed.newest(container["name"]), observed.sandbox
    if newest is None or sandbox is None or newest.sandbox_id != sandbox.id:
        return False
    if is_sidecar(container):
        known = _known(pod_status(desired).get("initContainerStatuses"), container)
        return observed.runs(newest) and _started(container, observed, newest, known)
    return newest.phase is Phase.EXITED and newest.exit_code == 0


def _known(statuses: Iterable[ContainerStatus] | None, container: Container) -> ContainerStatus | None:
    return next((status for status in statuses or () if status["name"] == container["name"]), None)


def _id(state: ContainerState) -> str:
    return f"{ENGINE}://{state.id}"


def _started(
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


def _container(
    desired: Pod,
    observed: PodObserved,
    container: Container,
    known: ContainerStatus | None,
    first_wait: str,
    now: datetime,
) -> ContainerStatus:
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
            status["started"] = _started(container, observed, newest, known)
            serves = not is_going(desired) and not _is_init(desired, container)
            status["ready"] = serves and _ready(container, observed, newest, known)
        case Phase.CREATED:
            status["state"] = {"waiting": _waiting(container, observed, first_wait, now)}
        case Phase.EXITED:
            ended = _terminated(newest, words)
            status["state"] = {"terminated": ended}
            status["ready"] = _is_init(desired, container) and newest.exit_code == 0
            if wait := _wait_after(desired, observed, container, newest, now):
                status["state"], status["lastState"] = wait, {"terminated": ended}
    return status


def _is_init(desired: Pod, container: Container) -> bool:
    """One that is to end before the others begin."""
    return not is_sidecar(container) and container in desired["spec"].get("initContainers", ())


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
    if known and "terminated" in state and (is_going(desired) or is_terminal(desired) or observed.running):
        return known
    if known and "running" in state:
        lost: ContainerStateTerminated = {
            "exitCode": KILLED_EXIT_CODE,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located",
            "containerID": known.get("containerID", ""),
        }
        if is_going(desired) or is_terminal(desired) or desired["spec"]["restartPolicy"] == "Never":
            return {**status, "state": {"terminated": lost}, "started": False}
        status["lastState"] = {"terminated": lost}
    container = next(one for one in every_container(desired) if one["name"] == status["name"])
    status["state"] = {"waiting": _waiting(container, observed, first_wait, now)}
    status["started"] = False
    return status


def every_container(pod: Pod) -> Sequence[Container]:
    """Init containers, then app containers, in the order of the specification."""
    return (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])


def _wait_after(
    desired: Pod, observed: PodObserved, container: Container, ended: ContainerState, now: datetime
) -> StatedContainer | None:
    """Why a container that ended is not running again yet; None: it is not to run, or starts at once."""
    if is_going(desired) or is_terminal(desired) or not restarts(policy_of(desired, container), ended):
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


def policy_of(desired: Pod, container: Container) -> str:
    """Whether and when this container is started again: an init container only after a failure, a sidecar always."""
    policy = desired["spec"]["restartPolicy"]
    if is_sidecar(container):
        return "Always"
    inits = [one["name"] for one in desired["spec"].get("initContainers", ())]
    return "OnFailure" if policy == "Always" and container["name"] in inits else policy


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


def _phase(
    desired: Pod,
    observed: PodObserved,
    inits: Sequence[ContainerStatus],
    apps: Sequence[ContainerStatus],
    *,
    initialized: bool,
    now: datetime,
) -> tuple[PodPhase, str, str]:
    """Phase, reason and message. A terminal phase is final."""
    if is_terminal(desired):
        known = pod_status(desired)
        return pod_phase(desired), known.get("reason", ""), known.get("message", "")
    if seconds := desired["spec"].get("activeDeadlineSeconds"):
        started = pod_status(desired).get("startTime")
        if started and (now - moment_of(started)).total_seconds() >= seconds:
            return (
                "Failed",
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
            )
    policy = desired["spec"]["restartPolicy"]
    if not initialized:
        failed = policy == "Never" and any(_exit_code(one) not in (0, None) for one in inits)
        return ("Failed" if failed else "Pending"), "", ""
    if is_going(desired) and not observed.running and any(_exit_code(one) is not None for one in apps):
        return ("Failed" if any(_exit_code(one) for one in apps) else "Succeeded"), "", ""
    if any("waiting" in one["state"] and not one["lastState"] for one in apps):
        return "Pending", "", ""
    if policy == "Always" or any("terminated" not in one["state"] for one in apps):
        return "Running", "", ""
    if all(_exit_code(one) == 0 for one in apps):
        return "Succeeded", "", ""
    return ("Failed" if policy == "Never" else "Running"), "", ""


def _exit_code(status: ContainerStatus) -> int | None:
    ended = status["state"].get("terminated")
    return ended["exitCode"] if ended else None
