"""Says of each source which commit is live: the one whose objects are all applied, with nothing left to prune."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, cast

from gitops.controllers.apply import first_claim, is_applied
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


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Set `status.commit.live` to the declared commit once everything of it is live.

    Looks through all records (a few thousand take milliseconds) and stops at the first that is not done. A claim that
    waits behind another source's does not count, nor one that is held: both are reported where they are decided.
    """
    source = view.get(GIT_SOURCE, key)
    commit = source.get("status", {}).get("commit", {}) if source else {}
    declared = commit.get("declared")
    if source is None or not declared or commit.get("live") == declared:
        return NOTHING
    records = cast(Iterable[Declared], view.list_group(DECLARED_GROUP))
    if not all(_is_done(record, key.name) for record in records):
        return NOTHING
    live: CommitState = {**commit, "live": declared}
    status: GitSourceStatus = {**source.get("status", {}), "commit": live}
    told: GitSource = {**source, "status": status}
    return Writes(status=told)


def _is_done(record: Declared, source: str) -> bool:
    """Whether nothing is left to do about the claims of one source."""
    ours = [claim for claim in record["claims"] if claim["source"] == source]
    if not ours:
        return True
    if any(claim["state"] == "withdrawn" for claim in ours):
        return False
    first = first_claim(record)
    return first["source"] != source or first["state"] != "declared" or is_applied(record)


def _of_record(view: Reader, record: KubeObject) -> Iterable[Key]:
    """The sources that have, or had, a claim in it and nothing left to do there: this may have been the last thing."""
    now = view.get(DECLARED, key_of(record))
    sources = {claim["source"]: None for claim in cast(Declared, record)["claims"]}
    return [GIT_SOURCE.key("", source) for source in sources if now is None or _is_done(now, source)]


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
