"""Pure: what a source tells in its status, and the Events about it. Nothing here decides what is declared."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from gitops.events import event_for
from gitops.kinds.gitward import GIT_SOURCE, AppStatus, CommitState, GitSource, GitSourceStatus
from gitops.kinds.objects import micro_timestamp
from gitops.reconcile import EventNote, Reader
from gitops.store.contract import Position, Put, Txn

LINES_MAX: Final = 100  # Of problems, warnings and held objects in a status.
COMPONENT: Final = "sync"


class Note(NamedTuple):
    """An Event about the source. Equal ones are one that counts, so a message names no time."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def report(
    view: Reader, source: str, news: GitSourceStatus, now: datetime, *, fetched: str | None = None,
    notes: Sequence[Note] = (), epoch: int | None = None,
) -> Txn:  # fmt: skip
    """The transaction that says how a look ended that declared nothing. What was declared before stays."""
    found = view.get(GIT_SOURCE, GIT_SOURCE.key("", source))
    commit: CommitState = {"fetched": fetched} if fetched else {}
    puts = (told(found, news, commit, now), *noted(view, found, notes, now)) if found else ()
    return Txn(puts, actor=f"sync/{source}", cause=fetched or "look", epoch=epoch)


def status_of(
    broken: Sequence[AppStatus], warnings: Sequence[str], held: Sequence[str], app_count: int | None
) -> GitSourceStatus:
    """The parts that every look at a commit tells anew."""
    problems = [line for app in broken for line in app.get("problems", ())]
    status: GitSourceStatus = {
        "problems": bounded(problems),
        "warnings": bounded(warnings),
        "held": list(held),
    }
    if app_count is not None:
        status |= {"appCount": app_count, "apps": [_short(app) for app in broken[:LINES_MAX]]}
    return status


def told(source: GitSource, news: GitSourceStatus, commit: CommitState, now: datetime) -> Put:
    """The source with its new status."""
    old = source.get("status") or GitSourceStatus()
    status: GitSourceStatus = {
        **old,
        **news,
        "commit": {**old.get("commit", {}), **commit},
        "lastLook": micro_timestamp(now),
    }
    changed: GitSource = {**source, "status": status}
    return Put(changed, expect=Position(int(source["metadata"]["resourceVersion"])))


def noted(view: Reader, source: GitSource, notes: Sequence[Note], now: datetime) -> Iterator[Put]:
    """The Events, counted where they were there before."""
    for note in dict.fromkeys(notes):
        event = event_for(view, EventNote(source, *note), COMPONENT, now)
        if event is not None:
            yield Put(event)


def bounded(lines: Sequence[str]) -> list[str]:
    """At most LINES_MAX, and how many more there are."""
    if len(lines) <= LINES_MAX:
        return list(lines)
    return [*lines[:LINES_MAX], f"… and {len(lines) - LINES_MAX} more"]


def _short(app: AppStatus) -> AppStatus:
    """Its first problem: all of them stand in the source's own list."""
    return {**app, "problems": list(app.get("problems", ()))[:1]}
