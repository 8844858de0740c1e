"""What a container may use, in the engine's terms. Pure. How far it is confined: `security.py`.

Source: kubernetes/pkg/apis/core/v1/helper/qos and pkg/kubelet/{cm,qos,kuberuntime}.
"""

from collections.abc import Mapping
from typing import Final

from agent.runtime.protocol import PIDS_MAX, Capacity, Limits
from gitops.kinds import quantity
from gitops.kinds.core.pod import Container, Pod

OOM_GUARANTEED: Final = -997
OOM_BEST_EFFORT: Final = 1000
CPU_SHARES_MIN: Final = 2
CPU_SHARES_PER_CORE: Final = 1024
NANO: Final = 10**9


def qos_class(pod: Pod) -> str:
    """Guaranteed: every container has cpu and memory limits equal to its requests; BestEffort: none has any."""
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    stated = [
        (one["resources"].get("requests", {}), one["resources"].get("limits", {})) for one in containers
    ]
    wanted = [(_compute(requests), _compute(limits)) for requests, limits in stated]
    if not any(requests or limits for requests, limits in wanted):
        return "BestEffort"
    if all(
        set(limits) == {"cpu", "memory"} and (requests or limits) == limits for requests, limits in wanted
    ):
        return "Guaranteed"
    return "Burstable"


def _compute(amounts: Mapping[str, str]) -> dict[str, object]:
    found = {name: quantity.parse(amounts[name]) for name in ("cpu", "memory") if name in amounts}
    return {name: value for name, value in found.items() if value}


def capacity_of(container: Container) -> Capacity:
    """What of its cgroup may change while it runs."""
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    cpu_request = quantity.parse(requests.get("cpu") or limits.get("cpu", "0"))
    return Capacity(
        memory_bytes=int(quantity.parse(limits.get("memory", "0"))),
        cpu_nano=int(quantity.parse(limits.get("cpu", "0")) * NANO),
        cpu_shares=max(CPU_SHARES_MIN, int(cpu_request * CPU_SHARES_PER_CORE)),
    )


def limits_of(pod: Pod, container: Container, node_memory_bytes: int, pids_max: int = PIDS_MAX) -> Limits:
    """Its cgroup. Without a request the limit counts as one; without both it gets the smallest share of CPU."""
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    capacity = capacity_of(container)
    memory_request = int(quantity.parse(requests.get("memory") or limits.get("memory", "0")))
    return Limits(
        memory_bytes=capacity.memory_bytes,
        cpu_nano=capacity.cpu_nano,
        cpu_shares=capacity.cpu_shares,
        pids_max=pids_max,
        oom_score_adj=_oom_score_adj(qos_class(pod), memory_request, node_memory_bytes),
    )


def _oom_score_adj(qos: str, memory_request_bytes: int, node_memory_bytes: int) -> int:
    if qos == "Guaranteed":
        return OOM_GUARANTEED
    if qos == "BestEffort":
        return OOM_BEST_EFFORT
    # The more of its request a pod stays below, the later it is killed; within (2, 999) as the kubelet.
    return min(max(1000 - 1000 * memory_request_bytes // max(node_memory_bytes, 1), 3), 999)
