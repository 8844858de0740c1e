"""What a container may use and how far it is confined, in the engine's terms. Pure.

Source: kubernetes/pkg/apis/core/v1/helper/qos and pkg/kubelet/{cm,qos,kuberuntime}; the engine's default seccomp
profile is kept where Kubernetes would run unconfined.
"""

from collections.abc import Mapping
from typing import Final

from agent.runtime.protocol import Limits, Security
from gitops.kinds import quantity
from gitops.kinds.core.pod import Container, Pod, PodSpec, SecurityContext

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


def limits_of(pod: Pod, container: Container, node_memory_bytes: int) -> Limits:
    """Its cgroup. Without a request the limit counts as one; without both it gets the smallest share of CPU."""
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    cpu_limit = quantity.parse(limits.get("cpu", "0"))
    cpu_request = quantity.parse(requests.get("cpu") or limits.get("cpu", "0"))
    memory_request = int(quantity.parse(requests.get("memory") or limits.get("memory", "0")))
    return Limits(
        memory_bytes=int(quantity.parse(limits.get("memory", "0"))),
        cpu_nano=int(cpu_limit * NANO),
        cpu_shares=max(CPU_SHARES_MIN, int(cpu_request * CPU_SHARES_PER_CORE)),
        oom_score_adj=_oom_score_adj(qos_class(pod), memory_request, node_memory_bytes),
    )


def _oom_score_adj(qos: str, memory_request_bytes: int, node_memory_bytes: int) -> int:
    if qos == "Guaranteed":
        return OOM_GUARANTEED
    if qos == "BestEffort":
        return OOM_BEST_EFFORT
    # The more of its request a pod stays below, the later it is killed; within (2, 999) as the kubelet.
    return min(max(1000 - 1000 * memory_request_bytes // max(node_memory_bytes, 1), 3), 999)


def security_of(spec: PodSpec, container: Container) -> Security:
    """A container's security context over its pod's."""
    own, pod = container.get("securityContext") or SecurityContext(), spec.get("securityContext", {})
    user, group = own.get("runAsUser", pod.get("runAsUser")), own.get("runAsGroup", pod.get("runAsGroup"))
    groups = [*pod.get("supplementalGroups", ()), *([pod["fsGroup"]] if "fsGroup" in pod else ())]
    capabilities = own.get("capabilities") or {}
    return Security(
        user=_user(user, group),
        groups=tuple(str(one) for one in groups),
        privileged=own.get("privileged", False),
        read_only_root=own.get("readOnlyRootFilesystem", False),
        no_new_privileges=not own.get("allowPrivilegeEscalation", True),
        capabilities_add=tuple(capabilities.get("add", ())),
        capabilities_drop=tuple(capabilities.get("drop", ())),
    )


def _user(user: int | None, group: int | None) -> str:
    if user is None:
        return "" if group is None else f"0:{group}"
    return str(user) if group is None else f"{user}:{group}"


def runs_as_root(spec: PodSpec, container: Container, image_user: str) -> str:
    """Why a container that must not be root may not start with this image; '' if it may."""
    own, pod = container.get("securityContext") or SecurityContext(), spec.get("securityContext", {})
    if not own.get("runAsNonRoot", pod.get("runAsNonRoot", False)):
        return ""
    user = own.get("runAsUser", pod.get("runAsUser"))
    if user is not None:
        return "container's runAsUser breaks non-root policy" if user == 0 else ""
    name = image_user.partition(":")[0]
    if name in ("", "0", "root"):
        return "container has runAsNonRoot and image will run as root"
    if not name.isdigit():
        return f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
    return ""
