"""Node lifecycle: a node that stops renewing its lease is Unknown, and what is not Ready is tainted.

Source: kubernetes/pkg/controller/nodelifecycle, 1.35. Two clocks are never compared: a lease's age counts from when the
store recorded its last renewal, and no lease is judged before this leader has itself watched for a whole period. Pods
of a silent node are not Ready, so that nobody sends them anything; `taint_eviction.py` takes them away, no faster than
`node_zones.py` lets nodes lose their pods.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, cast

from gitops.controllers.conditions import with_condition
from gitops.controllers.node_zones import evicting, is_dark, seconds_to_next
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
EVICTING: Final = frozenset({NOT_READY, UNREACHABLE})
LOOK_SECONDS: Final = (
    5.0  # Kubernetes' node-monitor-period: how the others fare is looked at for as long as one fails.
)
PRESSURES: Final = {  # By condition, while its status is True: what runs stays, nothing new comes.
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
}
OURS: Final = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *PRESSURES.values()})


def node_lifecycle(watching_since: datetime) -> Controller:
    """The controller of a leader that has watched since then."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Bring a node's condition Ready and its taints to what its lease and its own word say."""
        node = view.get(NODE, key)
        if node is None or is_going(node):
            return NOTHING
        left = _seconds_left(view, node, watching_since, now)
        judged = node if left > 0 else _silent(node, now)
        wanted, look = _wanted(
            view, node, judged, lambda one: _seconds_left(view, one, watching_since, now), now
        )
        target = _tainted(judged, wanted, now)
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
            after_seconds=min((one for one in (left, look) if one > 0), default=None),
        )

    return Controller(
        "node-lifecycle",
        reconcile,
        (
            Trigger("", "Node", lambda _, obj: (key_of(obj),)),
            Trigger("coordination.k8s.io", "Lease", _of_lease),
        ),
        resync=lambda view: (key_of(one) for one in view.list(NODE)),
        serial=True,  # Two nodes must not take the one place that a zone's pace allows.
    )


def _wanted(
    view: Reader, node: Node, judged: Node, seconds_left: Callable[[Node], float], now: datetime
) -> tuple[tuple[tuple[str, str], ...], float]:
    """The taints that a node's condition asks for and its zone's pace allows; when to look again, 0 for never."""
    wanted = TAINTS.get(_ready(judged), TAINTS["Unknown"])
    if not wanted:
        return (), 0.0

    def is_up(other: Node) -> bool:
        return _ready(other) == "True" and seconds_left(other) > 0

    bearable = tuple(one for one in wanted if one[1] != "NoExecute")
    if is_dark(view, is_up):
        return bearable, LOOK_SECONDS
    wait = 0.0 if evicting(node, EVICTING) else seconds_to_next(view, node, is_up, EVICTING, now)
    return (bearable, min(wait, LOOK_SECONDS)) if wait else (wanted, LOOK_SECONDS)


def _seconds_left(view: Reader, node: Node, watching_since: datetime, now: datetime) -> float:
    """Until a node counts as silent; 0 or less: it does."""
    name = node["metadata"].get("name", "")
    heard = view.recorded(LEASE, LEASE.key(LEASE_NAMESPACE, name)) or view.recorded(NODE, key_of(node)) or now
    return GRACE_SECONDS - (now - max(heard, watching_since)) / timedelta(seconds=1)


def _ready(node: Node) -> str:
    """The status of its condition Ready; a node that has said nothing yet is not."""
    ready = node_condition(node, "Ready")
    return ready["status"] if ready else "False"


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


def _tainted(node: Node, asked: Iterable[tuple[str, str]], now: datetime) -> Node:
    """The node with the taints that its condition asks for, and its mark; itself if it has just these of ours."""
    wanted = list(asked)
    if node["spec"].get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    for condition, key in PRESSURES.items():
        found = node_condition(node, condition)
        if found is not None and found["status"] == "True":
            wanted.append((key, "NoSchedule"))
    present = node["spec"].get("taints") or []
    kept = [one for one in present if one["key"] not in OURS or (one["key"], one["effect"]) in wanted]
    held = {(one["key"], one["effect"]) for one in kept}
    # Not Ready becomes unreachable, or the other way: its pods tolerate that since the first of both.
    since: dict[str, Taint] = {one["effect"]: one for one in present if one["key"] in EVICTING}
    added = [
        _taint(key, effect, since.get(effect) if key in EVICTING else None, now)
        for key, effect in wanted
        if (key, effect) not in held
    ]
    if not added and len(kept) == len(present):
        return node
    spec = {name: value for name, value in node["spec"].items() if name != "taints"}
    taints = [*kept, *added]
    return cast(Node, {**node, "spec": {**spec, "taints": taints} if taints else spec})


def _taint(key: str, effect: str, before: Taint | None, now: datetime) -> Taint:
    since = cast("dict[str, str]", before or {}).get("timeAdded")
    return cast(Taint, {"key": key, "effect": effect, "timeAdded": since or timestamp(now)})


def _of_lease(_: Reader, obj: KubeObject) -> Iterator[Key]:
    if obj["metadata"].get("namespace") == LEASE_NAMESPACE:
        yield NODE.key("", obj["metadata"].get("name", ""))
