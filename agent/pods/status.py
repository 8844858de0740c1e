"""A pod's status from what is observed: phase, conditions in Kubernetes' order, one entry for each container.

Pure. Source: kubernetes/pkg/kubelet (`getPhase`, `status/generate.go`).
"""

from collections.abc import Sequence
from datetime import datetime

from agent.pods.conditions import conditions
from agent.pods.container_status import container_status, exit_code_of, is_started, known_status
from agent.pods.eviction import REASON as EVICTED
from agent.pods.observed import PodObserved
from agent.pods.rejection import rejection
from agent.pods.restarting import every_container, restarts
from agent.runtime.protocol import Phase
from gitops.kinds.core.pod import (
    Container,
    ContainerStatus,
    Pod,
    PodPhase,
    PodStatus,
    is_sidecar,
    is_terminal,
    pod_phase,
    pod_status,
    qos_class,
)
from gitops.kinds.objects import is_going, moment_of, timestamp


def report(desired: Pod, observed: PodObserved, now: datetime) -> PodStatus:
    """What the API shall say of the pod now. Equal to its present status where nothing changed."""
    known = pod_status(desired)
    spec = desired["spec"]
    initialized = is_initialized(desired, observed) or is_terminal(desired)
    inits = [container_status(desired, observed, one, now) for one in spec.get("initContainers", ())]
    apps = [container_status(desired, observed, one, now) for one in spec["containers"]]
    others = [container_status(desired, observed, one, now) for one in spec.get("ephemeralContainers", ())]
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
    if others:
        status["ephemeralContainerStatuses"] = others
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
        known = known_status(desired, container["name"])
        return observed.runs(newest) and is_started(container, observed, newest, known)
    return newest.phase is Phase.EXITED and newest.exit_code == 0


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
    refused = observed.rejected
    if refused is None and observed.sandbox is None:
        refused = rejection(desired, observed.unsafe_sysctls)
    if refused is not None:
        return "Failed", refused.reason, f"Pod was rejected: {refused.message}"
    if observed.evicted:
        return "Failed", EVICTED, observed.evicted
    if seconds := desired["spec"].get("activeDeadlineSeconds"):
        started = pod_status(desired).get("startTime")
        if started and (now - moment_of(started)).total_seconds() >= seconds:
            return (
                "Failed",
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
            )
    if not initialized:
        hopeless = any(_ended_for_good(desired, one) for one in inits if exit_code_of(one))
        return ("Failed" if hopeless else "Pending"), "", ""
    codes = [exit_code_of(one) for one in apps]
    if is_going(desired) and not observed.running and any(code is not None for code in codes):
        return ("Failed" if any(codes) else "Succeeded"), "", ""
    if any("waiting" in one["state"] and not one["lastState"] for one in apps):
        return "Pending", "", ""
    if not all(_ended_for_good(desired, one) for one in apps):
        return "Running", "", ""
    return ("Failed" if any(codes) else "Succeeded"), "", ""


def _ended_for_good(desired: Pod, status: ContainerStatus) -> bool:
    code = exit_code_of(status)
    container = next(one for one in every_container(desired) if one["name"] == status["name"])
    return code is not None and not restarts(desired, container, code)
