"""What a node that runs short does: which conditions it has, and which pod goes first. Pure.

One pod goes at a time, then the node is looked at again. Source: kubernetes/pkg/kubelet/eviction (`helpers.go`,
`eviction_manager.go`), 1.35; "Node-pressure Eviction".
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from agent.pods.rejection import Rejection
from agent.pods.static_files import is_static
from agent.thresholds import Signal, Threshold
from gitops.kinds import quantity
from gitops.kinds.core.amounts import requests_of
from gitops.kinds.core.pod import Pod, is_terminal, qos_class
from gitops.kinds.objects import is_going, uid

MEMORY: Final = "MemoryPressure"
DISK: Final = "DiskPressure"
PID: Final = "PIDPressure"
CONDITION: Final = {
    Signal.MEMORY: MEMORY,
    Signal.NODEFS: DISK,
    Signal.IMAGEFS: DISK,
    Signal.NODEFS_INODES: DISK,
    Signal.IMAGEFS_INODES: DISK,
    Signal.PID: PID,
}
INODES: Final = "inodes"
RESOURCE: Final = {
    Signal.MEMORY: "memory",
    Signal.NODEFS: "ephemeral-storage",
    Signal.IMAGEFS: "ephemeral-storage",
    Signal.NODEFS_INODES: INODES,
    Signal.IMAGEFS_INODES: INODES,
    Signal.PID: "pids",
}
ORDER: Final = tuple(Signal)  # Memory kills others soonest.
CRITICAL_PRIORITY: Final = 2_000_000_000  # From `system-cluster-critical` on.
MEMORY_TAINT: Final = "node.kubernetes.io/memory-pressure"


class Reading(NamedTuple):
    """Bytes, inodes, or processes."""

    available: int
    capacity: int


class Taken(NamedTuple):
    """What a container, or a pod's volumes, take: memory and disk in bytes."""

    memory_bytes: int = 0
    disk_bytes: int = 0
    inodes: int = 0
    processes: int = 0

    def of(self, resource: str) -> int:
        amounts = {
            "memory": self.memory_bytes,
            "ephemeral-storage": self.disk_bytes,
            INODES: self.inodes,
        }
        return amounts.get(resource, self.processes)


class Candidate(NamedTuple):
    """A pod and what it takes, by container; '': its volumes."""

    pod: Pod
    taken: Mapping[str, Taken]

    def uses(self, resource: str) -> int:
        return sum(one.of(resource) for one in self.taken.values())


def met(thresholds: Iterable[Threshold], readings: Mapping[Signal, Reading]) -> tuple[Threshold, ...]:
    """The thresholds that the node is below, the one to be helped first in front. What was not read is not met."""
    below = [
        one
        for one in thresholds
        if (read := readings.get(one.signal)) is not None and read.available < one.of(read.capacity)
    ]
    return tuple(sorted(below, key=lambda one: ORDER.index(one.signal)))


def due(
    below: Iterable[Threshold], since: Mapping[Threshold, datetime], now: datetime
) -> tuple[tuple[Threshold, ...], Mapping[Threshold, datetime]]:
    """Those for which a pod goes now, and since when the node is below each: a soft one waits for its grace."""
    seen = {one: since.get(one, now) for one in below}
    waited = {one: (now - at).total_seconds() for one, at in seen.items()}
    return tuple(one for one in seen if waited[one] >= (one.grace_seconds or 0)), seen


def grace_of(pod: Pod, threshold: Threshold, pod_grace_max_seconds: float) -> float:
    """How long a pod has to end: the node waits for nobody below a hard threshold."""
    if threshold.grace_seconds is None:
        return 0
    return min(pod_grace_max_seconds, pod["spec"]["terminationGracePeriodSeconds"])


def conditions(
    met_now: Iterable[Threshold], last_met: Mapping[str, datetime], now: datetime, keep_seconds: float
) -> tuple[frozenset[str], Mapping[str, datetime]]:
    """The node's conditions, and when each was met last: one is kept for a while, so that it does not flap."""
    seen = {**last_met, **{CONDITION[one.signal]: now for one in met_now}}
    kept = {name: at for name, at in seen.items() if now - at < timedelta(seconds=keep_seconds) or at == now}
    return frozenset(kept), kept


def refusal(pod: Pod, pressures: frozenset[str]) -> Rejection | None:
    """Why a new pod is not taken while the node is short: under MemoryPressure alone only one that requests nothing."""
    if not pressures or is_critical(pod):
        return None
    if pressures == {MEMORY} and (qos_class(pod) != "BestEffort" or _bears(pod, MEMORY_TAINT)):
        return None
    return Rejection("Evicted", f"The node had condition: [{' '.join(sorted(pressures))}]. ")


def is_critical(pod: Pod) -> bool:
    """Never evicted: the node's own pods, and those that the cluster cannot do without."""
    return is_static(pod) or pod["spec"].get("priority", 0) >= CRITICAL_PRIORITY


def first_to_go(candidates: Iterable[Candidate], signal: Signal) -> Candidate | None:
    """Who uses more than it requested before who does not, then by priority, then by how much more. None: nobody."""
    resource = RESOURCE[signal]

    def rank(one: Candidate) -> tuple[bool, int, int, str]:
        priority, uses = one.pod["spec"].get("priority", 0), one.uses(resource)
        if signal is Signal.PID:
            return False, priority, -uses, uid(one.pod)
        over = uses - requests_of(one.pod).get(resource, 0)
        return over <= 0, priority, -over, uid(one.pod)

    may_go = [one for one in candidates if not (is_critical(one.pod) or _has_ended(one.pod))]
    return min(may_go, key=rank, default=None)


def message(candidate: Candidate, threshold: Threshold, read: Reading) -> str:
    """As the kubelet says it in the pod's status and event."""
    resource = RESOURCE[threshold.signal]
    wanted, available = _shown(threshold.of(read.capacity)), _shown(read.available)
    text = f"The node was low on resource: {resource}. Threshold quantity: {wanted}, available: {available}. "
    if resource in (INODES, RESOURCE[Signal.PID]):
        return text
    for container in candidate.pod["spec"]["containers"]:
        name, requests = container["name"], container["resources"].get("requests") or {}
        uses, asked = candidate.taken.get(name, Taken()).of(resource), str(requests.get(resource, "0"))
        if uses > quantity.whole(asked):
            text += (
                f"Container {name} was using {_shown(uses)}, request is {asked}, has larger consumption of "
                f"{resource}. "
            )
    return text


def beyond_limits(candidate: Candidate) -> str:
    """Why a pod that takes more of the disk than its `limits` say is evicted, in the kubelet's words; '': it is not."""
    total = 0
    for container in candidate.pod["spec"]["containers"]:
        limit = _disk_limit(container["resources"].get("limits"))
        total += limit
        name = container["name"]
        if limit and candidate.taken.get(name, Taken()).disk_bytes > limit:
            stated = (container["resources"].get("limits") or {})["ephemeral-storage"]
            return f'Container {name} exceeded its local ephemeral storage limit "{stated}". '
    if total and candidate.uses("ephemeral-storage") > total:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {_shown(total)}. "
    return ""


def limits_disk(pod: Pod) -> bool:
    return any(_disk_limit(one["resources"].get("limits")) for one in pod["spec"]["containers"])


def _disk_limit(limits: Mapping[str, str] | None) -> int:
    return quantity.whole((limits or {}).get("ephemeral-storage", "0"))


def _has_ended(pod: Pod) -> bool:
    return is_terminal(pod) or is_going(pod)


def _bears(pod: Pod, taint: str) -> bool:
    return any(
        one.get("key", "") in ("", taint) and one.get("effect", "") in ("", "NoSchedule")
        for one in pod["spec"].get("tolerations") or ()
    )


def _shown(amount: int) -> str:
    return quantity.show(Decimal(amount), "binary")
