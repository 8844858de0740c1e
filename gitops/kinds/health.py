"""Whether an object does what it is for: Healthy, Progressing (wait) or Degraded (someone must look), and why.

The rules are Argo CD's and kstatus' for the built-in kinds; for any other kind its conditions Ready, Reconciling and
Stalled count, and an object without conditions is healthy once it exists.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, cast

from gitops.kinds.apps import Deployment, ReplicaSet
from gitops.kinds.core.node import Node, node_condition
from gitops.kinds.core.pod_table import summarize
from gitops.kinds.core.pod_types import Pod, is_ready, pod_phase, pod_status
from gitops.kinds.core.service import Service
from gitops.kinds.objects import Condition, KubeObject, group_of, is_going

State = Literal["Healthy", "Progressing", "Degraded"]
Json = Any

# What does not pass by itself: an image that cannot be pulled, a container that keeps dying.
_BAD_WAITS: Final = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
    }
)


class Health(NamedTuple):
    state: State
    why: str  # '' when healthy.


HEALTHY: Final = Health("Healthy", "")


def health(obj: KubeObject) -> Health:
    """Of any live object; what is being deleted is progressing."""
    if is_going(obj):
        return Health("Progressing", "being deleted")
    rule = _RULES.get((group_of(obj["apiVersion"]), obj["kind"]))
    return rule(obj) if rule else _by_conditions(obj)


def _pod(pod: Pod) -> Health:
    phase, status = pod_phase(pod), pod_status(pod)
    if phase == "Failed":
        return Health("Degraded", status.get("message") or status.get("reason") or "failed")
    if phase == "Succeeded":
        return HEALTHY
    shown = summarize(pod).status
    if shown.removeprefix("Init:") in _BAD_WAITS:
        return Health("Degraded", _waiting_message(pod) or shown)
    if is_ready(pod):
        return HEALTHY
    unschedulable = next(
        (one for one in status.get("conditions") or () if one.get("reason") == "Unschedulable"),
        Condition(type="", status=""),
    )
    return Health("Progressing", unschedulable.get("message") or f"not ready: {shown}")


def _waiting_message(pod: Pod) -> str:
    """`web: CrashLoopBackOff: back-off …` of the first container that waits badly."""
    status = pod_status(pod)
    for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (one.get("state") or {}).get("waiting") or {}
        if (reason := waiting.get("reason", "")) in _BAD_WAITS:
            return ": ".join(part for part in (one["name"], reason, waiting.get("message", "")) if part)
    return ""


def _deployment(deployment: Deployment) -> Health:
    spec, status = deployment["spec"], deployment.get("status") or {}
    if _is_behind(deployment):
        return Health("Progressing", "the change was not seen by the controller yet")
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Health("Degraded", condition.get("message") or "the progress deadline was exceeded")
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Health("Degraded", condition.get("message") or "pods cannot be created")
    if spec.get("paused"):
        return Health("Progressing", "paused")
    wanted, updated = spec["replicas"], status.get("updatedReplicas", 0)
    if updated < wanted:
        return Health("Progressing", f"{updated} of {wanted} replicas are updated")
    if (old := status.get("replicas", 0) - updated) > 0:
        return Health("Progressing", f"{old} old replicas are still there")
    return _available(status.get("availableReplicas", 0), wanted)


def _replica_set(replica_set: ReplicaSet) -> Health:
    status: Mapping[str, Any] = replica_set.get("status") or {}
    if _is_behind(replica_set):
        return Health("Progressing", "the change was not seen by the controller yet")
    failure = _condition(replica_set, "ReplicaFailure")
    if failure is not None and failure["status"] == "True":
        return Health("Degraded", failure.get("message") or "pods cannot be created")
    return _available(status.get("availableReplicas", 0), replica_set["spec"]["replicas"])


def _available(found: int, wanted: int) -> Health:
    return (
        HEALTHY if found >= wanted else Health("Progressing", f"{found} of {wanted} replicas are available")
    )


def _is_behind(obj: KubeObject) -> bool:
    """Whether its controller has yet to see the newest specification."""
    status = cast(Mapping[str, Json], obj).get("status") or {}
    return int(status.get("observedGeneration", 0)) < obj["metadata"].get("generation", 0)


def _service(service: Service) -> Health:
    kind: str = service["spec"]["type"]
    if kind != "LoadBalancer":
        return HEALTHY
    addresses = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    return HEALTHY if addresses else Health("Progressing", "waits for the address of a load balancer")


def _node(node: Node) -> Health:
    ready = node_condition(node, "Ready")
    if ready is not None and ready["status"] == "True":
        return HEALTHY
    if ready is None:
        return Health("Progressing", "not ready yet")
    return Health("Degraded", ready.get("message") or "not ready")


def _job(job: Json) -> Health:
    failed = _condition(job, "Failed")
    if failed is not None and failed["status"] == "True":
        return Health("Degraded", failed.get("message") or "failed")
    for name in ("Complete", "Suspended"):
        found = _condition(job, name)
        if found is not None and found["status"] == "True":
            return HEALTHY
    return Health("Progressing", "not complete")


def _volume_claim(claim: Json) -> Health:
    phase = (claim.get("status") or {}).get("phase", "Pending")
    states: dict[str, State] = {"Bound": "Healthy", "Lost": "Degraded"}
    return Health(states.get(phase, "Progressing"), "" if phase == "Bound" else f"the claim is {phase}")


def _by_conditions(obj: KubeObject) -> Health:
    """kstatus: Stalled is bad, Reconciling and a Ready that is not True take time, else it exists and that is all."""
    stalled, reconciling, ready = (_condition(obj, name) for name in ("Stalled", "Reconciling", "Ready"))
    if stalled is not None and stalled["status"] == "True":
        return Health("Degraded", stalled.get("message") or "stalled")
    if reconciling is not None and reconciling["status"] == "True":
        return Health("Progressing", reconciling.get("message") or "reconciling")
    if ready is not None and ready["status"] != "True":
        return Health("Progressing", ready.get("message") or "not ready")
    return HEALTHY


def _condition(obj: Json, name: str) -> Condition | None:
    status = obj.get("status")
    conditions: list[Condition] = (status.get("conditions") if isinstance(status, Mapping) else None) or []
    return next((one for one in conditions if one.get("type") == name), None)


_RULES: Final[Mapping[tuple[str, str], Callable[[Json], Health]]] = {
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "Node"): _node,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
}
