"""PodDisruptionBudget: how many of its pods are healthy, should be, and may be evicted now.

Source: kubernetes/pkg/controller/disruption/disruption.go, 1.35. An eviction that is granted spends the status at once
(`gitops.api.evictions`) and names its pod in `disruptedPods`; here it leaves that list when the pod goes, or after two
minutes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from gitops.controllers.conditions import find, without
from gitops.controllers.deployment_sizes import scaled
from gitops.kinds import registry
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.pod import POD, Pod, is_ready
from gitops.kinds.errors import GitwardError
from gitops.kinds.keys import Key
from gitops.kinds.objects import (
    Condition,
    KubeObject,
    OwnerReference,
    controller_of,
    group_of,
    is_going,
    key_of,
    labels_of,
    moment_of,
    timestamp,
    uid,
)
from gitops.kinds.policy import (
    POD_DISRUPTION_BUDGET,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
    budget_status,
    spec_of,
)
from gitops.kinds.selectors import matches
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

DELETION_SECONDS: Final = 120.0  # A pod whose eviction was granted and that still is there then counts again.
AGAIN_SECONDS: Final = 30.0  # What cannot be counted may become countable by a change that wakes nobody.
ALLOWED: Final = "DisruptionAllowed"


class Uncountable(GitwardError):
    """It is not known how many pods there should be."""

    reason = "CalculateExpectedPodCountFailed"


class _Expected(NamedTuple):
    pods: int
    healthy: int


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring the status of a budget to what its pods and their controllers say.

    Returns:
        A status if it differs. `after_seconds` where a granted eviction has not ended its pod yet.
    """
    budget = view.get(POD_DISRUPTION_BUDGET, key)
    if budget is None:
        return NOTHING
    pods = tuple(view.select(POD, key.namespace, spec_of(budget).get("selector")))
    try:
        expected = _expected(view, budget, pods)
    except Uncountable as error:
        return _refused(budget, str(error), now)
    disrupted, late, wait_seconds = _disrupted(budget, pods, now)
    healthy = sum(
        is_ready(pod) and not is_going(pod) and pod["metadata"].get("name", "") not in disrupted
        for pod in pods
    )
    allowed = max(healthy - expected.healthy, 0) if expected.pods > 0 else 0
    status: PodDisruptionBudgetStatus = {
        "currentHealthy": healthy,
        "desiredHealthy": expected.healthy,
        "disruptionsAllowed": allowed,
        "expectedPods": expected.pods,
        "observedGeneration": budget["metadata"].get("generation", 0),
        "conditions": _conditions(budget, allowed > 0, now),
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    written = _with_status(budget, status)
    notes = [_not_deleted(budget, pod) for pod in late]
    if written and not pods:
        notes.append(EventNote(budget, "Normal", "NoPods", "No matching pods found"))
    return Writes(status=written, events=tuple(notes), after_seconds=wait_seconds)


def _expected(view: Reader, budget: PodDisruptionBudget, pods: Sequence[Pod]) -> _Expected:
    """How many pods there should be, and how many of them healthy. Raises Uncountable."""
    spec = spec_of(budget)
    if (unavailable := spec.get("maxUnavailable")) is not None:
        total = _scale(view, pods)
        return _Expected(total, max(total - scaled(unavailable, total, round_up=True), 0))
    available = spec.get("minAvailable")
    if isinstance(available, int):
        return _Expected(len(pods), available)  # Also of pods that have no controller.
    if available is None:
        return _Expected(0, 0)
    total = _scale(view, pods)
    return _Expected(total, scaled(available, total, round_up=True))


def _scale(view: Reader, pods: Iterable[Pod]) -> int:
    """The sizes of all controllers that have any of these pods; pods without one are left out. Raises Uncountable."""
    sizes: dict[str, int] = {}
    of_owner: set[str] = set()
    for pod in pods:
        owner = controller_of(pod)
        if owner is None or owner["uid"] in of_owner:
            continue
        of_owner.add(owner["uid"])
        controller = _controller(view, owner, pod)
        sizes[uid(controller)] = _replicas(controller)
    return sum(sizes.values())


def _controller(view: Reader, owner: OwnerReference, pod: Pod) -> KubeObject:
    """Who decides how many there are: of a ReplicaSet's pods its Deployment, if it has one."""
    namespace = pod["metadata"].get("namespace", "")
    found = _owner(view, owner, namespace)
    if found is not None and REPLICA_SET.owns(found):
        above = controller_of(found)
        if above is not None and above["kind"] == DEPLOYMENT.kind:
            found = _owner(view, above, namespace)
    if found is None:
        raise Uncountable(f'found no controllers for pod "{pod["metadata"].get("name", "")}"')
    kind = registry.find(group_of(found["apiVersion"]), found["kind"])
    if kind is None or "scale" not in kind.subresources:
        resource = kind.resource if kind is not None else found["kind"]
        raise Uncountable(f"{resource} does not implement the scale subresource")
    return found


def _owner(view: Reader, owner: OwnerReference, namespace: str) -> KubeObject | None:
    found = view.object(Key(group_of(owner["apiVersion"]), owner["kind"], namespace, owner["name"]))
    return found if found is not None and uid(found) == owner["uid"] else None


def _replicas(controller: KubeObject) -> int:
    spec: Mapping[str, Any] = cast(Mapping[str, Any], controller).get("spec") or {}
    replicas = spec.get("replicas", 1)
    return replicas if isinstance(replicas, int) else 1


def _disrupted(
    budget: PodDisruptionBudget, pods: Iterable[Pod], now: datetime
) -> tuple[dict[str, str], list[Pod], float | None]:
    """Granted evictions whose pods do not go yet, those that should have gone, and when to look again."""
    granted = budget_status(budget).get("disruptedPods") or {}
    kept: dict[str, str] = {}
    late: list[Pod] = []
    waits: list[float] = []
    for pod in pods:
        name = pod["metadata"].get("name", "")
        if name not in granted or is_going(pod):
            continue
        left = DELETION_SECONDS - (now - moment_of(granted[name])) / timedelta(seconds=1)
        if left < 0:
            late.append(pod)
        else:
            kept[name] = granted[name]
            waits.append(left + 1)
    return kept, late, min(waits, default=None)


def _not_deleted(budget: PodDisruptionBudget, pod: Pod) -> EventNote:
    meta = budget["metadata"]
    of = f"{meta.get('namespace', '')}/{meta.get('name', '')}"
    text = f"Pod was expected by PDB {of} to be deleted but it wasn't"
    return EventNote(pod, "Warning", "NotDeleted", text)


def _conditions(budget: PodDisruptionBudget, allowed: bool, now: datetime) -> list[Condition]:
    reason = "SufficientPods" if allowed else "InsufficientPods"
    return _told(budget, allowed, reason, "", budget["metadata"].get("generation", 0), now)


def _told(
    budget: PodDisruptionBudget, allowed: bool, reason: str, message: str, generation: int, now: datetime
) -> list[Condition]:
    before = budget_status(budget).get("conditions") or ()
    old, value = find(before, ALLOWED), str(allowed)
    since = old.get("lastTransitionTime") if old and old["status"] == value else None
    condition: Condition = {
        "type": ALLOWED,
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": since or timestamp(now),
    }
    return [*without(before, ALLOWED), condition]


def _refused(budget: PodDisruptionBudget, why: str, now: datetime) -> Writes:
    """Where pods cannot be counted none may be evicted."""
    old = budget_status(budget)
    conditions = _told(budget, False, "SyncFailed", why, old.get("observedGeneration", 0), now)
    written = _with_status(budget, {**old, "disruptionsAllowed": 0, "conditions": conditions})
    text = f"Failed to calculate the number of expected pods: {why}"
    note = EventNote(budget, "Warning", Uncountable.reason, text)
    return Writes(status=written, events=(note,) if written else (), after_seconds=AGAIN_SECONDS)


def _with_status(budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> KubeObject | None:
    """The budget with its new status; None where nothing differs."""
    return None if budget.get("status") == status else cast(KubeObject, {**budget, "status": status})


def _of_labels(view: Reader, namespace: str, labels: Mapping[str, str]) -> Iterable[Key]:
    for budget in view.list(POD_DISRUPTION_BUDGET, namespace):
        if matches(spec_of(budget).get("selector"), labels):
            yield key_of(budget)


def _of_pod(view: Reader, obj: KubeObject) -> Iterable[Key]:
    return _of_labels(view, obj["metadata"].get("namespace", ""), labels_of(obj))


def _of_controller(view: Reader, obj: KubeObject) -> Iterable[Key]:
    """Its size may have changed."""
    template = (cast(Mapping[str, Any], obj).get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    return _of_labels(view, obj["metadata"].get("namespace", ""), labels)


DISRUPTION: Final = Controller(
    "disruption",
    reconcile,
    (
        Trigger("policy", "PodDisruptionBudget", lambda _, obj: (key_of(obj),)),
        Trigger("", "Pod", _of_pod),
        Trigger("apps", "Deployment", _of_controller),
        Trigger("apps", "ReplicaSet", _of_controller),
        Trigger("apps", "StatefulSet", _of_controller),
        Trigger("", "ReplicationController", _of_controller),
    ),
    resync=lambda view: (key_of(one) for one in view.list(POD_DISRUPTION_BUDGET)),
)
