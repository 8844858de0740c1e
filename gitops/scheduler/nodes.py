"""Which taints a node has. Source: kubernetes/pkg/scheduler/framework/types.go, 1.35."""

from collections.abc import Iterable
from typing import Final

from gitops.kinds.core.node import Node, Taint, node_condition

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"


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
