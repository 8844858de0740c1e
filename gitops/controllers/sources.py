"""Says of each source which commit is live: the one whose objects are all applied (if their kinds are served), with
nothing left to prune.

What keeps it from being so is told in the source, since nobody sees the records that it comes from.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, cast

from gitops.controllers.progress import matter_of, progress_of
from gitops.kinds.gitward import (
    DECLARED,
    DECLARED_GROUP,
    GIT_SOURCE,
    CommitState,
    Declared,
    GitSource,
    GitSourceStatus,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

LINES_MAX: Final = 100  # Of each list in a status.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Set `status.commit.live` to the declared commit once everything of it is live, or tell what is in the way.

    Nothing while a record is on its way, which will wake us again. A claim that waits behind another source's does
    not count, nor one that is held.
    """
    source = view.get(GIT_SOURCE, key)
    status: GitSourceStatus = (source.get("status") if source else None) or {}
    commit = status.get("commit") or CommitState()
    if source is None or "declared" not in commit:
        return NOTHING
    progress = progress_of(view)
    if progress.is_moving(key.name):
        return NOTHING
    matters = progress.matters(key.name)
    is_live = all(one.done for one in matters)
    unapplied = [one.problem for one in matters if one.problem]
    waiting = [one.reason for one in matters if one.reason]
    kept = [one.kept for one in matters if one.kept]
    told: GitSourceStatus = {
        **status,
        "commit": {**commit, "live": commit["declared"]} if is_live else commit,
    }
    if unapplied or "unapplied" in status:
        told["unapplied"] = _bounded(unapplied)
    if waiting or "waiting" in status:
        told["waiting"] = _bounded(waiting)
    if kept or "kept" in status:
        told["kept"] = _bounded(kept)
    changed: GitSource = {**source, "status": told}
    return NOTHING if told == status else Writes(status=changed)


def _bounded(lines: Sequence[str]) -> list[str]:
    if len(lines) <= LINES_MAX:
        return list(lines)
    return [*lines[:LINES_MAX], f"… and {len(lines) - LINES_MAX} more"]


def _of_record(view: Reader, record: KubeObject) -> Iterable[Key]:
    """The sources that have, or had, a claim in it about which there is something to tell: it may be the last thing."""
    now = view.get(DECLARED, key_of(record))
    sources = {claim["source"]: None for claim in cast(Declared, record)["claims"]}
    return [
        GIT_SOURCE.key("", source)
        for source in sources
        if now is None or (matter := matter_of(now, source)).done or matter.problem or matter.reason
    ]


def _itself(view: Reader, source: KubeObject) -> Iterable[Key]:
    return (key_of(source),)


def _all(view: Reader) -> Iterable[Key]:
    return (key_of(source) for source in view.list(GIT_SOURCE))


SOURCES: Final = Controller(
    name="sources",
    reconcile=reconcile,
    triggers=(
        Trigger(DECLARED_GROUP, None, _of_record),
        Trigger(GIT_SOURCE.group, GIT_SOURCE.kind, _itself),
    ),
    resync=_all,
)
