"""What a node takes beside what it runs: the kubelet's own look at a pod that somebody has bound to it.

The scheduler has mostly asked the same; whoever writes `spec.nodeName` by hand, and two masters' last words, have not.
Source: kubernetes/pkg/kubelet/lifecycle/predicate.go and pkg/kubelet/allocation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, cast

from agent.pods.pressure import refusal
from agent.pods.rejection import Rejection
from gitops.kinds.core.amounts import PODS, Amounts, amount_of, requests_of, wants_node
from gitops.kinds.core.node import Taint
from gitops.kinds.core.pod import Container, Pod, is_terminal, pod_status
from gitops.kinds.core.pod_os import LINUX
from gitops.kinds.core.tolerations import tolerates
from gitops.kinds.objects import uid

ANY_ADDRESS: Final = ("", "0.0.0.0", "::")  # noqa: S104 # As a manifest says it, nothing listens there.
AFFINITY: Final = "node(s) didn't match Pod's node affinity/selector"
OS_LABEL: Final = "kubernetes.io/os"
OTHER_OS_LABEL: Final = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
OTHER_OS: Final = "Failed to admit pod as the OS field doesn't match node OS"
TAINTED: Final = "node(s) had taints that the pod didn't tolerate"
BUSY_PORTS: Final = "node(s) didn't have free ports for the requested pod ports"


class Admission:
    """The pods that this node has taken. `labels` None: the node's are not known, and nothing is refused for them.

    `taints`: the node's. `pressures`: what the node is short of: MemoryPressure, DiskPressure, PIDPressure.
    """

    def __init__(
        self,
        name: str = "",
        allocatable: Mapping[str, str] | None = None,
        labels: Callable[[], Mapping[str, str] | None] = lambda: None,
        pressures: Callable[[], frozenset[str]] = frozenset,
        taints: Callable[[], Iterable[Taint]] = tuple,
    ) -> None:
        self._name, self._labels, self._taints, self._pressures = name, labels, taints, pressures
        self._capacity = {key: amount_of(key, text) for key, text in (allocatable or {}).items()}
        self._taken: dict[str, Pod] = {}

    def note(self, pod: Pod) -> None:
        """A pod that was taken, as it is now; one that has ended takes nothing."""
        if is_terminal(pod):
            self.forget(uid(pod))
        elif uid(pod) in self._taken or "startTime" in pod_status(pod):
            self._taken[uid(pod)] = pod

    def forget(self, pod_uid: str) -> None:
        self._taken.pop(pod_uid, None)

    def admit(self, pod: Pod) -> Rejection | None:
        """Why the node does not take it; None: it is taken."""
        refused = self._refusal(pod)
        if refused is None:
            self._taken[uid(pod)] = pod
        return refused

    def others(self, pod_uid: str) -> Amounts:
        """What the other pods of this node take together, as they were given it."""
        total: dict[str, int] = {}
        for one, pod in self._taken.items():
            if one != pod_uid:
                for name, amount in requests_of(allocated(pod)).items():
                    total[name] = total.get(name, 0) + amount
        return total

    def _refusal(self, pod: Pod) -> Rejection | None:
        if (short := refusal(pod, self._pressures())) is not None:
            return short
        labels = self._labels()
        if (refused := _of_another_os(pod, labels)) is not None:
            return refused
        if labels is not None and not wants_node(pod, self._name, labels):
            return Rejection("NodeAffinity", f"Predicate NodeAffinity failed: {AFFINITY}")
        if any(_collide(port, other) for port in _ports(pod) for other in self._busy(uid(pod))):
            return Rejection("NodePorts", f"Predicate NodePorts failed: {BUSY_PORTS}")
        count = len(self._taken.keys() - {uid(pod)})
        if PODS in self._capacity and count + 1 > self._capacity[PODS]:
            return _out_of(PODS, 1, count, self._capacity[PODS])
        used = self.others(uid(pod))
        for name, wanted in sorted(requests_of(pod).items()):
            capacity = self._capacity.get(name, 0 if "/" in name else None)
            if wanted and capacity is not None and used.get(name, 0) + wanted > capacity:
                return _out_of(name, wanted, used.get(name, 0), capacity)
        # Of the effects only this one is asked for here: the others are the scheduler's.
        evicting = (one for one in self._taints() if one["effect"] == "NoExecute")
        if any(not tolerates(pod["spec"].get("tolerations", ()), one) for one in evicting):
            return Rejection("TaintToleration", f"Predicate TaintToleration failed: {TAINTED}")
        return None

    def _busy(self, pod_uid: str) -> Iterator[tuple[str, str, int]]:
        for one, pod in self._taken.items():
            if one != pod_uid:
                yield from _ports(pod)


def _of_another_os(pod: Pod, labels: Mapping[str, str] | None) -> Rejection | None:
    asked = pod["spec"].get("nodeSelector", {}).get(OS_LABEL)
    if labels is not None and asked is not None and asked != labels.get(OS_LABEL):
        return Rejection("PodOSSelectorNodeLabelDoesNotMatch", OTHER_OS_LABEL)
    if (pod["spec"].get("os") or {"name": LINUX})["name"] != LINUX:
        return Rejection("PodOSNotSupported", OTHER_OS)
    return None


def allocated(pod: Pod) -> Pod:
    """The pod with what its containers were given: a resize that waits takes nothing yet."""
    given = {
        one["name"]: one["allocatedResources"]
        for one in (
            *pod_status(pod).get("containerStatuses", ()),
            *pod_status(pod).get("initContainerStatuses", ()),
        )
        if "allocatedResources" in one
    }
    if not given:
        return pod

    def as_given(container: Container) -> Container:
        if container["name"] not in given:
            return container
        return {
            **container,
            "resources": {**container["resources"], "requests": given[container["name"]]},
        }

    spec = {**pod["spec"], "containers": [as_given(one) for one in pod["spec"]["containers"]]}
    if inits := pod["spec"].get("initContainers"):
        spec["initContainers"] = [as_given(one) for one in inits]
    return cast(Pod, {**pod, "spec": spec})


def _out_of(name: str, wanted: int, used: int, capacity: int) -> Rejection:
    why = f"Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
    return Rejection(f"OutOf{name}", why)


def _ports(pod: Pod) -> Iterator[tuple[str, str, int]]:
    """Protocol, address and number of what it takes of the node's ports."""
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
        for port in container.get("ports", ()):
            if number := port.get("hostPort"):
                yield port["protocol"], port.get("hostIP") or "", number


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    same = (one[0], one[2]) == (other[0], other[2])
    return same and (one[1] == other[1] or one[1] in ANY_ADDRESS or other[1] in ANY_ADDRESS)
