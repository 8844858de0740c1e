"""Conditions in a status: set and removed so that an unchanged one stays as it is, its times included."""

from collections.abc import Iterable
from datetime import datetime

from gitops.kinds.objects import Condition, timestamp


def find(conditions: Iterable[Condition], name: str) -> Condition | None:
    """The condition of this type."""
    return next((one for one in conditions if one["type"] == name), None)


def without(conditions: Iterable[Condition], name: str) -> list[Condition]:
    """All but the condition of this type."""
    return [one for one in conditions if one["type"] != name]


def with_condition(
    conditions: Iterable[Condition], name: str, status: bool | str, reason: str, message: str, now: datetime
) -> list[Condition]:
    """A list with this condition in its old place or at the end; equal to the old list if it says the same already.

    `lastTransitionTime` moves only when the status does, as everywhere in Kubernetes.
    """
    listed = list(conditions)
    value = str(status)
    old = find(listed, name)
    if old and (old["status"], old.get("reason"), old.get("message")) == (value, reason, message):
        return listed
    since = old.get("lastTransitionTime") if old and old["status"] == value else None
    new: Condition = {
        "type": name,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since or timestamp(now),
    }
    return [new if one is old else one for one in listed] if old else [*listed, new]
