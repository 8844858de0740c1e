"""Says of each source which commit is live: the one whose objects are all applied (if their kinds are served), with
nothing left to prune.

What keeps it from being so is told in the source, since nobody sees the records that it comes from.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, cast

from gitops.controllers.records import first_claim, is_applied, waits_behind
from gitops.kinds import registry
from gitops.kinds.gitward import (
    DECLARED,
    DECLARED_GROUP,
    GIT_SOURCE,
    CommitState,
    Declared,
    GitSource,
    GitSourceStatus,
    live_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

LINES_MAX: Final = 100  # Of each list in a status.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Set `status.commit.live` to the declared commit once everything of it is live, or tell what is in the way.

    Looks through all records (a few thousand take milliseconds) and stops at the first that is on its way, which will
    wake us again. A claim that waits behind another source's does not count, nor one that is held.
    """
    source = view.get(GIT_SOURCE, key)
    status: GitSourceStatus = (source.get("status") if source else None) or {}
    commit = status.get("commit") or CommitState()
    if source is None or "declared" not in commit:
        return NOTHING
    is_live, unapplied, waiting, kept = True, list[str](), list[str](), list[str]()
    for record in cast(Iterable[Declared], view.list_group(DECLARED_GROUP)):
        problem, reason = _in_the_way(record, key.name)
        if not _is_done(record, key.name):
            if not problem and not reason:
                return NOTHING
            is_live = False
        kept += _kept(record, key.name)
        unapplied += [problem] if problem else []
        waiting += [reason] if reason else []
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


def _in_the_way(record: Declared, source: str) -> tuple[str, str]:
    """What is told of a source's own claim: why it cannot be applied, and what it waits for; '' for nothing."""
    first, status = first_claim(record), record.get("status") or {}
    declared = [claim for claim in record["claims"] if claim["state"] == "declared"]
    ours = next((claim for claim in declared if claim["source"] == source), None)
    if ours is None:
        return "", ""
    if ours is not first:
        return "", waits_behind(record, ours)
    if not _is_served(record):
        return status.get("problem", ""), ""  # Sync warns of it, at its line; once is enough.
    waiting = status.get("waiting", "")
    for later in reversed(declared[1:]):  # Theirs to tell, unless it is another app of ours.
        if later["source"] == source:
            break
        waiting = waiting.removesuffix(waits_behind(record, later)).removesuffix("; ")
    return status.get("problem", ""), waiting


def _kept(record: Declared, source: str) -> list[str]:
    """What is told of an object that stays though its source has let it go."""
    line = (record.get("status") or {}).get("kept")
    return [line] if line and any(claim["source"] == source for claim in record["claims"]) else []


def _is_done(record: Declared, source: str) -> bool:
    """Whether nothing is left to do about the claims of one source."""
    ours = [claim for claim in record["claims"] if claim["source"] == source]
    if not ours:
        return True
    if any(claim["state"] == "withdrawn" for claim in ours):
        return "kept" in (record.get("status") or {})
    first = first_claim(record)
    if first["source"] != source or first["state"] != "declared" or is_applied(record):
        return True
    return not _is_served(record)  # It is told, but may wait for ever and blocks nothing.


def _is_served(record: Declared) -> bool:
    key = live_key(key_of(record))
    return registry.find(key.group, key.kind) is not None


def _of_record(view: Reader, record: KubeObject) -> Iterable[Key]:
    """The sources that have, or had, a claim in it about which there is something to tell: it may be the last thing."""
    now = view.get(DECLARED, key_of(record))
    sources = {claim["source"]: None for claim in cast(Declared, record)["claims"]}
    return [
        GIT_SOURCE.key("", source)
        for source in sources
        if now is None or _is_done(now, source) or any(_in_the_way(now, source))
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
