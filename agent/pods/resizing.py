"""In-place resize: which containers have other limits than they shall have now, and how they get them. Pure.

Source: Kubernetes, "Resize CPU and Memory Resources assigned to Containers"; kubernetes/pkg/kubelet/allocation.
"""

from collections.abc import Iterator, Mapping

from agent.pods.observed import PodObserved
from agent.pods.resources import capacity_of
from agent.runtime.protocol import ContainerState, Phase
from gitops.kinds import quantity
from gitops.kinds.core.pod import Container, Pod, is_sidecar


def is_outdated(container: Container, state: ContainerState) -> bool:
    """Whether the engine holds it to other limits, as far as that is known."""
    return state.capacity is not None and state.capacity != capacity_of(container)


def restarts_to_resize(container: Container, state: ContainerState) -> bool:
    """Whether a limit differs that its `resizePolicy` changes by a restart.

    A share of the CPU (its request) is always given in place: what an earlier version made of a request may differ, and
    an upgrade must restart nothing.
    """
    if state.capacity is None:
        return False
    policies: dict[str, str] = {
        one["resourceName"]: one["restartPolicy"] for one in container.get("resizePolicy", ())
    }
    have, wanted = state.capacity, capacity_of(container)
    changed = {"cpu": have.cpu_nano != wanted.cpu_nano, "memory": have.memory_bytes != wanted.memory_bytes}
    return any(differs and policies.get(name) == "RestartContainer" for name, differs in changed.items())


def resizing(pod: Pod, observed: PodObserved) -> tuple[str, ...]:
    """The running containers of a pod that are not yet as they shall be."""
    return tuple(
        container["name"]
        for container in _resizable(pod)
        if (state := observed.newest(container["name"])) is not None
        and state.phase is Phase.RUNNING
        and is_outdated(container, state)
    )


def infeasible(pod: Pod, allocatable: Mapping[str, str]) -> str:
    """Why this node can never give what the pod asks for now; '' if it can."""
    for name, unit in (("cpu", quantity.milli), ("memory", quantity.whole)):
        if name not in allocatable:
            continue
        capacity = unit(allocatable[name])
        wanted = sum(unit(one["resources"].get("requests", {}).get(name, "0")) for one in _resizable(pod))
        if wanted > capacity:
            return f"Node didn't have enough capacity: {name}, requested: {wanted}, capacity: {capacity}"
    return ""


def _resizable(pod: Pod) -> Iterator[Container]:
    """App containers and sidecars."""
    yield from (one for one in pod["spec"].get("initContainers", ()) if is_sidecar(one))
    yield from pod["spec"]["containers"]
