"""ReplicaSet: as many pods as `spec.replicas` says.

Source: kubernetes/pkg/controller/replicaset; `ActivePodsWithRanks` says who goes first. Kubernetes starts slowly, with
1, 2, 4 pods, so that a template that is refused costs few requests. Here a round's pods are one transaction, admitted
before anything is written: a refusal costs one attempt, writes one condition, and is tried again half a minute later.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from gitops.controllers.conditions import with_condition, without
from gitops.controllers.families import families_of
from gitops.controllers.ownership import claim
from gitops.kinds.apps import REPLICA_SET, ReplicaSet, ReplicaSetStatus
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD, Pod, is_ready, is_terminal, pod_condition, pod_phase, pod_status
from gitops.kinds.errors import GitwardError
from gitops.kinds.keys import Key
from gitops.kinds.objects import (
    KubeObject,
    ObjectMeta,
    annotations_of,
    controller_of,
    group_of,
    is_going,
    key_of,
    labels_of,
    moment_of,
    owner_reference,
    uid,
)
from gitops.kinds.selectors import matches
from gitops.reconcile import COMBINED, NOTHING, Controller, EventNote, Reader, Trigger, Writes

BURST_PODS_MAX: Final = 500  # Per round, as kube-controller-manager: one typo must not flood the store.
FAILED_AGAIN_SECONDS: Final = (
    30.0  # What admission refused, it may allow after a change that nobody tells us of.
)
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
TOLD_MAX: Final = (
    10  # Events of a round about single pods: beyond it client-go's correlator combines them, too.
)
GENERATED_NAME_MAX: Final = 247  # Room for five characters and a dash within Kubernetes' 253.
_PHASE_RANK: Final = {"Pending": 0, "Unknown": 1, "Running": 2}


class _Counts(NamedTuple):
    """Of a ReplicaSet's pods, as its status tells them."""

    active: int
    full: int  # Those that have all labels of the template.
    ready: int
    available: int
    terminating: int


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring the number of a ReplicaSet's pods to `spec.replicas`.

    Args:
        view: the store at one revision, never older than our own last write. Read: `key`, its pods, its siblings' pods.
        key: a ReplicaSet. If it is gone or going, nothing is written: its pods leave by owner reference.
        now: UTC; what any timestamp written here gets.
    Returns:
        At most `BURST_PODS_MAX` creates or deletes, never both, adoptions and releases, and a status if it differs.
        `after_seconds` only where `minReadySeconds` lets a pod become available by waiting.
        New pods carry a `generateName`, which the runner completes: ids are not ours to invent.
    """
    owner = view.get(REPLICA_SET, key)
    if owner is None or is_going(owner):
        return NOTHING
    if (counted := _by_counts(view, owner)) is not None:
        return counted
    claimed = claim(view, POD, owner, owner["spec"]["selector"], is_active)
    pods = [pod for pod in claimed.owned if is_active(pod)]
    missing = owner["spec"]["replicas"] - len(pods)
    surplus: list[Pod] = []
    if missing < 0:
        surplus = _first_to_go(view, owner, pods, now)[: min(-missing, BURST_PODS_MAX)]
    elif missing and is_closing(view, key.namespace):
        missing = 0
    leaving = {key_of(pod) for pod in surplus}
    wait = _seconds_to_availability(view, owner, pods, now)
    return Writes(
        create=_new_pods(owner, missing),
        update=tuple(pod for pod in claimed.updates if key_of(pod) not in leaving),
        delete=tuple(key_of(pod) for pod in surplus),
        status=_with_status(owner, _status(view, owner, pods, claimed.owned, now)),
        events=(*_created(owner, missing), *_deleted(owner, surplus)),
        after_seconds=wait,
    )


def is_active(pod: Pod) -> bool:
    """Neither at its end nor on its way there: what counts as a replica."""
    return not is_going(pod) and not is_terminal(pod)


def is_available(view: Reader, pod: Pod, min_ready_seconds: int, now: datetime) -> bool:
    """Ready, and for `min_ready_seconds` by our own clock."""
    if not is_ready(pod):
        return False
    return min_ready_seconds == 0 or _seconds_ready(view, pod, now) >= min_ready_seconds


def is_closing(view: Reader, namespace: str) -> bool:
    """A namespace on its way out takes nothing new, and needs no complaint about it."""
    place = view.get(NAMESPACE, NAMESPACE.key("", namespace))
    return place is not None and is_going(place)


def _new_pods(owner: ReplicaSet, missing: int) -> tuple[Pod, ...]:
    return tuple(new_pod(owner) for _ in range(min(missing, BURST_PODS_MAX)))


def _created(owner: ReplicaSet, missing: int) -> Iterator[EventNote]:
    """One for each new pod, up to a bound: then one for all the others."""
    created = min(missing, BURST_PODS_MAX)
    for index in range(min(created, TOLD_MAX)):
        yield EventNote(owner, "Normal", "SuccessfulCreate", "Created pod: {name}", created=index)
    if created > TOLD_MAX:
        text = f"{COMBINED}Created pod: {{name}}"
        yield EventNote(owner, "Normal", "SuccessfulCreate", text, created=created - 1)


def _deleted(owner: ReplicaSet, surplus: Sequence[Pod]) -> Iterator[EventNote]:
    for index, pod in enumerate(surplus[: TOLD_MAX + 1]):
        text = f"Deleted pod: {pod['metadata'].get('name')}"
        yield EventNote(
            owner, "Normal", "SuccessfulDelete", text if index < TOLD_MAX else f"{COMBINED}{text}"
        )


def new_pod(owner: ReplicaSet) -> Pod:
    """A pod of the template, still without a name of its own."""
    template = owner["spec"]["template"]
    name = owner["metadata"].get("name", "")
    meta: ObjectMeta = {
        "generateName": f"{name[:GENERATED_NAME_MAX]}-",
        "namespace": owner["metadata"].get("namespace", ""),
        "labels": dict(template["metadata"].get("labels") or {}),
        "ownerReferences": [owner_reference(owner)],
    }
    if annotations := template["metadata"].get("annotations"):
        meta["annotations"] = dict(annotations)
    if finalizers := template["metadata"].get("finalizers"):
        meta["finalizers"] = list(finalizers)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def failed(view: Reader, key: Key, error: GitwardError, now: datetime) -> Writes:
    """Pods that admission refuses become the condition ReplicaFailure, which the next success takes away."""
    owner = view.get(REPLICA_SET, key)
    if owner is None or is_going(owner):
        return NOTHING
    old = _old_status(owner)
    # The generated name differs in every try; the reason would seem new each time, and be written for ever.
    reason = re.sub(rf'"{re.escape(key.name)}-[a-z0-9]{{5}}"', f'"{key.name}-*"', str(error))
    conditions = with_condition(
        old.get("conditions") or (), "ReplicaFailure", True, "FailedCreate", reason, now
    )
    if conditions == old.get("conditions"):
        return Writes(after_seconds=FAILED_AGAIN_SECONDS)
    status: ReplicaSetStatus = {**old, "conditions": conditions}
    note = EventNote(owner, "Warning", "FailedCreate", f"Error creating: {reason}")
    return Writes(status=_with_status(owner, status), events=(note,), after_seconds=FAILED_AGAIN_SECONDS)


def _first_to_go(view: Reader, owner: ReplicaSet, pods: Iterable[Pod], now: datetime) -> list[Pod]:
    """The pods in the order in which surplus ones are deleted."""
    crowd = _pods_by_node(view, owner)
    return sorted(pods, key=lambda pod: _rank(pod, crowd[pod["spec"].get("nodeName", "")], now))


def _rank(pod: Pod, neighbours: int, now: datetime) -> tuple[object, ...]:
    """Kubernetes' order: unassigned, pending, not ready, cheap, on a crowded node, newly ready, restarted, new."""
    ready = pod_condition(pod, "Ready")
    since = ready.get("lastTransitionTime", "") if ready and is_ready(pod) else ""
    restarts = max((one["restartCount"] for one in pod_status(pod).get("containerStatuses") or ()), default=0)
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASE_RANK.get(pod_phase(pod), 2),
        is_ready(pod),
        _deletion_cost(pod),
        -neighbours,
        _age_rank(since, now),
        -restarts,
        _age_rank(pod["metadata"].get("creationTimestamp", ""), now),
        uid(pod),
    )


def _age_rank(since: str, now: datetime) -> int:
    """Ages by their order of magnitude (Kubernetes: LogarithmicScaleDown): who is much younger goes first. Among those
    of about one age it is not always the youngest. An unknown time counts as the youngest."""
    nanoseconds = (now - moment_of(since)) / timedelta(microseconds=1) * 1000 if since else 0.0
    return int(math.log2(nanoseconds)) if nanoseconds >= 1 else -1


def _deletion_cost(pod: Pod) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _pods_by_node(view: Reader, owner: ReplicaSet) -> Counter[str]:
    """How many active pods of this ReplicaSet and of its siblings under one Deployment each node has."""
    parent = controller_of(owner)
    family = view.owned_by(REPLICA_SET, parent["uid"]) if parent else (owner,)
    return Counter(
        pod["spec"].get("nodeName", "")
        for member in family
        for pod in view.owned_by(POD, uid(member))
        if is_active(pod)
    )


def _by_counts(view: Reader, owner: ReplicaSet) -> Writes | None:
    """As the whole of `reconcile`, where numbers are enough: nothing to delete, adopt, release or wait for."""
    spec = owner["spec"]
    families = families_of(view)
    family = families.of(uid(owner))
    missing = spec["replicas"] - family.active
    if missing < 0 or spec.get("minReadySeconds"):
        return None
    selector = spec["selector"]
    if not all(matches(selector, dict(labels)) for labels, _ in family.labels):
        return None
    if any(active and matches(selector, dict(labels)) for labels, active in families.of("").labels):
        return None  # It may be one to adopt.
    if missing and is_closing(view, owner["metadata"].get("namespace", "")):
        missing = 0
    template = (spec["template"]["metadata"].get("labels") or {}).items()
    full = sum(number for (labels, active), number in family.labels.items() if active and template <= labels)
    counts = _Counts(family.active, full, family.ready, family.ready, family.stopping)
    return Writes(
        create=_new_pods(owner, missing),
        status=_with_status(owner, _told(owner, counts)),
        events=tuple(_created(owner, missing)),
    )


def _status(
    view: Reader, owner: ReplicaSet, pods: Sequence[Pod], owned: Sequence[Pod], now: datetime
) -> ReplicaSetStatus:
    """Counts of what the view shows; what this round creates and deletes is counted in the next."""
    labels = (owner["spec"]["template"]["metadata"].get("labels") or {}).items()
    min_ready = owner["spec"].get("minReadySeconds", 0)
    return _told(
        owner,
        _Counts(
            active=len(pods),
            full=sum(labels <= labels_of(pod).items() for pod in pods),
            ready=sum(is_ready(pod) for pod in pods),
            available=sum(is_available(view, pod, min_ready, now) for pod in pods),
            terminating=sum(is_going(pod) and not is_terminal(pod) for pod in owned),
        ),
    )


def _told(owner: ReplicaSet, counts: _Counts) -> ReplicaSetStatus:
    status: ReplicaSetStatus = {"replicas": counts.active}
    if counts.full:
        status["fullyLabeledReplicas"] = counts.full
    if counts.ready:
        status["readyReplicas"] = counts.ready
    if counts.available:
        status["availableReplicas"] = counts.available
    if counts.terminating:
        status["terminatingReplicas"] = counts.terminating
    status["observedGeneration"] = owner["metadata"].get("generation", 0)
    if conditions := without(_old_status(owner).get("conditions") or (), "ReplicaFailure"):
        status["conditions"] = conditions
    return status


def _seconds_to_availability(
    view: Reader, owner: ReplicaSet, pods: Iterable[Pod], now: datetime
) -> float | None:
    """When the next ready pod will have been so for long enough."""
    min_ready = owner["spec"].get("minReadySeconds", 0)
    waits = [
        min_ready - _seconds_ready(view, pod, now)
        for pod in pods
        if is_ready(pod) and not is_available(view, pod, min_ready, now)
    ]
    return min(waits, default=None)


def _seconds_ready(view: Reader, pod: Pod, now: datetime) -> float:
    """Since its condition turned, as admission stamped it. The pod was recorded last then or later, so a later time is
    nobody's that is to be believed."""
    since = view.recorded(POD, key_of(pod)) or now
    ready = pod_condition(pod, "Ready")
    if stamp := ready.get("lastTransitionTime") if ready else None:
        since = min(since, moment_of(stamp))
    return (now - since) / timedelta(seconds=1)


def _old_status(owner: ReplicaSet) -> ReplicaSetStatus:
    return owner.get("status") or ReplicaSetStatus(replicas=0)


def _with_status(owner: ReplicaSet, status: ReplicaSetStatus) -> KubeObject | None:
    """The ReplicaSet with its new status; None where nothing differs."""
    return None if owner.get("status") == status else cast(KubeObject, {**owner, "status": status})


def _owners_of(view: Reader, obj: KubeObject) -> Iterable[Key]:
    """The ReplicaSet of a pod; for an orphan every ReplicaSet that may adopt it."""
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    owner = controller_of(obj)
    if owner is not None:
        if owner["kind"] == "ReplicaSet" and group_of(owner["apiVersion"]) == "apps":
            yield REPLICA_SET.key(namespace, owner["name"])
        return
    for candidate in view.list(REPLICA_SET, namespace):
        if matches(candidate["spec"]["selector"], labels_of(obj)):
            yield key_of(candidate)


def _refused_for(view: Reader, account: KubeObject) -> Iterable[Key]:
    """Those whose pods were refused while this service account was not there."""
    name, namespace = account["metadata"].get("name", ""), account["metadata"].get("namespace", "")
    for one in view.list(REPLICA_SET, namespace):
        conditions = _old_status(one).get("conditions") or ()
        if one["spec"]["template"]["spec"].get("serviceAccountName") == name and any(
            condition["type"] == "ReplicaFailure" for condition in conditions
        ):
            yield key_of(one)


REPLICASET_CONTROLLER: Final = Controller(
    "replicaset",
    reconcile,
    (
        Trigger("apps", "ReplicaSet", lambda _, obj: (key_of(obj),)),
        Trigger("", "Pod", _owners_of),
        Trigger("", "ServiceAccount", _refused_for),
    ),
    resync=lambda view: (key_of(one) for one in view.list(REPLICA_SET)),
    failed=failed,
)
