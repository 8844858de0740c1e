"""What a node has and what its pods take, in integers: cpu in milli, everything else in units.

Source: kubernetes/pkg/api/v1/resource (PodRequests) and pkg/scheduler/framework/types.go, 1.35.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gitops.kinds import quantity
from gitops.kinds.core.node import Node, Taint, node_condition
from gitops.kinds.core.pod import POD, Container, Pod, is_sidecar, is_terminal
from gitops.kinds.objects import controller_of
from gitops.reconcile import Reader

CPU: Final = "cpu"
MEMORY: Final = "memory"
PODS: Final = "pods"
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
# What scoring assumes of a container that requests nothing, so that such pods spread too.
SCORED_CPU_MILLI: Final = 100
SCORED_MEMORY_BYTES: Final = 200 * 1024 * 1024

Amounts = Mapping[str, int]  # By resource.


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as one scheduling decision sees it.

    Attributes:
        used: requests of its pods, and under `pods` their number.
        scored: as `used`, with an assumed request where a container has none.
        owners: how many of its pods each controller has, by uid.
        taints: its own, and those that its state implies: a node that is not Ready has one before anybody wrote it.
    """

    node: Node
    allocatable: Amounts
    used: Amounts
    scored: Amounts
    owners: Mapping[str, int]
    taints: tuple[Taint, ...]

    @property
    def name(self) -> str:
        return self.node["metadata"].get("name", "")


def node_state(view: Reader, node: Node) -> NodeState:
    """Counted from the pods that the view shows on it; those at their end take nothing any more."""
    used: dict[str, int] = {PODS: 0}
    scored: dict[str, int] = {}
    owners: dict[str, int] = {}
    for pod in view.on_node(POD, node["metadata"].get("name", "")):
        if is_terminal(pod):
            continue
        _add(used, requests_of(pod))
        used[PODS] += 1
        _add(scored, scored_requests_of(pod))
        if owner := controller_of(pod):
            owners[owner["uid"]] = owners.get(owner["uid"], 0) + 1
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    amounts = {name: amount_of(name, text) for name, text in allocatable.items()}
    return NodeState(node, amounts, used, scored, owners, _taints(node))


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


def _taints(node: Node) -> tuple[Taint, ...]:
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
