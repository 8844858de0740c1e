"""The status of a Deployment: counts, and the conditions that `kubectl rollout status` and `kubectl wait` read.

Source: kubernetes/pkg/controller/deployment/{progress,sync}.go, 1.35.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from gitops.controllers.conditions import find, with_condition, without
from gitops.controllers.deployment_sizes import limits_of, size, status_of
from gitops.kinds.apps import Deployment, DeploymentStatus, ReplicaSet
from gitops.kinds.objects import Condition, KubeObject, moment_of, timestamp

NO_DEADLINE: Final = 2**31 - 1  # Kubernetes' way to say that a roll may take for ever.
COMPLETE: Final = "NewReplicaSetAvailable"
TIMED_OUT: Final = "ProgressDeadlineExceeded"
CREATE_FAILED: Final = "ReplicaSetCreateError"
PAUSED: Final = "DeploymentPaused"


class Step(NamedTuple):
    """What this round does that the status must tell."""

    created: str = ""  # Name of a ReplicaSet being created.
    collided: bool = False  # Its name was taken: the next one is hashed with a higher count.


def next_status(
    deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet], step: Step, now: datetime
) -> DeploymentStatus:
    """The status that tells what the view shows of the ReplicaSets, and of this round's step."""
    before = deployment.get("status") or DeploymentStatus()
    status = _counts(deployment, new, old)
    if collisions := before.get("collisionCount", 0) + step.collided:
        status["collisionCount"] = collisions
    conditions = _availability(deployment, status, now)
    if _has_deadline(deployment):
        conditions = _progress(deployment, conditions, status, new, step, now)
    else:
        conditions = without(conditions, "Progressing")
    failure = find(status_of(new).get("conditions") or () if new else (), "ReplicaFailure")
    status["conditions"] = [*without(conditions, "ReplicaFailure"), *((failure,) if failure else ())]
    return status


def refused_text(name: str, error: str) -> str:
    return f'Failed to create new replica set "{name}": {error}'


def refused_status(deployment: Deployment, name: str, error: str, now: datetime) -> DeploymentStatus:
    """The status with the news that the new ReplicaSet was refused; all else as it was."""
    status = deployment.get("status") or DeploymentStatus()
    if not _has_deadline(deployment):
        return status
    before = status.get("conditions") or []
    told = _told(before, "Progressing", "False", CREATE_FAILED, refused_text(name, error), now)
    return {**status, "conditions": told}


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """All pods are of the present template and available, and nothing else is left."""
    wanted = deployment["spec"]["replicas"]
    counts = [status.get("updatedReplicas", 0), status.get("replicas", 0), status.get("availableReplicas", 0)]
    return counts == [wanted] * 3 and status.get("observedGeneration", 0) >= deployment["metadata"].get(
        "generation", 0
    )


def seconds_to_deadline(deployment: Deployment, status: DeploymentStatus, now: datetime) -> float | None:
    """When a roll that makes no progress will have failed; None: nothing is rolling, or it has failed already."""
    progressing = find(status.get("conditions") or (), "Progressing")
    if progressing is None or not _has_deadline(deployment) or deployment["spec"].get("paused"):
        return None
    if is_complete(deployment, status) or progressing.get("reason") in (TIMED_OUT, COMPLETE):
        return None
    return max(deployment["spec"]["progressDeadlineSeconds"] - _seconds_since(progressing, now), 0.0) + 1.0


def _counts(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> DeploymentStatus:
    every = [*old, *([new] if new else ())]
    available = sum(status_of(one).get("availableReplicas", 0) for one in every)
    counts: dict[str, int] = {
        "replicas": sum(status_of(one)["replicas"] for one in every),
        "updatedReplicas": status_of(new)["replicas"] if new else 0,
        "readyReplicas": sum(status_of(one).get("readyReplicas", 0) for one in every),
        "availableReplicas": available,
        "unavailableReplicas": max(sum(map(size, every)) - available, 0),
        "terminatingReplicas": sum(status_of(one).get("terminatingReplicas", 0) for one in every),
    }
    status: DeploymentStatus = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    # As Go leaves out zeros (omitempty), and so does everything that compares with it.
    return cast(DeploymentStatus, {**status, **{name: number for name, number in counts.items() if number}})


def _availability(deployment: Deployment, status: DeploymentStatus, now: datetime) -> list[Condition]:
    before = (deployment.get("status") or DeploymentStatus()).get("conditions") or ()
    enough = deployment["spec"]["replicas"] - limits_of(deployment).unavailable
    if status.get("availableReplicas", 0) >= enough:
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
        return _told(before, "Available", "True", reason, message, now)
    reason, message = "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    return _told(before, "Available", "False", reason, message, now)


def _progress(
    deployment: Deployment,
    conditions: list[Condition],
    status: DeploymentStatus,
    new: ReplicaSet | None,
    step: Step,
    now: datetime,
) -> list[Condition]:
    """The condition Progressing. While a roll moves on, `lastUpdateTime` does too: the deadline counts from there."""
    current = find(conditions, "Progressing")
    reason = current.get("reason") if current else None
    about: KubeObject = new or deployment
    subject = f'{about["kind"]} "{about["metadata"].get("name")}"'
    if deployment["spec"].get("paused"):
        if reason in (PAUSED, TIMED_OUT):
            return conditions
        return _told(conditions, "Progressing", "Unknown", PAUSED, "Deployment is paused", now)
    if reason == PAUSED:
        return _told(conditions, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    if step.created:
        text = f'Created new replica set "{step.created}"'
        return _told(conditions, "Progressing", "True", "NewReplicaSetCreated", text, now)
    if is_complete(deployment, status):
        if reason == COMPLETE:
            return conditions
        return _told(
            conditions, "Progressing", "True", COMPLETE, f"{subject} has successfully progressed.", now
        )
    if reason == COMPLETE and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions  # A finished roll that lost or scales pods is no roll.
    if _moved(deployment.get("status") or DeploymentStatus(), status):
        return _told(
            conditions, "Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now
        )
    if current is None and new is not None:
        text = f'Found new replica set "{new["metadata"].get("name")}"'
        return _told(conditions, "Progressing", "True", "FoundNewReplicaSet", text, now)
    if current is None or reason in (COMPLETE, TIMED_OUT):
        return conditions
    if _seconds_since(current, now) > deployment["spec"]["progressDeadlineSeconds"]:
        return _told(
            conditions, "Progressing", "False", TIMED_OUT, f"{subject} has timed out progressing.", now
        )
    return conditions


def _moved(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """More pods of the new template, fewer of the old, more ready or more available ones."""

    def old_pods(status: DeploymentStatus) -> int:
        return status.get("replicas", 0) - status.get("updatedReplicas", 0)

    return (
        after.get("updatedReplicas", 0) > before.get("updatedReplicas", 0)
        or old_pods(after) < old_pods(before)
        or after.get("readyReplicas", 0) > before.get("readyReplicas", 0)
        or after.get("availableReplicas", 0) > before.get("availableReplicas", 0)
    )


def _told(
    conditions: Sequence[Condition], name: str, status: str, reason: str, message: str, now: datetime
) -> list[Condition]:
    """A Deployment's conditions also say when they were last written. Progress is written even if it says the same."""
    told = with_condition(conditions, name, status, reason, message, now)
    if told == list(conditions) and reason != "ReplicaSetUpdated":
        return told
    return [{**one, "lastUpdateTime": timestamp(now)} if one["type"] == name else one for one in told]


def _has_deadline(deployment: Deployment) -> bool:
    return deployment["spec"]["progressDeadlineSeconds"] != NO_DEADLINE


def _seconds_since(condition: Condition, now: datetime) -> float:
    """Since it was last written, by our own clock both times."""
    written = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
    return (now - moment_of(written)) / timedelta(seconds=1) if written else 0.0
