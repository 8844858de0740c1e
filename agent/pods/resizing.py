"""In-place resize: which containers have other limits than they shall have now, and how they get them. Pure.

Source: Kubernetes, "Resize CPU and Memory Resources assigned to Containers"; kubernetes/pkg/kubelet/allocation.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from agent.pods.observed import PodObserved
from agent.pods.resources import capacity_of
from agent.runtime.protocol import ContainerState, Phase
from gitops.kinds.core.amounts import amount_of, requests_of
from gitops.kinds.core.pod import Container, Pod, is_sidecar


def is_outdated(pod: Pod, container: Container, state: ContainerState) -> bool:
    """Whether the engine holds it to other limits, as far as that is known."""
    return state.capacity is not None and state.capacity != capacity_of(pod, container)


def restarts_to_resize(pod: Pod, container: Container, state: ContainerState) -> bool:
    """Whether a limit differs that its `resizePolicy` changes by a restart.

    A share of the CPU (its request) is always given in place: what an earlier version made of a request may differ, and
    an upgrade must restart nothing.
    """
    if state.capacity is None:
        return False
    policies: dict[str, str] = {
        one["resourceName"]: one["restartPolicy"] for one in container.get("resizePolicy", ())
    }
    have, wanted = state.capacity, capacity_of(pod, container)
    changed = {"cpu": have.cpu_nano != wanted.cpu_nano, "memory": have.memory_bytes != wanted.memory_bytes}
    return any(differs and policies.get(name) == "RestartContainer" for name, differs in changed.items())


def resizing(pod: Pod, observed: PodObserved) -> tuple[str, ...]:
    """The running containers of a pod that are not yet as they shall be."""
    return tuple(
        container["name"]
        for container in _resizable(pod)
        if (state := observed.newest(container["name"])) is not None
        and state.phase is Phase.RUNNING
        and is_outdated(pod, container, state)
    )


class Withheld(NamedTuple):
    """Why a resize is not begun, as its condition says it."""

    reason: Literal["Infeasible", "Deferred"]
    message: str


def withheld(pod: Pod, observed: PodObserved) -> Withheld | None:
    """Infeasible: this node can never give what the pod asks for now; Deferred: not beside what others have of it."""
    deferred = None
    wanted = requests_of(pod)
    for name in ("cpu", "memory"):
        if name not in observed.allocatable or name not in wanted:
            continue
        capacity, used = amount_of(name, observed.allocatable[name]), observed.others.get(name, 0)
        asked = f"{name}, requested: {wanted[name]}"
        if wanted[name] > capacity:
            return Withheld("Infeasible", f"Node didn't have enough capacity: {asked}, capacity: {capacity}")
        if wanted[name] + used > capacity:
            why = f"Node didn't have enough resource: {asked}, used: {used}, capacity: {capacity}"
            deferred = deferred or Withheld("Deferred", why)
    return deferred


def _resizable(pod: Pod) -> Iterator[Container]:
    """App containers and sidecars."""
    yield from (one for one in pod["spec"].get("initContainers", ()) if is_sidecar(one))
    yield from pod["spec"]["containers"]
