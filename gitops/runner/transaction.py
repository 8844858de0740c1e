"""From `Writes` to one transaction: admitted, with the preconditions that make stale views and two leaders harmless.

The reconciled object is the fence. It must be as the view showed it, and whatever creates or deletes also writes it, so
two reconciles of one object can never both create. This replaces kube-controller-manager's expectations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, cast

from gitops.admission import Mint, Settings, admit_create, admit_delete, admit_update, is_released
from gitops.events import event_for, event_key
from gitops.kinds import registry
from gitops.kinds.core.event import EVENT
from gitops.kinds.errors import Conflict, NotFound
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, controller_of, key_of
from gitops.reconcile import EventNote, Reader, Writes
from gitops.store.contract import ABSENT, Delete, Put, Txn
from gitops.view import Position

Op = Put | Delete
NAME_TRIES_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Context:
    """What a transaction is built from besides the writes. `component` is the controller that wants them."""

    view: Reader
    now: datetime
    mint: Mint
    component: str
    cluster: Settings
    epoch: int | None = None


def transaction(context: Context, key: Key, writes: Writes) -> Txn | None:
    """The one transaction that carries out `writes`, decided about `key`; None if nothing is left to write.

    Raises: what admission raises, and NotFound for an object of a kind that nobody serves.
    """
    view = context.view
    ops: dict[Key, Op] = {}
    for obj in writes.create:
        admitted = _unlike(context, obj, ops)
        ops[key_of(admitted)] = Put(admitted, expect=ABSENT)
    names = [one.name for one in ops]  # Of what is created, in order.
    for obj in (*writes.update, *((writes.status,) if writes.status else ())):
        assert key_of(obj) not in ops, f"{context.component} writes {key_of(obj)} twice for {key}"
        ops[key_of(obj)] = _updated(context, obj, by_status=obj is writes.status)
    for gone, grace_seconds in (
        *((one, None) for one in writes.delete),
        *((one, 0) for one in writes.remove),
    ):
        if (op := _deleted(context, gone, ops.get(gone), grace_seconds)) is not None:
            ops[gone] = op
    if not ops and not writes.events:
        return None
    checks = _fence(view, key, ops, touch=bool(writes.create or writes.delete or writes.remove))
    _add_events(context, ops, [_named(note, names) for note in writes.events])
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


def _unlike(context: Context, obj: KubeObject, ops: dict[Key, Op]) -> KubeObject:
    """Admitted under a name that no other new object of this transaction has: five letters meet in one round of 100.

    Raises: Conflict, if the name is stated, or no free one was found.
    """
    for _ in range(NAME_TRIES_MAX):
        admitted = _created(context, obj)
        if key_of(admitted) not in ops:
            return admitted
    raise Conflict(f"{context.component} makes {key_of(admitted)} twice")


def _created(context: Context, obj: KubeObject) -> KubeObject:
    if _is_declared(obj):
        return obj
    return admit_create(
        context.view,
        _kind(obj),
        obj,
        now=context.now,
        mint=context.mint,
        manager=_manager(context, None, obj),
        settings=context.cluster,
    )


def _updated(context: Context, obj: KubeObject, *, by_status: bool) -> Op:
    """A put of what the controller made from the object that the view showed; a removal if that was its last bond."""
    key = key_of(obj)
    old = context.view.object(key)
    if old is None:
        raise NotFound(f"{key} is gone")
    expect = _position(obj)
    if _is_declared(obj):
        return Put(obj, expect=expect)
    admitted = _admitted(context, old, obj, by_status=by_status)
    return Delete(key, expect=expect) if is_released(admitted) else Put(admitted, expect=expect)


def _admitted(context: Context, old: KubeObject, new: KubeObject, *, by_status: bool = False) -> KubeObject:
    """By both roads that an API client would take: the object, then its status, where each differs.

    `by_status`: metadata alone goes by the status's road, as annotations of Kubernetes' controllers do: no new wish.
    """
    kind, manager = _kind(new), _manager(context, old, new)
    changed = _differing(old, new)
    result = old
    if by_status and changed <= {"metadata", "status"} and "status" in kind.subresources:
        return admit_update(
            context.view, kind, old, new, now=context.now, manager=manager, subresource="status"
        )
    if changed != {"status"}:
        result = admit_update(
            context.view, kind, old, new, now=context.now, manager=manager, settings=context.cluster
        )
    if "status" in changed and "status" in kind.subresources:
        told = cast(KubeObject, {**result, "status": cast("dict[str, object]", new).get("status")})
        result = admit_update(
            context.view, kind, result, told, now=context.now, manager=manager, subresource="status"
        )
    return result


def _manager(context: Context, old: KubeObject | None, new: KubeObject) -> str | None:
    """Who is recorded as the fields' owner. None: nobody.

    So it is where the controller has written the record itself, as apply does, and for what controllers make by the
    thousand: pods of an owner, and events. The record is for fields that people and git share.
    """
    if controller_of(new) is not None or EVENT.owns(new):
        return None
    before = old["metadata"].get("managedFields") if old else None
    return context.component if new["metadata"].get("managedFields") == before else None


def _deleted(context: Context, key: Key, changed: Op | None, grace_seconds: int | None) -> Op | None:
    """As an API delete does it: at once, or by a deletionTimestamp. None: it is gone or going already.

    `changed`: what the same transaction makes of the object first.
    """
    seen = context.view.object(key)
    if seen is None or isinstance(changed, Delete):
        return None
    obj = changed.obj if changed else seen
    if _is_declared(obj):
        return Delete(key, expect=_position(seen))
    op = admit_delete(_kind(obj), obj, now=context.now, grace_seconds=grace_seconds)
    return replace(op, expect=_position(seen)) if op is not None else None


def _named(note: EventNote, names: Sequence[str]) -> EventNote:
    """With the final name of the created object that it tells of."""
    if note.created is None:
        return note
    return note._replace(message=note.message.replace("{name}", names[note.created]), created=None)


def _add_events(context: Context, ops: dict[Key, Op], notes: Sequence[EventNote]) -> None:
    """Without preconditions: an Event that somebody else counted must not stop the transaction that it tells of."""
    for note in notes:
        event = event_for(context.view, note, context.component, context.now)
        if event is None:
            continue
        key = event_key(event)
        earlier = context.view.get(EVENT, key)
        ops[key] = Put(_admitted(context, earlier, event) if earlier else _created(context, event))


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
