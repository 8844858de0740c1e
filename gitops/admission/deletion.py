"""Deleting: at once, gracefully, or only begun because a finalizer holds the object.

Source: Kubernetes, apiserver `rest.BeforeDelete`, registry/core/pod `CheckGracefulDelete`, and "Finalizers".
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from gitops.admission.metadata import has_generation, is_released
from gitops.admission.refusal import forbidden
from gitops.kinds.core.namespace import NAMESPACE, Namespace
from gitops.kinds.core.pod import POD, Pod, is_terminal
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, T, is_going, key_of, moment_of, timestamp, with_meta
from gitops.store.contract import Delete, Position, Put

LASTING_NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
GRACE_SECONDS_MAX: Final = 2**31 - 1  # Sixty-eight years; the field takes more, a calendar does not.

Propagation = Literal["Background", "Foreground", "Orphan"]
_FINALIZERS: Final[dict[Propagation, str]] = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


def admit_delete(
    kind: Kind[T],
    obj: T,
    *,
    now: datetime,
    grace_seconds: int | None = None,
    propagation: Propagation | None = None,
) -> Put | Delete | None:
    """What a deletion writes.

    Args:
        obj: as it is; the write expects exactly this version.
        grace_seconds: how long a pod may take to stop; None: as its specification says. Other kinds have no grace.
        propagation: what becomes of the objects that it owns: they go after it, before it, or stay. None: as asked for
            earlier, else after it. The last two hold it by a finalizer, which the garbage collector takes away.
    Returns:
        The removal; or the object as it is while it goes (a pod that stops, finalizers that hold, a namespace that is
        emptied); None if it is going already and nothing changes. A second deletion of a pod can only shorten its time.
    Raises: Forbidden for a namespace that every cluster has.
    """
    expect = _version(obj)
    if kind is NAMESPACE:
        return _namespace(cast(Namespace, obj), now, expect)
    found, obj = obj, _propagating(obj, propagation)
    grace = _grace(cast(Pod, obj), grace_seconds) if kind is POD else 0
    if is_going(obj):
        again = _shortened(kind, obj, grace if grace_seconds is not None else None, expect)
        if again is None and obj is not found:
            return Delete(key_of(obj), expect) if is_released(obj) else Put(obj, expect)
        return again
    if grace or obj["metadata"].get("finalizers"):
        return Put(_going(kind, obj, now, grace if kind is POD else 0), expect)
    return Delete(key_of(obj), expect)


def _propagating(obj: T, propagation: Propagation | None) -> T:
    """With the finalizer of this propagation and without those of the others; the same object if nothing changes."""
    if propagation is None:
        return obj
    before = obj["metadata"].get("finalizers") or []
    after = [one for one in before if one not in _FINALIZERS.values()]
    after += [_FINALIZERS[propagation]] if propagation in _FINALIZERS else []
    return obj if set(after) == set(before) else with_meta(obj, finalizers=after or None)


def _grace(pod: Pod, asked_seconds: int | None) -> int:
    """A pod that no node runs, or that has ended, has nothing to stop."""
    if not pod["spec"].get("nodeName") or is_terminal(pod):
        return 0
    wanted = pod["spec"].get("terminationGracePeriodSeconds", 30) if asked_seconds is None else asked_seconds
    return 1 if wanted < 0 else min(wanted, GRACE_SECONDS_MAX)


def _shortened(
    kind: Kind[Any], obj: KubeObject, grace: int | None, expect: Position | None
) -> Put | Delete | None:
    """A further deletion of what is going: only a pod's remaining time can change, and only become less."""
    meta = obj["metadata"]
    present = meta.get("deletionGracePeriodSeconds", 0)
    if (
        grace is None
        or kind is not POD
        or (grace >= present and not (grace == 0 and not meta.get("finalizers")))
    ):
        return None
    if grace == 0 and not meta.get("finalizers"):
        return Delete(key_of(obj), expect)
    end = moment_of(meta["deletionTimestamp"]) - timedelta(seconds=present - grace)
    return Put(with_meta(obj, deletionTimestamp=timestamp(end), deletionGracePeriodSeconds=grace), expect)


def _going(kind: Kind[Any], obj: T, now: datetime, grace: int) -> T:
    return with_meta(
        obj,
        deletionTimestamp=timestamp(now + timedelta(seconds=grace)),
        deletionGracePeriodSeconds=grace,
        generation=obj["metadata"].get("generation", 0) + 1 if has_generation(kind) else None,
    )


def _namespace(namespace: Namespace, now: datetime, expect: Position | None) -> Put | Delete | None:
    """A namespace goes when it is empty: what empties it takes its last finalizer."""
    name = namespace["metadata"].get("name", "")
    if name in LASTING_NAMESPACES:
        raise forbidden(NAMESPACE, name, "this namespace may not be deleted")
    if not namespace["spec"].get("finalizers") and not namespace["metadata"].get("finalizers"):
        return Delete(key_of(namespace), expect)
    if is_going(namespace):
        return None
    going = _going(NAMESPACE, namespace, now, 0)
    del going["metadata"]["deletionGracePeriodSeconds"]
    return Put(
        cast(Namespace, {**going, "status": {**going.get("status", {}), "phase": "Terminating"}}), expect
    )


def _version(obj: KubeObject) -> Position | None:
    version = obj["metadata"].get("resourceVersion")
    return Position(int(version)) if version else None
