"""What a transaction does: pure, and shared by every backend and the simulator.

A transaction is decided against the newest decided state, which is what was published and what is on its way to disk.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple, cast

from gitops.kinds.errors import Conflict, Fenced, Invalid
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, with_meta
from gitops.kinds.sensitive import Sensitive
from gitops.store.contract import (
    ABSENT,
    OPS_MAX,
    Change,
    Committed,
    Delete,
    Position,
    Put,
    Revision,
    Txn,
    position,
)

SECRET_FIELDS: Final = frozenset({"data", "stringData", "binaryData"})

Heads = Callable[[Key], KubeObject | None]  # The newest decided object at a key.


class Decision(NamedTuple):
    """What will be written, and what the caller is told once it is. No changes and not `recorded`: nothing to write."""

    committed: Committed
    changes: tuple[Change, ...]
    recorded: bool  # The revision is used: something changed, or a commit of a source is to be remembered.


def decide(txn: Txn, heads: Heads, *, revision: int, epoch: int, now: datetime) -> Decision:
    """Check every precondition and stamp every write.

    Args:
        revision: the newest decided one; a transaction that writes gets the next.
        epoch: the present leader's.
    Raises:
        Fenced: another leader. Conflict: a precondition does not hold. Invalid: more than OPS_MAX ops.
    """
    _check(txn, heads, epoch)
    ahead = revision + 1
    changes: list[Change] = []
    objects: list[KubeObject | None] = []
    for op in txn.ops:
        key = op.key if isinstance(op, Delete) else key_of(op.obj)
        before = heads(key)
        _expect(key, before, op.expect)
        after = None if isinstance(op, Delete) else sealed_as(before, op.obj, key)
        at = position(ahead, len(changes))
        if after is not None and (before is None or _touched(op) or not _equal(before, after)):
            after = _stamped(after, at)
            changes.append(Change(at, key, before, after, now))
        elif after is None and before is not None:
            changes.append(Change(at, key, before, None, now))
        else:
            after = before if after is not None else None
        objects.append(after)
    recorded = bool(changes) or txn.source is not None
    committed = Committed(Revision(ahead if recorded else revision), tuple(objects))
    return Decision(committed, tuple(changes), recorded)


def position_of(obj: KubeObject | None) -> Position:
    """Where an object of the store was last written; ABSENT for None."""
    return Position(int(obj["metadata"]["resourceVersion"])) if obj else ABSENT


def sealed_as(before: KubeObject | None, after: KubeObject, key: Key) -> KubeObject:
    """`after`, its secret fields wrapped if it is a Secret or if those of `before` were: sealing is sticky."""
    new = cast("dict[str, object]", after)
    if SECRET_FIELDS.isdisjoint(new):
        return after
    if (key.group, key.kind) != ("", "Secret") and not _has_secrets(before):
        return after
    changed = {name: _wrapped(new[name]) for name in SECRET_FIELDS if name in new}
    return cast("KubeObject", {**new, **changed})


def _has_secrets(obj: KubeObject | None) -> bool:
    fields = [cast("dict[str, object]", obj).get(name) for name in SECRET_FIELDS] if obj else []
    return any(
        isinstance(leaf, Sensitive) for field in fields if isinstance(field, dict) for leaf in field.values()
    )


def _wrapped(field: object) -> object:
    if not isinstance(field, dict):
        return field
    return {name: Sensitive(leaf) if isinstance(leaf, str) else leaf for name, leaf in field.items()}


def _check(txn: Txn, heads: Heads, epoch: int) -> None:
    if txn.epoch is not None and txn.epoch != epoch:
        raise Fenced(f"epoch {txn.epoch} is over: the leader's is {epoch}")
    if len(txn.ops) > OPS_MAX:
        raise Invalid(
            f"{len(txn.ops)} writes in one transaction, at most {OPS_MAX} are possible: split the source"
        )
    for key, expected in txn.checks:
        _expect(key, heads(key), expected)


def _expect(key: Key, found: KubeObject | None, expected: Position | None) -> None:
    at = position_of(found)
    if expected is not None and at != expected:
        raise Conflict(f"{key}: found {_told(at)}, expected {_told(expected)}: someone else wrote first")


def _told(at: Position) -> str:
    return f"version {at}" if at else "no object"


def _touched(op: Put | Delete) -> bool:
    return isinstance(op, Put) and op.touch


def _equal(before: KubeObject, after: KubeObject) -> bool:
    return before == _stamped(after, position_of(before))


def _stamped(obj: KubeObject, at: Position) -> KubeObject:
    if None in obj["metadata"].values():  # A field that is null is absent.
        return with_meta(obj, resourceVersion=str(at))
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(at)}}
