"""Where a pod can run, and in Kubernetes' words why not elsewhere.

Source: kubernetes/pkg/scheduler/framework/plugins, in the order of the default profile. A node is counted at its first
failing filter; resources name everything that is lacking. Affinity, spread, ports and volumes are not acted on yet.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from gitops.kinds.core.node import Taint
from gitops.kinds.core.pod import Pod, Toleration
from gitops.kinds.objects import labels_of
from gitops.scheduler.nodes import PODS, UNSCHEDULABLE, NodeState, requests_of

Filter = Callable[[Pod, NodeState], tuple[str, ...]]


def reasons_against(pod: Pod, state: NodeState) -> tuple[str, ...]:
    """Why the pod cannot run there; empty: it can."""
    return next((reasons for each in FILTERS if (reasons := each(pod, state))), ())


def explain(refusals: Iterable[tuple[str, ...]]) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods.`, sorted by text as Kubernetes does."""
    listed = list(refusals)
    if not listed:
        return "no nodes available to schedule pods"
    counted = Counter(reason for reasons in listed for reason in reasons)
    texts = sorted(f"{count} {reason}" for reason, count in counted.items())
    return f"0/{len(listed)} nodes are available: {', '.join(texts)}."


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    return any(_matches(one, taint) for one in tolerations)


def _matches(toleration: Toleration, taint: Taint) -> bool:
    if toleration.get("effect") and toleration.get("effect") != taint["effect"]:
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    if toleration.get("key") != taint["key"]:
        return False
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def _unschedulable(pod: Pod, state: NodeState) -> tuple[str, ...]:
    mark: Taint = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
    if not state.node["spec"].get("unschedulable") or tolerates(pod["spec"].get("tolerations") or (), mark):
        return ()
    return ("node(s) were unschedulable",)


def _taints(pod: Pod, state: NodeState) -> tuple[str, ...]:
    tolerations = pod["spec"].get("tolerations") or ()
    for taint in state.taints:
        if taint["effect"] != "PreferNoSchedule" and not tolerates(tolerations, taint):
            return (f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}",)
    return ()


def _node_selector(pod: Pod, state: NodeState) -> tuple[str, ...]:
    labels = labels_of(state.node)
    if all(labels.get(name) == value for name, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return ()
    return ("node(s) didn't match Pod's node affinity/selector",)


def _resources(pod: Pod, state: NodeState) -> tuple[str, ...]:
    reasons = []
    if state.used.get(PODS, 0) + 1 > state.allocatable.get(PODS, 0):
        reasons.append("Too many pods")
    for resource, amount in requests_of(pod).items():
        if amount and amount > state.allocatable.get(resource, 0) - state.used.get(resource, 0):
            reasons.append(f"Insufficient {resource}")
    return tuple(reasons)


FILTERS: Final[tuple[Filter, ...]] = (_unschedulable, _taints, _node_selector, _resources)
