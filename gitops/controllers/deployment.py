"""Deployment: one ReplicaSet for each template, and the road from one to the next.

Source: kubernetes/pkg/controller/deployment, 1.35. The arithmetic is in `deployment_sizes.py`, templates and revisions
in `deployment_revisions.py`, what people read in `deployment_status.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from gitops.controllers.deployment_revisions import (
    DESIRED_REPLICAS,
    REVISION,
    adjusted,
    as_new,
    beyond_history,
    find_new,
    name_of_new,
    new_replica_set,
    revision_of,
)
from gitops.controllers.deployment_sizes import Sizes, limits_of, new_size, rescale, roll_down, size
from gitops.controllers.deployment_status import (
    CREATE_FAILED,
    Step,
    is_complete,
    next_status,
    refused_status,
    refused_text,
    seconds_to_deadline,
)
from gitops.controllers.ownership import Claimed, claim
from gitops.controllers.replicaset import FAILED_AGAIN_SECONDS, is_closing
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment, DeploymentStatus, ReplicaSet
from gitops.kinds.core.pod import POD, is_terminal
from gitops.kinds.errors import GitwardError
from gitops.kinds.keys import Key
from gitops.kinds.objects import (
    KubeObject,
    annotations_of,
    controller_of,
    group_of,
    is_going,
    key_of,
    labels_of,
    uid,
    with_meta,
)
from gitops.kinds.selectors import matches
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one round does to the ReplicaSets. `resized`: also bring the sizes that annotations remember up to date."""

    sizes: Sizes = field(default_factory=dict)
    resized: bool = False
    create_size: int | None = None
    tidy: bool = False


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring the ReplicaSets of a Deployment one step towards its template and its size.

    Args:
        view: read are `key`, its ReplicaSets, and for Recreate their pods.
        key: a Deployment. If it is gone or going, nothing is written: its ReplicaSets leave by owner reference.
        now: UTC; what conditions get, and what `progressDeadlineSeconds` is measured by.
    Returns:
        At most one new ReplicaSet, sizes of others, and a status if it differs. Each step waits for what the statuses
        of the ReplicaSets say, so availability never falls below what `maxUnavailable` allows.
    """
    deployment = view.get(DEPLOYMENT, key)
    if deployment is None or is_going(deployment):
        return NOTHING
    claimed = claim(view, REPLICA_SET, deployment, deployment["spec"]["selector"], lambda _: True)
    alive = [one for one in claimed.owned if not is_going(one)]
    new = find_new(deployment, alive)
    old = [one for one in claimed.owned if one is not new]
    plan = _plan(view, deployment, new, old)
    return _carry_out(view, deployment, claimed, new, plan, now)


def failed(view: Reader, key: Key, error: GitwardError, now: datetime) -> Writes:
    """A ReplicaSet that admission refuses is told in the condition Progressing; a later success says otherwise."""
    deployment = view.get(DEPLOYMENT, key)
    if deployment is None or is_going(deployment) or is_closing(view, key.namespace):
        return NOTHING
    status = refused_status(deployment, name_of_new(deployment), str(error), now)
    if status == deployment.get("status"):
        return Writes(after_seconds=FAILED_AGAIN_SECONDS)
    note = EventNote(deployment, "Warning", CREATE_FAILED, refused_text(name_of_new(deployment), str(error)))
    return Writes(
        status=_with_status(deployment, status, None), events=(note,), after_seconds=FAILED_AGAIN_SECONDS
    )


def _plan(view: Reader, deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> _Plan:
    """Pause, change of size, replacement at once, or roll: in this order, as Kubernetes."""
    active = [one for one in (*old, *([new] if new else ())) if size(one)]
    paused, recreate = (
        deployment["spec"].get("paused", False),
        deployment["spec"]["strategy"]["type"] == "Recreate",
    )
    if paused or (_is_resized(deployment, active) and not (recreate and len(active) > 1)):
        return _Plan(rescale(deployment, new, old), resized=True, tidy=paused)
    if recreate:
        return _recreate(view, deployment, new, old)
    total = sum(map(size, active))
    if new is None:
        return _Plan(create_size=new_size(deployment, 0, total))
    grown = new_size(deployment, size(new), total)
    if grown != size(new):
        return _Plan({new["metadata"].get("name", ""): grown})
    return _Plan(roll_down(deployment, new, old), tidy=True)


def _recreate(
    view: Reader, deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]
) -> _Plan:
    """All old pods are gone before the first new one comes."""
    if any(map(size, old)):
        return _Plan({one["metadata"].get("name", ""): 0 for one in old})
    if any(not is_terminal(pod) for one in old for pod in view.owned_by(POD, uid(one))):
        return _Plan()
    if new is None:
        return _Plan(create_size=deployment["spec"]["replicas"])
    return _Plan({new["metadata"].get("name", ""): deployment["spec"]["replicas"]}, tidy=True)


def _carry_out(
    view: Reader,
    deployment: Deployment,
    claimed: Claimed[ReplicaSet],
    new: ReplicaSet | None,
    plan: _Plan,
    now: datetime,
) -> Writes:
    """The plan as writes: sizes and annotations of what is there, a new ReplicaSet, old ones removed, the status."""
    old = [one for one in claimed.owned if one is not new]
    surge = limits_of(deployment).surge
    revision = max(map(revision_of, old), default=0) + 1
    updates = {key_of(one): one for one in claimed.updates}
    events: list[EventNote] = []
    for one in claimed.owned:
        target = as_new(deployment, one, surge, revision) if one is new else one
        wanted = plan.sizes.get(one["metadata"].get("name", ""), size(one))
        if wanted != size(one) or (plan.resized and size(one)):
            target = adjusted(deployment, target, wanted, surge)
        if target != one:
            updates[key_of(one)] = target
        if wanted != size(one):
            events.append(_scaled(deployment, one["metadata"].get("name", ""), size(one), wanted))
    created, collided = _created(view, deployment, plan, surge, revision)
    if created and size(created):
        events.append(_scaled(deployment, created["metadata"].get("name", ""), 0, size(created)))
    step = Step(created["metadata"].get("name", "") if created else "", collided)
    status = next_status(deployment, new, old, step, now)
    finished = (
        plan.tidy and not events and (is_complete(deployment, status) or deployment["spec"].get("paused"))
    )
    gone = beyond_history(deployment, old) if finished else ()
    current = created or (updates.get(key_of(new), new) if new else None)
    return Writes(
        create=(created,) if created else (),
        update=tuple(one for key, one in updates.items() if key not in {key_of(rs) for rs in gone}),
        delete=tuple(key_of(one) for one in gone),
        status=_with_status(deployment, status, current),
        events=tuple(events),
        after_seconds=seconds_to_deadline(deployment, status, now),
    )


def _created(
    view: Reader, deployment: Deployment, plan: _Plan, surge: int, revision: int
) -> tuple[ReplicaSet | None, bool]:
    """The new ReplicaSet, if there shall be one; or that its name is taken."""
    if plan.create_size is None:
        return None, False
    name = REPLICA_SET.key(deployment["metadata"].get("namespace", ""), name_of_new(deployment))
    if view.get(REPLICA_SET, name) is not None:
        return None, True
    return new_replica_set(deployment, plan.create_size, surge, revision), False


def _is_resized(deployment: Deployment, active: Iterable[ReplicaSet]) -> bool:
    """`spec.replicas` is not what the active ReplicaSets were last sized for."""
    wanted = str(deployment["spec"]["replicas"])
    return any(annotations_of(one).get(DESIRED_REPLICAS, wanted) != wanted for one in active)


def _scaled(deployment: Deployment, name: str, before: int, after: int) -> EventNote:
    direction = "up" if after > before else "down"
    message = f"Scaled {direction} replica set {name} from {before} to {after}"
    return EventNote(deployment, "Normal", "ScalingReplicaSet", message)


def _with_status(
    deployment: Deployment, status: DeploymentStatus, current: ReplicaSet | None
) -> KubeObject | None:
    """The Deployment with its status and the revision of its present ReplicaSet; None where nothing differs."""
    annotations: Mapping[str, str] = annotations_of(deployment)
    revision = annotations_of(current).get(REVISION) if current else None
    renewed = deployment
    if revision and annotations.get(REVISION) != revision:
        renewed = with_meta(deployment, annotations={**annotations, REVISION: revision})
    if deployment.get("status") != status:
        renewed = cast(Deployment, {**renewed, "status": status})
    return None if renewed is deployment else renewed


def _owner_of(_: Reader, obj: KubeObject) -> Iterator[Key]:
    owner = controller_of(obj)
    if owner is not None and owner["kind"] == "Deployment" and group_of(owner["apiVersion"]) == "apps":
        yield DEPLOYMENT.key(obj["metadata"].get("namespace", ""), owner["name"])


def _of_replica_set(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """Its Deployment; for an orphan every Deployment that may adopt it."""
    if controller_of(obj) is not None:
        yield from _owner_of(view, obj)
        return
    for candidate in view.list(DEPLOYMENT, obj["metadata"].get("namespace", "")):
        if matches(candidate["spec"]["selector"], labels_of(obj)):
            yield key_of(candidate)


def _of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """For Recreate, which waits for the last old pod to be gone; all else is told by the ReplicaSets' statuses."""
    owner = controller_of(obj)
    parent = view.by_uid(owner["uid"]) if owner else None
    for key in _owner_of(view, parent) if parent else ():
        deployment = view.get(DEPLOYMENT, key)
        if deployment and deployment["spec"]["strategy"]["type"] == "Recreate":
            yield key


DEPLOYMENT_CONTROLLER: Final = Controller(
    "deployment",
    reconcile,
    (
        Trigger("apps", "Deployment", lambda _, obj: (key_of(obj),)),
        Trigger("apps", "ReplicaSet", _of_replica_set),
        Trigger("", "Pod", _of_pod),
    ),
    resync=lambda view: (key_of(one) for one in view.list(DEPLOYMENT)),
    failed=failed,
)
