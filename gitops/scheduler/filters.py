"""Where a pod can run as far as the node alone decides it, and in Kubernetes' words why not elsewhere.

Source: kubernetes/pkg/scheduler/framework/plugins, in the order of the default profile, 1.35. A node is counted at its
first failing filter; resources name everything that is lacking. What claims and other pods decide (volumes, spread,
affinity to pods) is in `neighbours.py`.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from gitops.kinds.core.amounts import PODS
from gitops.kinds.core.node import Taint
from gitops.kinds.core.tolerations import tolerates
from gitops.kinds.selectors import Requirement
from gitops.scheduler.nodes import UNSCHEDULABLE
from gitops.scheduler.state import Placed, Refusal, Row
from gitops.scheduler.template import Json, Labels, Template

MARK: Final[Taint] = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}


def explain(refusals: Iterable[Refusal]) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.`, sorted by text as Kubernetes does."""
    listed = list(refusals)
    if not listed:
        return "no nodes available to schedule pods"
    counted = Counter(reason for refusal in listed for reason in refusal.reasons)
    texts = sorted(f"{count} {reason}" for reason, count in counted.items())
    return f"0/{len(listed)} nodes are available: {', '.join(texts)}."


def nowhere(reason: str, nodes: int) -> str:
    """What is wrong with the pod itself, whatever the node."""
    return (
        f"0/{nodes} nodes are available: {reason}. preemption: 0/{nodes} nodes are available: "
        f"{nodes} Preemption is not helpful for scheduling."
    )


def fixed_refusal(template: Template, row: Row) -> Refusal | None:
    """What no pod that leaves can change."""
    if row.unschedulable and not tolerates(template.tolerations, MARK):
        return _fixed("node(s) were unschedulable")
    if hard_taint(template, row) is not None:
        return _fixed("node(s) had untolerated taint(s)")
    if not is_chosen(template, row):
        return _fixed("node(s) didn't match Pod's node affinity/selector")
    return None


def room_refusal(template: Template, row: Row, reserved: Iterable[Placed] = ()) -> Refusal | None:
    """Ports and resources. `reserved`: pods that will come there before this one."""
    held = list(reserved)
    taken = [*row.ports, *(port for one in held for port in one.template.ports)] if template.ports else ()
    if any(_clashes(port, other) for port in template.ports for other in taken):
        return Refusal(("node(s) didn't have free ports for the requested pod ports",), curable=True)
    used, allocatable = row.used, row.allocatable
    reasons, curable = [], True
    if used[PODS] + len(held) + 1 > allocatable.get(PODS, 0):
        reasons.append("Too many pods")
    for resource, amount in template.requests.items():
        if not amount:
            continue
        has = allocatable.get(resource, 0)
        ahead = sum(one.template.requests.get(resource, 0) for one in held) if held else 0
        if amount > has - used.get(resource, 0) - ahead:
            reasons.append(f"Insufficient {resource}")
            curable = curable and amount <= has
    return Refusal(tuple(reasons), curable) if reasons else None


def hard_taint(template: Template, row: Row) -> Taint | None:
    """The first taint that keeps the pod away."""
    for taint in row.taints:
        if taint["effect"] != "PreferNoSchedule" and not tolerates(template.tolerations, taint):
            return taint
    return None


def is_chosen(template: Template, row: Row) -> bool:
    """By nodeSelector and required node affinity."""
    labels = row.labels
    if any(labels.get(name) != value for name, value in template.node_selector.items()):
        return False
    return template.required is None or any(term_matches(term, row) for term in template.required)


def term_matches(term: Json, row: Row) -> bool:
    """All of a node selector term; an empty one matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": row.name}
    return all(_holds(one, row.labels) for one in expressions) and all(_holds(one, names) for one in fields)


def _holds(one: Json, labels: Labels) -> bool:
    return Requirement(one["key"], one["operator"], tuple(one.get("values") or ())).matches(labels)


def _clashes(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    """One protocol and number, and an address in common; '' is every address."""
    return one[:2] == other[:2] and (one[2] == other[2] or not one[2] or not other[2])


def _fixed(reason: str) -> Refusal:
    return Refusal((reason,), curable=False)
