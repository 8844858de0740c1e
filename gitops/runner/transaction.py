"""From `Writes` to one transaction: admitted, with the preconditions that make stale views and two leaders harmless.

The reconciled object is the fence. It must be as the view showed it, and whatever creates or deletes also writes it, so two
reconciles of one object can never both create. This replaces kube-controller-manager's expectations.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, cast

from gitops.admission import Mint, admit_create, admit_delete, admit_update
from gitops.kinds import registry
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import NAMESPACE, Namespace
from gitops.kinds.errors import NotFound
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import EventNote, Reader, Writes
from gitops.runner.events import event_for, event_key
from gitops.store.contract import ABSENT, Delete, Put, Txn
from gitops.view import Position

Op = Put | Delete

# Fields that a status write may leave as they are; anything else that differs makes it a write of the whole object.
_STATUS_FIELDS: Final = frozenset({"status"})


@dataclass(frozen=True, slots=True)
class Context:
    """What a transaction is built from besides the writes. `component` writes them: `deployment`."""

    view: Reader
    now: datetime
    mint: Mint
    component: str
    epoch: int | None = None


def transaction(context: Context, key: Key, writes: Writes) -> Txn | None:
    """The one transaction that carries out `writes`, decided about `key`; None if nothing is left to write.

    Raises: what admission raises, and NotFound for an object of a kind that nobody serves.
    """
    view = context.view
    ops: dict[Key, Op] = {}
    for obj in writes.create:
        admitted = _created(context, obj)
        ops[key_of(admitted)] = Put(admitted, expect=ABSENT)
    for obj in (*writes.update, *((writes.status,) if writes.status else ())):
        assert key_of(obj) not in ops, f"{context.component} writes {key_of(obj)} twice for {key}"
        ops[key_of(obj)] = _updated(context, obj)
    for gone in writes.delete:
        if (op := _deleted(context, gone)) is not None:
            assert gone not in ops, f"{context.component} writes {gone} twice for {key}"
            ops[gone] = op
    if not ops and not writes.events:
        return None
    checks = _fence(view, key, ops, touch=bool(writes.create or writes.delete))
    _add_events(context, ops, writes.events)
    if not ops:
        return None
    return Txn(
        tuple(ops.values()),
        actor=f"controller/{context.component}",
        cause=str(key),
        checks=checks,
        epoch=context.epoch,
    )


def _fence(view: Reader, key: Key, ops: dict[Key, Op], *, touch: bool) -> tuple[tuple[Key, Position], ...]:
    """Preconditions on the reconciled object; writes it if need be."""
    if key in ops:
        if touch and isinstance(op := ops[key], Put):
            ops[key] = replace(op, touch=True)
        return ()
    obj = view.object(key)
    if obj is None:
        return ((key, ABSENT),)
    if touch:
        ops[key] = Put(obj, expect=_position(obj), touch=True)
        return ()
    return ((key, _position(obj)),)


def _created(context: Context, obj: KubeObject) -> KubeObject:
    if _is_declared(obj):
        return obj
    kind = _kind(obj)
    return admit_create(context.view, kind, obj, now=context.now, mint=context.mint, manager=context.component)


def _updated(context: Context, obj: KubeObject) -> Op:
    """A put of what the controller made from the object that the view showed; a removal if that was its last bond."""
    key, old = key_of(obj), context.view.object(key_of(obj))
    if old is None:
        raise NotFound(f"{key} is gone")
    expect = _position(obj)
    if _is_declared(obj):
        return Put(obj, expect=expect)
    status_only = _differing(old, obj) <= _STATUS_FIELDS
    admitted = admit_update(
        context.view,
        _kind(obj),
        old,
        obj,
        now=context.now,
        manager=context.component,
        subresource="status" if status_only else None,
    )
    return Delete(key, expect=expect) if _is_released(admitted) else Put(admitted, expect=expect)


def _deleted(context: Context, key: Key) -> Op | None:
    """As an API delete does it: at once, or by a deletionTimestamp. None: it is gone or going already."""
    obj = context.view.object(key)
    if obj is None:
        return None
    if _is_declared(obj):
        return Delete(key, expect=_position(obj))
    op = admit_delete(_kind(obj), obj, now=context.now)
    return replace(op, expect=_position(obj)) if op is not None else None


def _add_events(context: Context, ops: dict[Key, Op], notes: tuple[EventNote, ...]) -> None:
    """Without preconditions: an Event that somebody else counted must not stop the transaction that it tells of."""
    for note in notes:
        event = event_for(context.view, note, context.component, context.now)
        if event is None:
            continue
        key = event_key(event)
        old = context.view.get(EVENT, key)
        if old is None:
            ops[key] = Put(_created(context, event))
        else:
            ops[key] = Put(
                admit_update(context.view, EVENT, old, event, now=context.now, manager=context.component)
            )


def _is_released(obj: KubeObject) -> bool:
    """Being deleted, and nothing holds it any more: no finalizer, no grace period."""
    meta = obj["metadata"]
    if not is_going(obj) or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (NAMESPACE.owns(obj) and cast(Namespace, obj)["spec"].get("finalizers"))


def _differing(old: KubeObject, new: KubeObject) -> set[str]:
    """Names of the top-level fields in which two objects differ. Shared values are equal without a look inside."""
    before, after = dict(old), dict(new)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _kind(obj: KubeObject) -> Kind[KubeObject]:
    key = key_of(obj)
    kind = registry.find(key.group, key.kind)
    if kind is None:
        raise NotFound(f"no kind {key.kind!r} in API group {key.group!r}, which {key} needs")
    return kind


def _is_declared(obj: KubeObject) -> bool:
    """A declared record: beside the live objects, so admission has no say in it."""
    return key_of(obj).group == DECLARED_GROUP


def _position(obj: KubeObject) -> Position:
    return Position(int(obj["metadata"]["resourceVersion"]))
