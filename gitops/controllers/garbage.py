"""Garbage: what depends on an owner goes when its last owner is gone; before it, or never, where the deletion says so.

Source: kubernetes/pkg/controller/garbagecollector: background, foreground and orphan deletion. Owners are known by uid:
one that was made again under its old name is another. An owner in another namespace counts as absent, as in Kubernetes;
of a kind that nobody serves, or in a namespace while its dependent is in none, it is unknown, and nothing is deleted.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, cast

from gitops.kinds import registry
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, OwnerReference, group_of, is_going, key_of, uid, with_meta
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

FOREGROUND: Final = "foregroundDeletion"  # Held until its dependents are gone.
ORPHAN: Final = "orphan"  # Held until its dependents have forgotten it.
BATCH_MAX: Final = 500  # Dependents changed in a round.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Delete an object whose owners are all gone; strike out those owners that are, where one remains.

    Args:
        view: read are `key`, its owners and its dependents.
        key: any live object.
        now: not used; an owner is there or it is not.
    """
    obj = view.object(key)
    if obj is None:
        return NOTHING
    if is_going(obj):
        if _holds(obj, ORPHAN):
            return _orphaned(view, obj)
        return _emptied(view, obj) if _holds(obj, FOREGROUND) else NOTHING
    references = obj["metadata"].get("ownerReferences") or []
    solid = [one for one in references if _state(view, obj, one) == "solid"]
    if len(solid) == len(references):
        return NOTHING
    if solid:
        return Writes(status=with_meta(obj, ownerReferences=solid))
    if any(_state(view, obj, one) == "waiting" for one in references):
        return _before_its_owner(view, obj)
    return Writes(delete=(key,), events=_told(view, obj, references))


def _state(view: Reader, dependent: KubeObject, reference: OwnerReference) -> str:
    """Of an owner: absent, `waiting` for its dependents to go first, or solid."""
    if not _can_be_known(dependent, reference):
        return "solid"
    owner = view.by_uid(reference["uid"])
    if owner is None or not _may_own(owner, dependent):
        return "absent"
    return "waiting" if is_going(owner) and _holds(owner, FOREGROUND) else "solid"


def _can_be_known(dependent: KubeObject, reference: OwnerReference) -> bool:
    """Whether an owner that is not found is gone, as Kubernetes has it: a name without a namespace finds no Deployment,
    and objects of a kind whose definition went may yet come back with it."""
    kind = registry.find(group_of(reference["apiVersion"]), reference["kind"])
    return kind is not None and (not kind.namespaced or bool(dependent["metadata"].get("namespace")))


def _may_own(owner: KubeObject, dependent: KubeObject) -> bool:
    namespace = owner["metadata"].get("namespace", "")
    return namespace in ("", dependent["metadata"].get("namespace", ""))


def _before_its_owner(view: Reader, obj: KubeObject) -> Writes:
    """Its owner waits for it: it goes, and what it owns itself goes before it."""
    own = [*view.dependents(uid(obj))]
    if not own:
        return Writes(delete=(key_of(obj),))
    changed = obj
    if any(is_going(one) and _holds(one, FOREGROUND) for one in own):
        # A circle: what it owns waits for it in turn. It stops holding up its owner, as in Kubernetes.
        freed = [{**one, "blockOwnerDeletion": False} for one in obj["metadata"].get("ownerReferences") or ()]
        changed = with_meta(changed, ownerReferences=freed)
    if not _holds(changed, FOREGROUND):
        changed = with_meta(changed, finalizers=[*(obj["metadata"].get("finalizers") or ()), FOREGROUND])
    return Writes(update=(changed,), delete=(key_of(obj),))


def _emptied(view: Reader, obj: KubeObject) -> Writes:
    """It is let go once nothing is left that blocks its deletion; dependents hear of it by their own reconcile."""
    blocking = (
        reference
        for one in view.dependents(uid(obj))
        if _may_own(obj, one)
        for reference in one["metadata"].get("ownerReferences") or ()
        if reference["uid"] == uid(obj) and reference.get("blockOwnerDeletion")
    )
    if next(blocking, None) is not None:
        return NOTHING
    return Writes(status=_without(obj, FOREGROUND))


def _orphaned(view: Reader, obj: KubeObject) -> Writes:
    """Its dependents forget it; then it is let go."""
    changed = []
    for one in islice(view.dependents(uid(obj)), BATCH_MAX):
        kept = [each for each in one["metadata"].get("ownerReferences") or () if each["uid"] != uid(obj)]
        changed.append(with_meta(one, ownerReferences=kept or None))
    if changed:
        return Writes(update=tuple(changed))
    return Writes(status=_without(obj, ORPHAN))


def _told(view: Reader, obj: KubeObject, references: Iterable[OwnerReference]) -> tuple[EventNote, ...]:
    """An owner in another namespace is a mistake that somebody should hear of."""
    place = obj["metadata"].get("namespace", "")
    for one in references:
        owner = view.by_uid(one["uid"])
        if owner is not None and not _may_own(owner, obj):
            what = f"[{one['apiVersion']}/{one['kind']}, namespace: {place}, name: {one['name']}, uid: {one['uid']}]"
            text = f'ownerRef {what} does not exist in namespace "{place}"'
            return (EventNote(obj, "Warning", "OwnerRefInvalidNamespace", text),)
    return ()


def _holds(obj: KubeObject, finalizer: str) -> bool:
    return finalizer in (obj["metadata"].get("finalizers") or ())


def _is_held(obj: KubeObject) -> bool:
    """Going, but not before something has become of its dependents."""
    return is_going(obj) and (_holds(obj, FOREGROUND) or _holds(obj, ORPHAN))


def _without(obj: KubeObject, finalizer: str) -> KubeObject:
    left = [one for one in obj["metadata"].get("finalizers") or () if one != finalizer]
    return with_meta(obj, finalizers=left or None)


def _concerned(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """An object of which an owner is gone or waits; one that is held; what depends on one that is gone or waits."""
    key = key_of(obj)
    if key.group == DECLARED_GROUP:
        return
    for one in obj["metadata"].get("ownerReferences") or ():
        if _state(view, obj, one) != "solid":
            yield key
        owner = view.by_uid(one["uid"])
        if owner is not None and _is_held(owner):
            yield key_of(owner)
    present = view.by_uid(uid(obj))
    if present is None:
        yield from map(key_of, view.dependents(uid(obj)))
    elif _is_held(present):
        yield key
        if _holds(present, FOREGROUND):
            yield from map(key_of, view.dependents(uid(obj)))


def _unfinished(view: Reader) -> Iterator[Key]:
    """Those that missed their owner's end, because the process died right after it; and those that are held."""
    for kind in registry.ALL:
        for obj in view.list(kind):
            meta = cast(Mapping[str, Any], obj["metadata"])
            references = meta.get("ownerReferences") or ()
            if _is_held(obj) or any(_state(view, obj, one) != "solid" for one in references):
                yield key_of(obj)


GARBAGE_COLLECTOR: Final = Controller(
    "garbage",
    reconcile,
    (Trigger(None, None, _concerned),),
    resync=_unfinished,
)
