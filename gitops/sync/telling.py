"""Pure: what a source tells in its status, and the Events about it. Nothing here decides what is declared."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from gitops.events import event_for
from gitops.kinds.gitward import GIT_SOURCE, AppStatus, CommitState, GitSource, GitSourceStatus
from gitops.kinds.objects import micro_timestamp
from gitops.reconcile import EventNote, Reader
from gitops.store.contract import Position, Put, Txn

LINES_MAX: Final = 100  # Of problems, warnings and held objects in a status.
LOOK_TOLD_EVERY: Final = timedelta(minutes=5)  # Of looks that find nothing new.
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
    puts = (*told(found, news, commit, now), *noted(view, found, notes, now)) if found else ()
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


def told(source: GitSource, news: GitSourceStatus, commit: CommitState, now: datetime) -> Iterator[Put]:
    """The source with its new status; nothing where a look found all as it was and the last one told is not long ago.

    Every version is kept as long as history is: two hundred sources would leave half a million a day.
    """
    old = source.get("status") or GitSourceStatus()
    status: GitSourceStatus = {**old, **news, "commit": {**old.get("commit", {}), **commit}}
    if _without_times(status) == _without_times(old) and _is_fresh(old, now):
        return
    changed: GitSource = {**source, "status": {**status, "lastLook": micro_timestamp(now)}}
    yield Put(changed, expect=Position(int(source["metadata"]["resourceVersion"])))


def _without_times(status: GitSourceStatus) -> dict[str, object]:
    """What a reader waits for. When the next look is due is of interest where looks fail, and those are counted."""
    return {name: value for name, value in status.items() if name not in ("lastLook", "nextLook")}


def _is_fresh(status: GitSourceStatus, now: datetime) -> bool:
    told_at = status.get("lastLook")
    if not told_at:
        return False
    return timedelta() <= now - datetime.fromisoformat(told_at) < LOOK_TOLD_EVERY


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
