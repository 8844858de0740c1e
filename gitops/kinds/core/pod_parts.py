"""What the subresources `ephemeralcontainers` and `resize` of a pod may change, and by which rules.

Source: Kubernetes, pkg/registry/core/pod/strategy.go and pkg/apis/core/validation (`ValidatePodResize`,
`ValidatePodEphemeralContainersUpdate`).
"""

from collections.abc import Iterator
from typing import Any, Final, cast

from gitops.kinds import wording
from gitops.kinds.core.containers import Container, EphemeralContainer, ResourceRequirements
from gitops.kinds.core.pod_defaults import qos_class
from gitops.kinds.core.pod_types import Pod, PodSpec, is_sidecar, is_terminal
from gitops.kinds.kind import Part, Problem

RESIZABLE: Final = ("cpu", "memory")
# What an ephemeral container may not have: nothing of a running pod is kept for it.
NOT_EPHEMERAL: Final = (
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
    "resizePolicy",
)


def with_ephemeral(old: Pod, new: Pod) -> Pod:
    """The old pod with the new one's ephemeral containers."""
    added = new["spec"].get("ephemeralContainers", [])
    spec = {name: value for name, value in old["spec"].items() if name != "ephemeralContainers"}
    return cast(Pod, {**old, "metadata": new["metadata"], "spec": {**spec, **_some(added)}})


def _some(added: list[EphemeralContainer]) -> dict[str, object]:
    return {"ephemeralContainers": added} if added else {}


def check_with_ephemeral(old: Pod, new: Pod) -> Iterator[Problem]:
    """They can be added, neither changed nor removed."""
    field = "spec.ephemeralContainers"
    before, after = old["spec"].get("ephemeralContainers", []), new["spec"].get("ephemeralContainers", [])
    kept = {one["name"]: one for one in after}
    for one in before:
        found = kept.get(one["name"])
        if found is None:
            yield wording.forbidden(
                field, f"existing ephemeral containers {one['name']!r} may not be removed"
            )
        elif found != one:
            yield wording.forbidden(
                field, f"existing ephemeral containers {one['name']!r} may not be changed"
            )


def check_ephemeral(spec: PodSpec, field: str) -> Iterator[Problem]:
    """What an ephemeral container may be, besides what every container may."""
    others = {one["name"] for one in (*spec.get("initContainers", ()), *spec.get("containers", ()))}
    for index, one in enumerate(spec.get("ephemeralContainers", ())):
        at = f"{field}.ephemeralContainers[{index}]"
        if (target := one.get("targetContainerName")) and target not in others:
            yield wording.not_found(f"{at}.targetContainerName", target)
        for extra in NOT_EPHEMERAL:
            if cast("dict[str, object]", one).get(extra):
                yield wording.forbidden(f"{at}.{extra}", "cannot be set for an Ephemeral Container")
        if one["resources"]:
            yield wording.forbidden(f"{at}.resources", "cannot be set for an Ephemeral Container")


def with_resources(old: Pod, new: Pod) -> Pod:
    """The old pod with the new one's CPU and memory for its app containers and sidecars."""
    spec: Any = dict(old["spec"])
    for group in ("initContainers", "containers"):
        containers: list[Container] = spec.get(group) or []
        stated = {one.get("name"): one for one in cast(Any, new["spec"]).get(group) or []}
        if containers:
            spec[group] = [_resized(one, stated.get(one["name"]), group) for one in containers]
    return cast(Pod, {**old, "metadata": new["metadata"], "spec": spec})


def _resized(container: Container, stated: Container | None, group: str) -> Container:
    if stated is None or (group == "initContainers" and not is_sidecar(container)):
        return container
    return {**container, "resources": stated.get("resources", {})}


def check_with_resources(old: Pod, new: Pod) -> Iterator[Problem]:
    """CPU and memory alone, never taken away, and the pod's class stays."""
    if is_terminal(old):
        yield wording.forbidden("spec", "pod resize is not allowed for a pod that has ended")
    if qos_class(old) != qos_class(new):
        why = "Pod QOS Class may not change as a result of resizing"
        yield wording.invalid("spec", qos_class(new), why)
    for group in ("initContainers", "containers"):
        pairs = zip(
            cast(Any, old["spec"]).get(group) or (), cast(Any, new["spec"]).get(group) or (), strict=True
        )
        for index, (before, after) in enumerate(pairs):
            at = f"spec.{group}[{index}].resources"
            yield from _check_resized(before["resources"], after["resources"], at)


def _check_resized(
    before: ResourceRequirements, after: ResourceRequirements, field: str
) -> Iterator[Problem]:
    for side in ("limits", "requests"):
        old, new = cast(Any, before).get(side) or {}, cast(Any, after).get(side) or {}
        for name in old.keys() | new.keys():
            if old.get(name) == new.get(name):
                continue
            if name not in RESIZABLE:
                yield wording.forbidden(field, "only cpu and memory resources are mutable")
            elif name not in new:
                yield wording.forbidden(f"{field}.{side}", f"resource {side} cannot be removed")


POD_PARTS: Final = {
    "ephemeralcontainers": Part(with_ephemeral, check_with_ephemeral),
    "resize": Part(with_resources, check_with_resources),
}
