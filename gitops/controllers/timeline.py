"""Notes in each source when its newest commits reached which stage: fetched, declared, live, scheduled, ready.

Only the present commit's stages are noted: what was replaced before it was ready never was. Times are this master's.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, cast

from gitops.controllers.progress import is_healthy, is_scheduled, progress_of
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.pod import POD
from gitops.kinds.gitward import (
    GIT_SOURCE,
    CommitState,
    CommitTimes,
    GitSource,
    GitSourceStatus,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, micro_timestamp
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

COMMITS_MAX: Final = 50  # Of a source; older ones are known by when they were declared only.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring `status.history` up to date with `status.commit` and the health of what it states.

    Args:
        view: read: the source; while its live commit is not ready, what of it was touched.
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
        if status.get("hookLost"):
            fresh["hook"] = "lost"
        signed = status.get("signed")
        if signed and signed["commit"] == commit["fetched"]:
            fresh["signer"] = {"name": signed["name"], "key": signed["key"]}
        after.insert(0, fresh)
    elif after[0].get("hook") == "lost" and (hooked := status.get("lastHook", "")) > after[0]["fetched"]:
        after[0] = {**after[0], "hook": "late", "hooked": hooked}
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
    """Scheduled and ready; while neither is true of all, what is not will wake us again."""
    unready = [*progress_of(view).unready(view, source)]
    if "scheduled" not in entry:
        if not all(is_scheduled(view, obj) for obj in unready):
            return entry
        entry = {**entry, "scheduled": micro_timestamp(now)}
    return entry if not all(map(is_healthy, unready)) else {**entry, "ready": micro_timestamp(now)}


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
