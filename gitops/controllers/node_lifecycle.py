"""Node lifecycle: a node that stops renewing its lease is Unknown, and what is not Ready is tainted.

Source: kubernetes/pkg/controller/nodelifecycle, 1.35. Two clocks are never compared: a lease's age counts from when the
store recorded its last renewal, and no lease is judged before this leader has itself watched for a whole period. Pods
of a silent node are not Ready, so that nobody sends them anything; `taint_eviction.py` takes them away.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, cast

from gitops.controllers.conditions import with_condition
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.node import NODE, Node, Taint, node_condition
from gitops.kinds.core.pod import POD, Pod, is_ready, pod_status
from gitops.kinds.keys import Key
from gitops.kinds.objects import Condition, KubeObject, is_going, key_of, timestamp
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

GRACE_SECONDS: Final = 40.0  # Kubernetes' node-monitor-grace-period: four lost renewals.
LEASE_NAMESPACE: Final = "kube-node-lease"
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
# By the status of the condition Ready. Both effects, as Kubernetes: nothing new comes, what does not tolerate it goes.
TAINTS: Final = {
    "True": (),
    "False": ((NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")),
    "Unknown": ((UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")),
}
OURS: Final = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE})


def node_lifecycle(watching_since: datetime) -> Controller:
    """The controller of a leader that has watched since then."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Bring a node's condition Ready and its taints to what its lease and its own word say."""
        node = view.get(NODE, key)
        if node is None or is_going(node):
            return NOTHING
        heard = view.recorded(LEASE, LEASE.key(LEASE_NAMESPACE, key.name)) or view.recorded(NODE, key) or now
        left = GRACE_SECONDS - (now - max(heard, watching_since)) / timedelta(seconds=1)
        judged = node if left > 0 else _silent(node, now)
        target = _tainted(judged, now)
        events: list[EventNote] = []
        if judged is not node:
            text = f"Node {key.name} status is now: NodeNotReady"
            events.append(EventNote(node, "Normal", "NodeNotReady", text))
        pods = [pod for pod in view.on_node(POD, key.name) if is_ready(pod)] if left <= 0 else []
        events += [EventNote(pod, "Warning", "NodeNotReady", "Node is not ready") for pod in pods]
        return Writes(
            update=tuple(_not_ready(pod, now) for pod in pods),
            status=None if target is node else target,
            events=tuple(events),
            after_seconds=left if left > 0 else None,
        )

    return Controller(
        "node-lifecycle",
        reconcile,
        (
            Trigger("", "Node", lambda _, obj: (key_of(obj),)),
            Trigger("coordination.k8s.io", "Lease", _of_lease),
        ),
        resync=lambda view: (key_of(one) for one in view.list(NODE)),
    )


def _silent(node: Node, now: datetime) -> Node:
    """The node with Ready Unknown; itself if that was said already."""
    ready = node_condition(node, "Ready")
    if ready is not None and ready["status"] == "Unknown":
        return node
    conditions: list[Condition] = (node.get("status") or {}).get("conditions") or []
    told = with_condition(
        conditions, "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", now
    )
    return cast(Node, {**node, "status": {**(node.get("status") or {}), "conditions": told}})


def _not_ready(pod: Pod, now: datetime) -> Pod:
    """Only its condition Ready changes: what its node said of it last is all that is known."""
    changed = [
        {**one, "status": "False", "lastTransitionTime": timestamp(now)} if one["type"] == "Ready" else one
        for one in pod_status(pod).get("conditions") or ()
    ]
    return cast(Pod, {**pod, "status": {**pod_status(pod), "conditions": changed}})


def _tainted(node: Node, now: datetime) -> Node:
    """The node with the taints that its condition and its mark ask for; itself if it has just these of ours."""
    ready = node_condition(node, "Ready")
    wanted = list(TAINTS.get(ready["status"] if ready else "False", TAINTS["Unknown"]))
    if node["spec"].get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    present = node["spec"].get("taints") or []
    kept = [one for one in present if one["key"] not in OURS or (one["key"], one["effect"]) in wanted]
    held = {(one["key"], one["effect"]) for one in kept}
    added = [_taint(key, effect, now) for key, effect in wanted if (key, effect) not in held]
    if not added and len(kept) == len(present):
        return node
    spec = {name: value for name, value in node["spec"].items() if name != "taints"}
    taints = [*kept, *added]
    return cast(Node, {**node, "spec": {**spec, "taints": taints} if taints else spec})


def _taint(key: str, effect: str, now: datetime) -> Taint:
    return cast(Taint, {"key": key, "effect": effect, "timeAdded": timestamp(now)})


def _of_lease(_: Reader, obj: KubeObject) -> Iterator[Key]:
    if obj["metadata"].get("namespace") == LEASE_NAMESPACE:
        yield NODE.key("", obj["metadata"].get("name", ""))
