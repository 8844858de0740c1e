"""What a change means for the queue: how urgent it is, and whether it concerns others than before."""

from typing import Final, cast

from gitops.kinds.objects import KubeObject, controller_of, is_going
from gitops.runner.queue import Urgency
from gitops.view import Change

# Metadata by which triggers find whom an object concerns.
_PLACING: Final = ("labels", "ownerReferences", "finalizers", "deletionTimestamp", "annotations")


def is_same_but_status(before: KubeObject, after: KubeObject) -> bool:
    """Most changes are of this kind: whom the object concerned before, it concerns now."""
    old, new = before["metadata"], after["metadata"]
    if any(old.get(name) != new.get(name) for name in _PLACING):
        return False
    one, other = cast("dict[str, object]", before), cast("dict[str, object]", after)
    names = one.keys() | other.keys()
    return all(one.get(name) == other.get(name) for name in names if name not in ("metadata", "status"))


def urgency_of(change: Change) -> Urgency:
    """What a person or a commit asked for (a new wish on an object without a controller) goes before consequences."""
    before, after = change.before, change.after
    obj = after or before
    if obj is None or controller_of(obj) is not None:
        return Urgency.CONSEQUENCE
    if before is None or after is None or is_going(before) != is_going(after):
        return Urgency.ASKED
    changed = before["metadata"].get("generation") != after["metadata"].get("generation")
    return Urgency.ASKED if changed else Urgency.CONSEQUENCE
