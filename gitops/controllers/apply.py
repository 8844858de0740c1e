"""Declared becomes live: what git states of an object is applied to it, by server-side-apply semantics.

Each record of what git declares (`declared.gitward.io`) is reconciled alone: its first claim is applied, later ones
wait. Order comes from waiting: for a namespace that is not there yet, for a kind that nobody serves yet. An object that
cannot be applied is reported in its record and stops no other. Not here: what a commit may prune, which sync decides.
Source: Kubernetes, "Server-Side Apply"; gitops-engine, `pkg/sync`, for the order.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, cast

from gitops.admission import merge
from gitops.kinds import registry, schema
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.pod_admission import completed_pod
from gitops.kinds.errors import Forbidden, GitwardError, Invalid
from gitops.kinds.gitward import (
    DECLARED,
    DECLARED_GROUP,
    MANAGER,
    Claim,
    Declared,
    DeclaredStatus,
    declared_key,
    live_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

_LEAVES_SLOWLY: Final = (POD, NAMESPACE)  # Their deletion is only begun by a delete.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring one live object to what its first claim states, or remove it once nobody declares it.

    Args:
        view: read: the record, the live object, its namespace.
        key: a record of what git declares.
        now: the time of what is recorded in managedFields.
    Returns:
        The live object's create, update or delete together with the record's new status, or its removal.
        Empty: settled.
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
    return _withdrawn(view, key)


def failed(view: Reader, key: Key, error: GitwardError, now: datetime) -> Writes:
    """Say in the record why its object could not be applied. What must not be deleted stays, and git lets go of it."""
    record = view.get(DECLARED, key)
    if record is None:
        return NOTHING
    claim = first_claim(record)
    if claim["state"] != "declared" and isinstance(error, Forbidden):
        return Writes(delete=(key,))
    return _told(record, record, problem=_line(claim, key, str(error)))


def _applied(view: Reader, record: Declared, stored: Declared, now: datetime) -> Writes:
    claim, target = record["claims"][0], live_key(key_of(record))
    kind = registry.find(target.group, target.kind)
    if kind is None:
        what = f"no kind {target.kind} of {target.group or 'the core group'} is served yet"
        return _told(record, stored, waiting=_line(claim, key_of(record), what))
    if claim["object"]["apiVersion"] != kind.api_version:
        what = f"{claim['object']['apiVersion']} is not served, {kind.api_version} is"
        return _told(record, stored, problem=_line(claim, key_of(record), what))
    live = view.object(target)
    if (reason := _reason_to_wait(view, target, live)) is not None:
        return _told(record, stored, waiting=_line(claim, key_of(record), reason)) if reason else NOTHING
    try:
        writes = _written(kind, live, claim["object"], now)
    except Invalid as error:
        return _told(record, stored, problem=_line(claim, key_of(record), str(error)))
    told = _told(record, stored, applied=claim["commit"])
    return Writes(create=writes.create, update=writes.update, status=told.status)


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


def _written(kind: Kind[Any], live: KubeObject | None, stated: KubeObject, now: datetime) -> Writes:
    """The create or update that makes live what is stated; nothing if that would change nothing.

    Admission completes objects after us, so both sides are compared when completed. What breaks the schema cannot be
    and goes to admission as it is, which says why.
    """
    if kind is SECRET:
        stated = seal_values(stated)
    merged, _ = merge.apply(live, stated, MANAGER, now, schema.root(kind))
    if live is None:
        return Writes(create=(merged,))
    if merged is live:
        return NOTHING
    if not schema.violations(kind, merged) and merge.is_same(
        _completed(kind, merged), _completed(kind, live)
    ):
        return NOTHING
    return Writes(update=(merged,))


def _completed(kind: Kind[Any], obj: KubeObject) -> KubeObject:
    defaulted: KubeObject = kind.defaults(obj)
    return completed_pod(cast(Pod, defaulted)) if kind is POD else defaulted


def _withdrawn(view: Reader, key: Key) -> Writes:
    """Nobody declares it any more: the live object goes, and with it the record, in one transaction where both can.

    An object that git never applied (someone made it before git could) is not git's to delete.
    """
    target = live_key(key)
    live = view.object(target)
    if live is None or not merge.applied_by(live, MANAGER):
        return Writes(delete=(key,))
    if is_going(live):
        return NOTHING
    if live["metadata"].get("finalizers") or any(kind.owns(live) for kind in _LEAVES_SLOWLY):
        return Writes(delete=(target,))
    return Writes(delete=(target, key))


def _told(
    record: Declared, stored: Declared, *, applied: str | None = None, problem: str = "", waiting: str = ""
) -> Writes:
    """The record with its new status, if that is new. `applied` None: what was applied last still is."""
    first = first_claim(record)
    later = [claim for claim in record["claims"] if claim is not first and claim["state"] == "declared"]
    reasons = [*([waiting] if waiting else []), *(waits_behind(record, claim) for claim in later)]
    status: DeclaredStatus = {}
    if commit := applied or record.get("status", {}).get("applied"):
        status["applied"] = commit
    if problem:
        status["problem"] = problem
    if reasons:
        status["waiting"] = "; ".join(reasons)
    told: Declared = {**record, "status": status}
    return NOTHING if told == {"status": {}, **stored} else Writes(status=told)


def waits_behind(record: Declared, claim: Claim) -> str:
    """What is told of a later claim: the first one keeps the object."""
    first = first_claim(record)
    place = f"{first['file']}:{first['line']} of source {first['source']}"
    return _line(claim, key_of(record), f"already declared at {place}, which keeps it")


def first_claim(record: Declared) -> Claim:
    """The claim that counts."""
    return next((claim for claim in record["claims"] if claim["state"] == "declared"), record["claims"][0])


def _line(claim: Claim, key: Key, text: str) -> str:
    """`apps/web.yaml:14: Deployment.apps shop/web: …`; an error that says the place itself is left as it is."""
    place = f"{claim['file']}:{claim['line']}"
    return text if text.startswith(place) else f"{place}: {live_key(key)}: {text}"


def _of_record(view: Reader, record: KubeObject) -> Iterable[Key]:
    return (key_of(record),)


def _of_live(view: Reader, obj: KubeObject) -> Iterable[Key]:
    """Drift is put back, and a record hears that its object is gone."""
    key = key_of(obj)
    record = declared_key(key)
    return (record,) if key.group != DECLARED_GROUP and view.object(record) is not None else ()


def _in_namespace(view: Reader, namespace: KubeObject) -> Iterable[Key]:
    """Those that wait for a namespace, or had an object in the one that is gone."""
    name = namespace["metadata"].get("name", "")
    records = cast(Iterable[Declared], view.list_group(DECLARED_GROUP))
    return [key for record in records if (key := key_of(record)).namespace == name and not is_applied(record)]


def is_applied(record: Declared) -> bool:
    """Whether the live object is what the record's first claim states, as far as its status says."""
    claim, status = first_claim(record), record.get("status", {})
    return (
        claim["state"] == "declared" and status.get("applied") == claim["commit"] and "problem" not in status
    )


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
