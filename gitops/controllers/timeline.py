"""Notes in each source when its newest commits reached which stage: fetched, declared, live, scheduled, ready.

Only the present commit's stages are noted: what was replaced before it was ready never was. Times are this master's.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, cast

from gitops.controllers.records import first_claim
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.gitward import (
    DECLARED_GROUP,
    GIT_SOURCE,
    CommitState,
    CommitTimes,
    Declared,
    GitSource,
    GitSourceStatus,
    live_key,
)
from gitops.kinds.health import health
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of, micro_timestamp, uid
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

COMMITS_MAX: Final = 50  # Of a source; older ones are known by when they were declared only.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring `status.history` up to date with `status.commit` and the health of what it states.

    Args:
        view: read: the source; while its live commit is not ready, all records of it and their objects.
        key: a source.
        now: the time that is noted for what was not so before.
    Returns: the source with its new status; empty: nothing new, or still on its way, which will wake us again.
    """
    source = view.get(GIT_SOURCE, key)
    status: GitSourceStatus = (source.get("status") if source else None) or {}
    commit = status.get("commit") or CommitState()
    if source is None or not commit.get("fetched"):
        return NOTHING
    before = status.get("history") or []
    after = _with_stages(status, commit, micro_timestamp(now))
    after = [
        _with_health(view, key.name, entry, now) if _is_open(entry, commit) else entry for entry in after
    ]
    if after == before:
        return NOTHING
    told: GitSource = {**source, "status": {**status, "history": after[:COMMITS_MAX]}}
    return Writes(status=told)


def _with_stages(status: GitSourceStatus, commit: CommitState, now: str) -> list[CommitTimes]:
    """What the source's three commits tell. A commit that comes back (a forced push) gets a new entry."""
    after, looked = list(status.get("history") or []), status.get("lastLook") or now
    if not after or after[0]["commit"] != commit["fetched"]:
        fresh: CommitTimes = {"commit": commit["fetched"], "fetched": status.get("came") or looked}
        if cause := status.get("cause"):
            fresh["cause"] = cause
        after.insert(0, fresh)
    if (declared := commit.get("declared")) is not None:
        _note(after, declared, "declared", looked)
    if (live := commit.get("live")) is not None:
        _note(after, live, "live", now)
    return after


def _note(entries: list[CommitTimes], commit: str, stage: str, time: str) -> None:
    """In the newest entry of a commit, unless it is there already."""
    for index, entry in enumerate(entries):
        if entry["commit"] == commit:
            if stage not in entry:
                entries[index] = cast(CommitTimes, {**entry, stage: time})
            return


def _is_open(entry: CommitTimes, commit: CommitState) -> bool:
    """Whether it is to be seen yet how what it states fares."""
    is_present = entry["commit"] == commit.get("declared") == commit.get("live")
    return is_present and "live" in entry and "ready" not in entry


def _with_health(view: Reader, source: str, entry: CommitTimes, now: datetime) -> CommitTimes:
    """Scheduled and ready; stops at the first object that is not."""
    if "scheduled" not in entry:
        if not all(_is_scheduled(view, obj) for obj in _objects(view, source)):
            return entry
        entry = {**entry, "scheduled": micro_timestamp(now)}
    # A Service may wait for the address of a load balancer, which is outside, for ever: no pod waits for it.
    if all(health(obj).state == "Healthy" for obj in _objects(view, source) if not SERVICE.owns(obj)):
        return {**entry, "ready": micro_timestamp(now)}
    return entry


def _objects(view: Reader, source: str) -> Iterator[KubeObject]:
    """The live objects that the source states."""
    for record in cast(Iterable[Declared], view.list_group(DECLARED_GROUP)):
        claim = first_claim(record)
        if claim["source"] == source and claim["state"] == "declared":
            live = view.object(live_key(key_of(record)))
            if live is not None:
                yield live


def _is_scheduled(view: Reader, obj: KubeObject) -> bool:
    """Whether all its pods are made and have a node; true of what has no pods."""
    if POD.owns(obj):
        return bool(cast(dict[str, dict[str, str]], obj)["spec"].get("nodeName"))
    if not DEPLOYMENT.owns(obj):
        return True
    deployment = cast(Deployment, obj)
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return False
    if status.get("updatedReplicas", 0) < deployment["spec"]["replicas"]:
        return False
    sets = view.owned_by(REPLICA_SET, uid(deployment))
    pods = (pod for one in sets for pod in view.owned_by(POD, uid(one)) if not is_going(pod))
    return all(pod["spec"].get("nodeName") for pod in pods)


def _of_source(_view: Reader, source: KubeObject) -> Iterable[Key]:
    return (key_of(source),)


def _of_workload(view: Reader, _obj: KubeObject) -> Iterable[Key]:
    """The sources whose present commit is live and not ready: seldom any."""
    return [
        key_of(source)
        for source in view.list(GIT_SOURCE)
        if (status := source.get("status"))
        and any(
            _is_open(entry, status.get("commit") or CommitState()) for entry in status.get("history") or ()
        )
    ]


def _of_pod(view: Reader, obj: KubeObject) -> Iterable[Key]:
    """One that was just bound, or that stands alone: all others are summed up in their Deployment's status."""
    pod = cast(dict[str, dict[str, object]], obj)
    is_bound = bool(pod["spec"].get("nodeName")) and not (pod.get("status") or {}).get("startTime")
    return _of_workload(view, obj) if is_bound or not obj["metadata"].get("ownerReferences") else ()


def _all(view: Reader) -> Iterable[Key]:
    return (key_of(source) for source in view.list(GIT_SOURCE))


TIMELINE: Final = Controller(
    name="timeline",
    reconcile=reconcile,
    triggers=(
        Trigger(GIT_SOURCE.group, GIT_SOURCE.kind, _of_source),
        Trigger(DEPLOYMENT.group, DEPLOYMENT.kind, _of_workload),
        Trigger(POD.group, POD.kind, _of_pod),
    ),
    resync=_all,
)
