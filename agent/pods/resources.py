"""What a container may use, in the engine's terms. Pure. How far it is confined: `security.py`.

Source: kubernetes/pkg/apis/core/v1/helper/qos and pkg/kubelet/{cm,qos,kuberuntime}.
"""

from typing import Final

from agent.runtime.protocol import PIDS_MAX, Capacity, Limits
from gitops.kinds import quantity
from gitops.kinds.core.amounts import amount_of, requested, together
from gitops.kinds.core.pod import Container, Pod, qos_class
from gitops.kinds.core.pod_resources import limited, with_pod_limits

OOM_GUARANTEED: Final = -997
OOM_BEST_EFFORT: Final = 1000
CPU_SHARES_MIN: Final = 2
CPU_SHARES_PER_CORE: Final = 1024
NANO: Final = 10**9


def capacity_of(pod: Pod, container: Container) -> Capacity:
    """What of its cgroup may change while it runs."""
    container = with_pod_limits(pod, container)
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    cpu_request = quantity.parse(requests.get("cpu") or limits.get("cpu", "0"))
    return Capacity(
        memory_bytes=int(quantity.parse(limits.get("memory", "0"))),
        cpu_nano=int(quantity.parse(limits.get("cpu", "0")) * NANO),
        cpu_shares=max(CPU_SHARES_MIN, int(cpu_request * CPU_SHARES_PER_CORE)),
    )


def limits_of(pod: Pod, container: Container, node_memory_bytes: int, pids_max: int = PIDS_MAX) -> Limits:
    """Its cgroup. Without a request the limit counts as one; without both it gets the smallest share of CPU."""
    capacity = capacity_of(pod, container)
    return Limits(
        memory_bytes=capacity.memory_bytes,
        cpu_nano=capacity.cpu_nano,
        cpu_shares=capacity.cpu_shares,
        pids_max=pids_max,
        oom_score_adj=_oom_score_adj(qos_class(pod), _memory_request(pod, container), node_memory_bytes),
    )


def _memory_request(pod: Pod, container: Container) -> int:
    """In bytes; of what the pod as a whole requests besides its containers each has an equal part."""
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    own = int(quantity.parse(requests.get("memory") or limits.get("memory", "0")))
    whole = (pod["spec"].get("resources") or {}).get("requests") or {}
    if "memory" not in whole:
        return own
    left = amount_of("memory", whole["memory"]) - together(pod["spec"], requested).get("memory", 0)
    return own + max(left, 0) // len(pod["spec"]["containers"])


def beyond_pod(pod: Pod) -> str:
    """Why the limits of the pod as a whole are not kept by those of its containers, all that the engine has; ''."""
    limits, may = (pod["spec"].get("resources") or {}).get("limits") or {}, limited(pod)
    for name, amount in sorted(may.items()):
        if amount > amount_of(name, limits[name]):
            return (
                f"spec.resources.limits[{name}] is {limits[name]}, and the limits of its containers together are more: "
                "this node's engine holds containers to theirs one by one, so state limits of the containers that "
                "do not exceed the pod's together"
            )
    return ""


def _oom_score_adj(qos: str, memory_request_bytes: int, node_memory_bytes: int) -> int:
    if qos == "Guaranteed":
        return OOM_GUARANTEED
    if qos == "BestEffort":
        return OOM_BEST_EFFORT
    # The more of its request a pod stays below, the later it is killed; within (2, 999) as the kubelet.
    return min(max(1000 - 1000 * memory_request_bytes // max(node_memory_bytes, 1), 3), 999)
