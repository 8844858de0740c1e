"""Adoption and release: which objects a controller owns, by controller reference and selector.

Source: kubernetes/pkg/controller/controller_ref_manager.go. Objects of another controller are never touched.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple

from gitops.kinds.kind import Kind
from gitops.kinds.objects import (
    KubeObject,
    T,
    controller_of,
    is_going,
    labels_of,
    owner_reference,
    uid,
    with_meta,
)
from gitops.kinds.selectors import LabelSelector, matches
from gitops.reconcile import Reader


class Claimed(NamedTuple, Generic[T]):
    """`owned` includes those being adopted; `updates` are the adoptions and releases to be written."""

    owned: tuple[T, ...]
    updates: tuple[T, ...]


def claim(
    view: Reader, kind: Kind[T], owner: KubeObject, selector: LabelSelector, adoptable: Callable[[T], bool]
) -> Claimed[T]:
    """What belongs to `owner`: what it owns and selects, and what it selects that nobody owns and is `adoptable`."""
    owned: list[T] = []
    updates: list[T] = []
    for obj in view.owned_by(kind, uid(owner)):
        if is_going(obj) or matches(selector, labels_of(obj)):
            owned.append(obj)
        else:
            updates.append(_released(obj, owner))
    for obj in view.select(kind, owner["metadata"].get("namespace", ""), selector):
        if controller_of(obj) is None and not is_going(obj) and adoptable(obj):
            references = obj["metadata"].get("ownerReferences") or []
            adopted = with_meta(obj, ownerReferences=[*references, owner_reference(owner)])
            owned.append(adopted)
            updates.append(adopted)
    return Claimed(tuple(owned), tuple(updates))


def _released(obj: T, owner: KubeObject) -> T:
    kept = [one for one in obj["metadata"].get("ownerReferences") or () if one["uid"] != uid(owner)]
    return with_meta(obj, ownerReferences=kept or None)
