"""Resources of a pod as a whole (`spec.resources`): by default, by which rules, and what they mean for containers.

Source: Kubernetes, "Assign Pod-level CPU and memory resources"; pkg/apis/core/v1/defaults.go (`setDefaultPodResources`)
and pkg/apis/core/validation (`validatePodResources`), 1.35.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, cast

from gitops.kinds import quantity, wording
from gitops.kinds.core.amounts import CPU, MEMORY, Amounts, amount_of, requested, together
from gitops.kinds.core.container_checks import check_resources
from gitops.kinds.core.containers import Container, ResourceRequirements
from gitops.kinds.core.pod_types import Pod, PodSpec
from gitops.kinds.filling import canonical_quantities, change
from gitops.kinds.kind import Problem

SUPPORTED: Final = (CPU, MEMORY)
HUGE_PAGES: Final = "hugepages-"


def default_pod_resources(spec: PodSpec) -> PodSpec:
    """Requests that are not stated are those of its containers together, else its limits."""
    stated = spec.get("resources")
    if not stated or not (stated.get("limits") or stated.get("requests")):
        return spec
    stated = change(change(stated, "limits", canonical_quantities), "requests", canonical_quantities)
    limits, requests = stated.get("limits") or {}, stated.get("requests") or {}
    try:
        taken = together(spec, requested)
    except ValueError:
        return spec  # A quantity that is none: told by the rules.
    added = {name: _text(name, amount) for name, amount in taken.items() if _is_supported(name)}
    wanted = {**{name: text for name, text in limits.items() if _is_supported(name)}, **added, **requests}
    if wanted == requests and stated == spec.get("resources"):
        return spec
    return cast(PodSpec, {**spec, "resources": {**stated, "requests": wanted}})


def check_pod_resources(spec: PodSpec, field: str) -> Iterator[Problem]:
    stated = spec.get("resources")
    if not stated:
        return
    at = f"{field}.resources"
    problems = list(check_resources(stated, at))
    yield from problems
    for side in ("limits", "requests"):
        for name in cast(Mapping[str, Mapping[str, str]], stated).get(side) or {}:
            if not _is_supported(name):
                yield wording.unsupported(f"{at}.{side}[{name}]", name, (*SUPPORTED, "hugepages"))
    if problems:
        return
    try:
        yield from _check_against_containers(spec, stated, field)
    except ValueError:
        return  # Told of the container whose quantity is none.


def _check_against_containers(spec: PodSpec, stated: ResourceRequirements, field: str) -> Iterator[Problem]:
    requests, limits = stated.get("requests") or {}, stated.get("limits") or {}
    taken = together(spec, requested)
    for name, text in requests.items():
        if taken.get(name, 0) > amount_of(name, text):
            why = (
                f"must be greater than or equal to aggregate container requests of {_text(name, taken[name])}"
            )
            yield wording.invalid(f"{field}.resources.requests[{name}]", text, why)
    for group in ("initContainers", "containers"):
        containers = cast(Mapping[str, list[Container]], spec).get(group) or []
        for index, container in enumerate(containers):
            for name, text in (container["resources"].get("limits") or {}).items():
                if name in limits and amount_of(name, text) > amount_of(name, limits[name]):
                    at = f"{field}.{group}[{index}].resources.limits[{name}]"
                    why = f"must be less than or equal to pod limits of {limits[name]}"
                    yield wording.invalid(at, text, why)


def with_pod_limits(pod: Pod, container: Container) -> Container:
    """The container with its pod's limits where it has none of its own: so it is held to them."""
    limits = (pod["spec"].get("resources") or {}).get("limits") or {}
    own = container["resources"].get("limits") or {}
    missing: dict[str, str] = {name: limits[name] for name in SUPPORTED if name in limits and name not in own}
    if not missing:
        return container
    return {**container, "resources": {**container["resources"], "limits": {**own, **missing}}}


def limited(pod: Pod) -> Amounts:
    """What its containers may take together at once, of what the pod as a whole has a limit."""
    named = (pod["spec"].get("resources") or {}).get("limits") or {}

    def amounts(container: Container) -> Amounts:
        limits = with_pod_limits(pod, container)["resources"].get("limits") or {}
        return {name: amount_of(name, limits[name]) for name in SUPPORTED if name in named}

    return together(pod["spec"], amounts)


def _is_supported(name: str) -> bool:
    return name in SUPPORTED or name.startswith(HUGE_PAGES)


def _text(name: str, amount: int) -> str:
    if name == CPU:
        return quantity.show(Decimal(amount) / 1000, "decimal")
    return quantity.show(Decimal(amount), "binary")
