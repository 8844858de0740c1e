"""What a pod takes of a node, and whether it asks to be on another. Amounts are integers: cpu in milli, else units.

Source: kubernetes/pkg/api/v1/resource (PodRequests) and component-helpers/scheduling/corev1/nodeaffinity, 1.35.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, cast

from gitops.kinds import quantity
from gitops.kinds.core.containers import Container
from gitops.kinds.core.pod_types import Pod, PodSpec, is_sidecar
from gitops.kinds.selectors import Requirement

CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"
# What scoring assumes of a container that requests nothing, so that such pods spread too.
SCORED_CPU_MILLI: Final = 100
SCORED_MEMORY_BYTES: Final = 200 * 1024 * 1024

Amounts = Mapping[str, int]  # By resource.


def requests_of(pod: Pod) -> Amounts:
    """The larger of what its containers take together and what starting needs at once; sidecars count in both. What is
    stated of the pod as a whole counts instead, and its overhead on top."""
    return _whole(pod, together(pod["spec"], requested))


def scored_requests_of(pod: Pod) -> Amounts:
    """As `requests_of` for cpu and memory, with an assumed amount for containers that request none."""
    return _whole(pod, together(pod["spec"], _scored))


def _whole(pod: Pod, containers: Amounts) -> Amounts:
    spec = cast(Mapping[str, Any], pod["spec"])
    stated = (spec.get("resources") or {}).get("requests") or {}
    overhead = spec.get("overhead") or {}
    if not stated and not overhead:
        return containers
    total = {**containers, **{name: amount_of(name, text) for name, text in stated.items()}}
    _add(total, {name: amount_of(name, text) for name, text in overhead.items()})
    return total


def together(spec: PodSpec, amounts: Callable[[Container], Amounts]) -> Amounts:
    """The larger of what containers take together and what starting takes at once, by what each takes."""
    containers, starting = spec["containers"], spec.get("initContainers")
    if len(containers) == 1 and not starting:
        return amounts(containers[0])
    together: dict[str, int] = {}
    for container in containers:
        _add(together, amounts(container))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in starting or ():
        beside = dict(sidecars)
        _add(beside, amounts(container))
        if is_sidecar(container):
            sidecars = beside
        peak = _larger(peak, beside)
    _add(together, sidecars)
    return _larger(peak, together)


def _add(total: dict[str, int], amounts: Amounts) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0) + amount


def requested(container: Container) -> Amounts:
    requests = container["resources"].get("requests") or {}
    return {name: amount_of(name, text) for name, text in requests.items()}


def _scored(container: Container) -> Amounts:
    found = requested(container)
    return {CPU: found.get(CPU, SCORED_CPU_MILLI), MEMORY: found.get(MEMORY, SCORED_MEMORY_BYTES)}


def _larger(one: Amounts, other: Amounts) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}


@lru_cache(maxsize=4096)
def amount_of(resource: str, text: str) -> int:
    """A quantity as an integer: the same few texts stand in every pod."""
    return quantity.milli(text) if resource == CPU else quantity.whole(text)


def wants_node(pod: Pod, name: str, labels: Mapping[str, str]) -> bool:
    """Whether its nodeSelector and its required node affinity hold for a node."""
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    affinity = cast(dict[str, Any], pod["spec"].get("affinity") or {})
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(term_holds(one, name, labels) for one in required["nodeSelectorTerms"])


def term_holds(term: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    """Of a node selector: all must hold; one without anything holds nowhere."""
    stated = [(one, labels) for one in term.get("matchExpressions") or ()]
    stated += [(one, {"metadata.name": name}) for one in term.get("matchFields") or ()]
    return bool(stated) and all(
        Requirement(one["key"], one["operator"], tuple(one.get("values") or ())).matches(values)
        for one, values in stated
    )
