"""What pods take, and which taints a node has. Amounts are integers: cpu in milli, everything else in units.

Source: kubernetes/pkg/api/v1/resource (PodRequests) and pkg/scheduler/framework/types.go, 1.35.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from gitops.kinds import quantity
from gitops.kinds.core.node import Node, Taint, node_condition
from gitops.kinds.core.pod import Container, Pod, is_sidecar

CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
# What scoring assumes of a container that requests nothing, so that such pods spread too.
SCORED_CPU_MILLI: Final = 100
SCORED_MEMORY_BYTES: Final = 200 * 1024 * 1024

Amounts = Mapping[str, int]  # By resource.


def requests_of(pod: Pod) -> Amounts:
    """The larger of what its containers take together and what starting needs at once; sidecars count in both."""
    return _pod_amounts(pod, _requests)


def scored_requests_of(pod: Pod) -> Amounts:
    """As `requests_of` for cpu and memory, with an assumed amount for containers that request none."""
    return _pod_amounts(pod, _scored)


def _pod_amounts(pod: Pod, amounts: Callable[[Container], Amounts]) -> Amounts:
    containers, starting = pod["spec"]["containers"], pod["spec"].get("initContainers")
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


def _requests(container: Container) -> Amounts:
    requests = container["resources"].get("requests") or {}
    return {name: amount_of(name, text) for name, text in requests.items()}


def _scored(container: Container) -> Amounts:
    found = _requests(container)
    return {CPU: found.get(CPU, SCORED_CPU_MILLI), MEMORY: found.get(MEMORY, SCORED_MEMORY_BYTES)}


def _larger(one: Amounts, other: Amounts) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}


@lru_cache(maxsize=4096)
def amount_of(resource: str, text: str) -> int:
    """A quantity as an integer: the same few texts stand in every pod."""
    return quantity.milli(text) if resource == CPU else quantity.whole(text)


def taints_of(node: Node) -> tuple[Taint, ...]:
    """Its own, and those that its state implies: a node that is not Ready has one before anybody wrote it."""
    taints: list[Taint] = list(node["spec"].get("taints") or ())
    ready = node_condition(node, "Ready")
    if (ready is None or ready["status"] != "True") and not _has(
        taints, ("node.kubernetes.io/unreachable", NOT_READY)
    ):
        taints.append({"key": NOT_READY, "effect": "NoSchedule"})
    if node["spec"].get("unschedulable") and not _has(taints, (UNSCHEDULABLE,)):
        taints.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
    return tuple(taints)


def _has(taints: Iterable[Taint], keys: tuple[str, ...]) -> bool:
    return any(taint["key"] in keys and taint["effect"] == "NoSchedule" for taint in taints)
