"""Garbage: what depends on an owner goes when its last owner is gone.

Source: kubernetes/pkg/controller/garbagecollector, background deletion. Owners are known by uid: one that was made
again under its old name is another. An owner in another namespace counts as absent, as in Kubernetes.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from gitops.kinds import registry
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, OwnerReference, is_going, key_of, uid, with_meta
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Delete an object whose owners are all gone; strike out those owners that are, where one remains.

    Args:
        view: read are `key` and its owners.
        key: any live object.
        now: not used; an owner is there or it is not.
    """
    obj = view.object(key)
    if obj is None or is_going(obj):
        return NOTHING
    references = obj["metadata"].get("ownerReferences") or []
    present = [one for one in references if _is_there(view, obj, one)]
    if len(present) == len(references):
        return NOTHING
    if not present:
        return Writes(delete=(key,))
    return Writes(status=with_meta(obj, ownerReferences=present))


def _is_there(view: Reader, dependent: KubeObject, reference: OwnerReference) -> bool:
    owner = view.by_uid(reference["uid"])
    if owner is None:
        return False
    namespace = owner["metadata"].get("namespace", "")
    return namespace in ("", dependent["metadata"].get("namespace", ""))


def _concerned(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """An object that has owners; and whatever depends on one that is gone."""
    key = key_of(obj)
    if key.group == DECLARED_GROUP:
        return
    references = obj["metadata"].get("ownerReferences")
    if references and not all(_is_there(view, obj, one) for one in references):
        yield key
    if view.by_uid(uid(obj)) is None:
        yield from map(key_of, view.dependents(uid(obj)))


def _orphans(view: Reader) -> Iterator[Key]:
    """Those that missed their owner's end, because the process died right after it."""
    for kind in registry.ALL:
        for obj in view.list(kind):
            references = obj["metadata"].get("ownerReferences") or ()
            if not all(_is_there(view, obj, one) for one in references):
                yield key_of(obj)


GARBAGE_COLLECTOR: Final = Controller(
    "garbage",
    reconcile,
    (Trigger(None, None, _concerned),),
    resync=_orphans,
)
