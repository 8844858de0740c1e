"""Metadata that only the server sets, and what no update can change.

What names and labels look like is in `kinds/names.py`. Source: Kubernetes, apiserver `registry/rest` and apimachinery
`validation/objectmeta.go`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, cast

from gitops.admission.settings import Mint
from gitops.kinds import names
from gitops.kinds.core.namespace import NAMESPACE, Namespace
from gitops.kinds.errors import Conflict
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject, ObjectMeta, T, is_going, timestamp, uid, with_meta

NAME_TRIES_MAX: Final = 8  # As kube-apiserver: then the clash is reported.


def stamped(kind: Kind[Any], obj: T, now: datetime, mint: Mint) -> T:
    """A new object with what the server sets: uid, creationTimestamp, the first generation."""
    return with_meta(
        obj,
        uid=mint.uid(),
        creationTimestamp=timestamp(now),
        generation=1 if has_generation(kind) else None,
        resourceVersion=None,
        deletionTimestamp=None,
        deletionGracePeriodSeconds=None,
        selfLink=None,
    )


def has_generation(kind: Kind[Any]) -> bool:
    """Kinds with a wish and a status, so that a controller can say which wish its status is about."""
    return "status" in kind.subresources


def generated_name(base: str, mint: Mint) -> str:
    return base[: names.GENERATED_BASE_CHARACTERS_MAX] + mint.suffix()


def carried(kind: Kind[Any], old: T, new: T) -> T:
    """`new` with the metadata that an update cannot change.

    Raises: Conflict, if `new` was made from another object of that name.
    """
    if uid(new) and uid(new) != uid(old):
        raise Conflict(
            f"Operation cannot be fulfilled on {kind.resource} "
            f'"{new["metadata"].get("name", "")}": the UID in the precondition ({uid(new)}) does not match the UID in '
            f"record ({uid(old)}). The object might have been deleted and then recreated"
        )
    meta = old["metadata"]
    return with_meta(
        new,
        name=meta.get("name"),
        namespace=meta.get("namespace"),
        generateName=meta.get("generateName"),
        uid=meta.get("uid"),
        creationTimestamp=meta.get("creationTimestamp"),
        generation=meta.get("generation"),
        deletionTimestamp=meta.get("deletionTimestamp"),
        deletionGracePeriodSeconds=meta.get("deletionGracePeriodSeconds"),
        resourceVersion=meta.get("resourceVersion"),
        selfLink=None,
    )


def check_update(old: ObjectMeta, new: ObjectMeta) -> Iterator[Problem]:
    """What may not be added once an object is being deleted."""
    added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
    if "deletionTimestamp" in old and added:
        quoted = ", ".join(f'"{one}"' for one in added)
        yield Problem(
            "metadata.finalizers",
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{quoted}}}",
        )


def is_released(obj: KubeObject) -> bool:
    """Being deleted, and nothing holds it any more: no finalizer, no grace period. A write makes it vanish."""
    meta = obj["metadata"]
    if not is_going(obj) or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (NAMESPACE.owns(obj) and cast(Namespace, obj)["spec"].get("finalizers"))
