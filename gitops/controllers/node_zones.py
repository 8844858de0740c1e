"""How fast nodes that fail may lose their pods. Where much fails at once, the fault is more likely ours than theirs.

Source: kubernetes/pkg/controller/nodelifecycle, `ComputeZoneState` and `handleDisruption`, 1.35, with the defaults of
--node-eviction-rate, --secondary-node-eviction-rate, --unhealthy-zone-threshold and --large-cluster-size-threshold. A
pace is held by the times in the taints themselves, so a new leader goes on where the last one was.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, cast

from gitops.kinds.core.node import NODE, Node, Taint
from gitops.kinds.objects import labels_of, moment_of
from gitops.reconcile import Reader

SECONDS_BETWEEN: Final = 10.0  # From one node of a zone to the next: 0.1 a second.
SLOW_SECONDS_BETWEEN: Final = 100.0  # In a large zone of which most has failed: 0.01 a second.
LARGE_NODES: Final = 50  # A zone with more is large; in a smaller one of which most has failed all stay.
UNHEALTHY_SHARE: Final = 0.55
UNHEALTHY_NODES_MIN: Final = 3  # One or two are never most of a zone.
ZONE_LABELS: Final = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
NEVER: Final = float("inf")

Zone = tuple[str, ...]


def is_dark(view: Reader, is_up: Callable[[Node], bool]) -> bool:
    """No node of the cluster is up: it is the master that is cut off, or everything is; nobody is to be evicted."""
    return not any(map(is_up, view.list(NODE)))


def seconds_to_next(
    view: Reader, node: Node, is_up: Callable[[Node], bool], taints: Iterable[str], now: datetime
) -> float:
    """When the zone of a node that fails may lose the pods of one more node: 0 is now, NEVER while most has failed.

    Args:
        is_up: whether a node counts as healthy.
        taints: the keys by whose NoExecute nodes lose their pods.
    """
    zone = _zone_of(node)
    members = [one for one in view.list(NODE) if _zone_of(one) == zone]
    down = sum(not is_up(one) for one in members)
    between = SECONDS_BETWEEN
    if UNHEALTHY_NODES_MIN <= down < len(members) and down >= UNHEALTHY_SHARE * len(members):
        if len(members) <= LARGE_NODES:
            return NEVER
        between = SLOW_SECONDS_BETWEEN
    keys = frozenset(taints)
    times = [moment_of(at) for one in members for taint in evicting(one, keys) if (at := _added(taint))]
    last = max(times, default=None)
    return 0.0 if last is None else max(between - (now - last) / timedelta(seconds=1), 0.0)


def evicting(node: Node, keys: Iterable[str]) -> list[Taint]:
    """Its taints of these keys that drive pods away."""
    return [
        one for one in node["spec"].get("taints") or () if one["effect"] == "NoExecute" and one["key"] in keys
    ]


def _added(taint: Taint) -> str:
    return cast("dict[str, str]", taint).get("timeAdded", "")


def _zone_of(node: Node) -> Zone:
    return tuple(labels_of(node).get(name, "") for name in ZONE_LABELS)
