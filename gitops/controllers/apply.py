"""Declared becomes live: what git states of an object is applied to it, by server-side-apply semantics.

Each record of what git declares (`declared.gitward.io`) is reconciled alone: its first claim is applied, later ones
wait. Order comes from waiting: for a namespace that is not there yet, for a kind that nobody serves yet, for objects of
the same commit that it refers to. An object that cannot be applied is reported in its record and stops no other.
Not here: what a commit may prune, which sync decides.
Source: Kubernetes, "Server-Side Apply"; gitops-engine, `pkg/sync`, for the order.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, cast

from gitops.admission import merge
from gitops.controllers.apply_order import first_on_its_way
from gitops.controllers.records import News, as_record, is_applied, told, waking_id
from gitops.controllers.replacing import cannot_change
from gitops.kinds import registry, schema
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.pod_admission import completed_pod, with_class
from gitops.kinds.errors import Forbidden, GitwardError, Invalid
from gitops.kinds.gitward import (
    DECLARED,
    DECLARED_GROUP,
    MANAGER,
    Claim,
    Declared,
    declared_key,
    first_claim,
    live_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.marks import MANAGED_BY, PRUNE, belongs_to_api, is_never_pruned, may_be_replaced
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

FIELDS_SHOWN_MAX: Final = 5  # In an event.
_LEAVES_SLOWLY: Final = (POD, NAMESPACE)  # Their deletion is only begun by a delete.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring one live object to what its first claim states, or remove it once nobody declares it.

    Args:
        view: read: the record, the live object, its namespace, the records of what it refers to.
        key: a record of what git declares.
        now: the time of what is recorded in managedFields.
    Returns:
        The live object's create, update or delete together with the record's new status, or its removal; an event where
        something was put back that others had changed. Empty: settled.
    """
    record = view.get(DECLARED, key)
    if record is None:
        return NOTHING
    declared = [claim for claim in record["claims"] if claim["state"] == "declared"]
    if declared:
        # The object was handed over: nothing is left for a claim that only waited to be pruned.
        return _applied(view, cast(Declared, {**record, "claims": declared}), record, now)
    if any(claim["state"] == "held" for claim in record["claims"]):
        return NOTHING
    return _withdrawn(view, record)


def failed(view: Reader, key: Key, error: GitwardError, now: datetime) -> Writes:
    """Say in the record why its object could not be applied. What must not be deleted stays, and git lets go of it."""
    record = view.get(DECLARED, key)
    if record is None:
        return NOTHING
    if first_claim(record)["state"] != "declared" and isinstance(error, Forbidden):
        return Writes(delete=(key,))
    return told(record, record, News(problem=str(error)))


def _applied(view: Reader, record: Declared, stored: Declared, now: datetime) -> Writes:
    claim, target = record["claims"][0], live_key(key_of(record))
    kind = registry.find(target.group, target.kind)
    if kind is None:
        what = f"no kind {target.kind} of {target.group or 'the core group'} is served yet"
        return told(record, stored, News(waiting=what))
    if claim["object"]["apiVersion"] != kind.api_version:
        what = f"{claim['object']['apiVersion']} is not served, {kind.api_version} is"
        return told(record, stored, News(problem=what))
    live = view.object(target)
    if (reason := _reason_to_wait(view, target, live)) is not None:
        return told(record, stored, News(waiting=reason)) if reason else NOTHING
    if not is_applied(record) and (first := first_on_its_way(view, claim["object"])) is not None:
        return told(record, stored, News(after=first))
    try:
        return _written(view, record, stored, kind, live, now)
    except Invalid as error:
        return told(record, stored, News(problem=str(error)))


def _reason_to_wait(view: Reader, target: Key, live: KubeObject | None) -> str | None:
    """Why not yet; empty where the wait is so usual that it need not be told: the namespace is on its way too."""
    if live is not None and is_going(live):
        return "the object that was there before is still being deleted"
    if not target.namespace:
        return None
    namespace_key = Key("", "Namespace", "", target.namespace)
    namespace = view.get(NAMESPACE, namespace_key)
    if namespace is not None:
        return (
            f"namespace {target.namespace} is being deleted" if is_going(namespace) and live is None else None
        )
    record = view.get(DECLARED, declared_key(namespace_key))
    if record and first_claim(record)["state"] == "declared" and "problem" not in record.get("status", {}):
        return ""
    return f"there is no namespace {target.namespace}"


def _written(
    view: Reader, record: Declared, stored: Declared, kind: Kind[Any], live: KubeObject | None, now: datetime
) -> Writes:
    """The create, update or replacement that makes live what is stated, with what is told of it.

    Admission completes objects after us, so both sides are compared when completed. What breaks the schema cannot be
    and goes to admission as it is, which says why.
    """
    claim, shape = record["claims"][0], schema.root(kind)
    stated = seal_values(claim["object"]) if kind is SECRET else claim["object"]
    done = told(record, stored, News(applied=claim["commit"]))
    merged, overridden = merge.apply(live, stated, MANAGER, now, shape)
    if live is None:
        return Writes(create=(merged,), status=done.status)
    if merged is live:
        return done
    if not schema.violations(kind, merged):
        if kind is POD:
            merged = with_class(cast(Pod, merged), cast(Pod, live))
        after = _completed(kind, merged)
        if merge.is_same(after, _completed(kind, live)):
            return done
        if fixed := list[Problem](kind.check_update(live, after)):
            return _replaced(view, record, stored, live, fixed)
    events: tuple[EventNote, ...] = ()
    if is_applied(stored):
        events = _drifts(claim, live, merge.differing(live, merged, stated, shape), overridden)
    return Writes(update=(merged,), status=done.status, events=events)


def _completed(kind: Kind[Any], obj: KubeObject) -> KubeObject:
    defaulted: KubeObject = kind.defaults(obj)
    return completed_pod(cast(Pod, defaulted)) if kind is POD else defaulted


def _replaced(
    view: Reader, record: Declared, stored: Declared, live: KubeObject, fixed: list[Problem]
) -> Writes:
    """Delete what cannot be changed, where its manifest allows that: it is made again once it is gone."""
    claim = record["claims"][0]
    if not may_be_replaced(claim["object"]) or is_never_pruned(live):
        return told(record, stored, News(problem=cannot_change(view, live, fixed)))
    place = f"{claim['file']}:{claim['line']}"
    fields = ", ".join(one.field for one in fixed)
    why = f"replaced, since {fields} cannot be changed: {place} of source {claim['source']} allows it"
    return Writes(delete=(key_of(live),), events=(EventNote(live, "Normal", "Replaced", why),))


def _drifts(
    claim: Claim, live: KubeObject, fields: Sequence[str], overridden: Sequence[merge.FieldConflict]
) -> tuple[EventNote, ...]:
    """Whose changes are put back. A change that names no manager came past the API and the controllers."""
    if not fields:
        return ()
    who = {one.field: one.manager for one in overridden}
    by_manager: dict[str, list[str]] = {}
    for field in fields:
        by_manager.setdefault(who.get(field, ""), []).append(field)
    parts = [
        f"{_some(names)} (changed by {manager or 'an unknown writer'})"
        for manager, names in by_manager.items()
    ]
    place = f"{claim['file']}:{claim['line']} of source {claim['source']}"
    message = f"put back {', '.join(parts)}: {place} states otherwise"
    return (EventNote(live, "Warning", "DriftCorrected", message),)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - FIELDS_SHOWN_MAX} more" if len(names) > FIELDS_SHOWN_MAX else ""
    return ", ".join(names[:FIELDS_SHOWN_MAX]) + more


def _withdrawn(view: Reader, record: Declared) -> Writes:
    """Nobody declares it any more: the live object goes, and with it the record, in one transaction where both can.

    An object that git never applied (someone made it before git could) is not git's to delete. What is never pruned
    stays, and so does its record, which says so for as long as it is there.
    """
    key = key_of(record)
    target = live_key(key)
    live = view.object(target)
    if live is None or not merge.applied_by(live, MANAGER):
        return Writes(delete=(key,))
    if is_going(live):
        return NOTHING
    if why := _reason_to_keep(view, live):
        return told(record, record, News(kept=f"git does not declare it any more, and it stays: {why}"))
    if live["metadata"].get("finalizers") or any(kind.owns(live) for kind in _LEAVES_SLOWLY):
        return Writes(delete=(target,))
    return Writes(delete=(target, key))


def _reason_to_keep(view: Reader, live: KubeObject) -> str:
    """Why an object is not pruned; '' if it is."""
    if is_never_pruned(live):
        return f"annotation {PRUNE}: disabled"
    name = live["metadata"].get("namespace", "")
    namespace = (
        live if NAMESPACE.owns(live) else view.get(NAMESPACE, NAMESPACE.key("", name)) if name else None
    )
    if namespace is not None and belongs_to_api(namespace):
        return f"label {MANAGED_BY}: api of namespace {namespace['metadata'].get('name', '')}"
    if namespace is live:
        inside = view.list_namespace(live["metadata"].get("name", ""))
        kept = next((obj for obj in inside if is_never_pruned(obj)), None)
        return f"{key_of(kept)} in it has the annotation {PRUNE}: disabled" if kept else ""
    return ""


def _of_record(view: Reader, record: KubeObject) -> Iterable[Key]:
    """Itself, and those that come after it."""
    key = key_of(record)
    return (key, *map(key_of, view.dependents(waking_id(live_key(key)))))


def _of_live(view: Reader, obj: KubeObject) -> Iterable[Key]:
    """Drift is put back, and a record hears that its object is gone."""
    key = key_of(obj)
    record = declared_key(key)
    return (record,) if key.group != DECLARED_GROUP and view.object(record) is not None else ()


def _in_namespace(view: Reader, namespace: KubeObject) -> Iterable[Key]:
    """Those that wait for a namespace, or had an object in the one that is gone."""
    records = map(as_record, view.list_group(DECLARED_GROUP, namespace["metadata"].get("name", "")))
    return [key_of(record) for record in records if not is_applied(record)]


def _all(view: Reader) -> Iterable[Key]:
    return (key_of(record) for record in view.list_group(DECLARED_GROUP))


APPLY: Final = Controller(
    name=MANAGER,  # So that what it writes is known as what git states.
    reconcile=reconcile,
    triggers=(
        Trigger(DECLARED_GROUP, None, _of_record),
        Trigger(NAMESPACE.group, NAMESPACE.kind, _in_namespace),
        Trigger(None, None, _of_live),
    ),
    resync=_all,
    failed=failed,
)
