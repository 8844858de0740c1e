"""Looks at sources: fetch, read, check, declare. A timer, a webhook or a person only hints that now is a good time."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

from gitops.kinds.commits import StatedCommit
from gitops.kinds.errors import GitwardError, NotFound, Unavailable
from gitops.kinds.gitward import GIT_SOURCE, CommitState, GitSource, GitSourceStatus
from gitops.kinds.keys import Key
from gitops.kinds.objects import micro_timestamp, uid
from gitops.reconcile import Reader
from gitops.store.contract import Batch, Store, Txn
from gitops.sync.declare import Declaring, Look, declare
from gitops.sync.following import Following, Refused, Tools, is_moved
from gitops.sync.grants import grant_of
from gitops.sync.operators import OperatorSource
from gitops.sync.preview import stated_at
from gitops.sync.reach import Network
from gitops.sync.render.renderer import Renderer
from gitops.sync.secrets.key_files import KeyFiles
from gitops.sync.source import Mirror
from gitops.sync.telling import Note, bounded, report
from gitops.sync.timer import Timer, next_look
from gitops.sync.turns import Turns
from gitops.sync.zygote import Parser

log = logging.getLogger(__name__)

R = TypeVar("R")

SOURCES: Final = "sources"  # In the data directory.
FETCH_FAILED: Final = "FetchFailed"
LOOK_FAILED: Final = "LookFailed"
THREADS_MAX: Final = 64  # Each may wait for a server that trickles: nobody else's threads may run out.
READERS_MAX: Final = (
    16  # With more sources than that a reader is started for each look: each has some megabytes.
)
COMMIT_REFUSED: Final = "CommitRefused"
HELD_BACK: Final = "CommitHeldBack"
DECLARED: Final = "CommitDeclared"
TIMER: Final = "timer"


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """What the operator decided. The files are read at every look, so a new key needs no restart.

    Attributes:
        age_key_file: None: age.key in the data directory, if it is there.
        render_bin_dir: None: kubectl and helm are in `bin` of the data directory or on PATH.
        sources: those that the operator names, by name.
        interval_seconds: for sources that say nothing else.
        networks: those that sources stated by objects may reach though `reach.py` refuses them.
        awaits_hooks: webhooks are served: a commit that the timer finds may be one of which a hook was lost.
    """

    age_key_file: Path | None = None
    render_bin_dir: Path | None = None
    sources: Mapping[str, OperatorSource] = field(default_factory=dict)
    interval_seconds: float = 30.0
    networks: tuple[Network, ...] = ()
    awaits_hooks: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a look ended. `declared`: the objects of all apps of the commit are stated; else `problems` say why not.

    `parsed_files`, `checked_objects`: what it cost.
    """

    source: str
    commit: str
    declared: bool
    problems: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    parsed_files: int = 0
    checked_objects: int = 0


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Syncer:
    """Belongs to the event loop that it was made on; only `hint` may be called from other threads."""

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        parser: Parser,
        settings: SyncSettings,
        *,
        clock: Callable[[], datetime],
        epoch: int | None = None,
        tell: Callable[[str], None] = _to_stderr,
    ) -> None:
        """`tell` gets each problem once, as a line that begins with `file:line:` where there is one."""
        self._store, self._settings = store, settings
        self._tools = Tools(
            data_dir / SOURCES,
            parser,
            Renderer(parser, data_dir, settings.render_bin_dir),
            lambda: KeyFiles(data_dir, settings.age_key_file),
        )
        self._clock, self._epoch, self._tell = clock, epoch, tell
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(THREADS_MAX, "sync")
        self._turns = Turns(self._guarded)
        self._following: dict[str, Following] = {}
        self._doubted: set[str] = set()  # Names of those whose declared set must be compared as a whole.
        self._told: dict[str, frozenset[str]] = {}
        self._hooked: dict[str, datetime] = {}  # When the last hook came, until the look that it asked for.
        self._timer: Timer | None = None
        self._asking = asyncio.Lock()
        self._asked: set[Mirror] = set()

    async def look(self, name: str, reason: str) -> Outcome:
        """Look at a source, or join the look that is about to. NotFound: no such source."""
        self._found(name)
        return await asyncio.shield(self._turns.turn(name, reason))

    async def look_now(self, name: str) -> None:
        """As `look`, for those who read the outcome in the source's status."""
        await self.look(name, "asked")

    async def stated_at(self, name: str, commit: str) -> StatedCommit:
        """What a commit states that need never have been looked at, nor be on the branch; see `preview.py`."""
        found = self._found(name)
        grant = grant_of(self._store.view(), found, self._settings.sources, self._settings.networks)
        reserved = frozenset(self._settings.sources)
        work = partial(stated_at, found, grant, self._tools, commit, reserved, self._asked)
        return await asyncio.shield(self._alone(work))

    async def _alone(self, work: Callable[[], R]) -> R:
        """One at a time, to the end of the thread: whoever asked may have left long before."""
        async with self._asking:
            return await self._in_thread(work)

    def hint(self, name: str) -> None:
        """Look soon; from any thread, never blocks. An unknown name is nothing."""
        self._loop.call_soon_threadsafe(self._came, name)

    def start(self) -> None:
        """Look at every source now, at new and changed ones at once, and at each again when its time has come."""
        self._timer = Timer(lambda name: self._hinted(name, TIMER))
        self._unsubscribe = self._store.subscribe(self._published)
        for source in self._store.view().list(GIT_SOURCE):
            self._hinted(source["metadata"].get("name", ""), "start")

    async def close(self) -> None:
        """End what runs, a fetch from a server that does not answer too."""
        if self._timer is not None:
            self._unsubscribe()
            self._timer.close()
        for following in self._following.values():
            following.mirror.stop()
        for mirror in tuple(self._asked):
            mirror.stop()
        await self._turns.close()
        await asyncio.to_thread(self._threads.shutdown)
        for following in self._following.values():
            following.close()
        self._following.clear()
        await asyncio.to_thread(self._tools.renderer.close)

    def _published(self, batch: Batch) -> None:
        """A source that is new, or says something else, is looked at; what a deleted one kept may be another's now."""
        for change in batch.changes:
            if change.key[:2] != (GIT_SOURCE.group, GIT_SOURCE.kind):
                continue
            if change.after is None:
                self._forget(change.key.name)
            elif change.before is None or (
                cast(GitSource, change.before)["spec"] != cast(GitSource, change.after)["spec"]
            ):
                self._hinted(change.key.name, "changed")

    def _forget(self, gone: str) -> None:
        """A deleted source: nothing of it is pruned, but others may state what it kept."""
        if self._timer is not None:
            self._timer.drop(gone)
        self._hooked.pop(gone, None)
        self._doubted.update(self._following)
        for name in [*self._following]:
            self._turns.turn(name, f"source {gone} was deleted")

    def _came(self, name: str) -> None:
        self._hooked[name] = self._clock()
        self._hinted(name, "hook")

    def _hinted(self, name: str, reason: str) -> None:
        if self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name)) is not None:
            self._turns.turn(name, reason)

    def _found(self, name: str) -> GitSource:
        found = self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
        if found is None:
            raise NotFound(f"no source {name!r} is followed")
        return found

    async def _guarded(self, name: str, reason: str) -> Outcome:
        if self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name)) is None:
            if (known := self._following.pop(name, None)) is not None:
                known.close()
            self._told.pop(name, None)
            return Outcome(name, "", declared=False, problems=(f"source {name} is not followed any more",))
        try:
            return await self._look(name, reason)
        except GitwardError as error:
            return await self._failed(name, error, LOOK_FAILED)
        except Exception as error:  # The top of the loop: one source's bug must not stop the others.
            log.exception("look failed", extra={"fields": {"source": name, "reason": reason}})
            what = f"source {name}: internal error: {type(error).__name__}"
            return await self._failed(name, Unavailable(what), LOOK_FAILED)

    async def _look(self, name: str, reason: str) -> Outcome:
        found = self._found(name)
        following = self._followed(name, found)
        try:
            fetched = await self._in_thread(partial(following.fetch, _state(found), is_moved=is_moved(found)))
        except Refused as error:
            self._hooked.pop(name, None)
            return await self._failed(name, error, COMMIT_REFUSED)
        except GitwardError as error:
            return await self._failed(name, error, FETCH_FAILED)
        came, hooked = micro_timestamp(self._clock()), self._hooked.pop(name, None)
        await self._in_thread(partial(following.read, fetched.commit, frozenset(self._settings.sources)))
        look = await self._in_thread(partial(following.look, found, fetched))
        if _state(found).get("fetched") != look.commit:
            awaited = self._settings.awaits_hooks and "lastHook" in (found.get("status") or {})
            lost = awaited and hooked is None and reason == TIMER
            look = replace(look, more={**look.more, "came": came, "cause": reason, "hookLost": lost})
        if hooked is not None:
            look = replace(look, more={**look.more, "lastHook": micro_timestamp(hooked)})
        problems = tuple(line for app in look.broken for line in app.get("problems", ()))
        self._say_new(name, problems)
        held = await self._declare(found, look, problems)
        following.settle(held)
        if len(self._following) > READERS_MAX:
            following.mirror.close()
        reading = following.reading
        if not problems and _state(found).get("declared") != look.commit:
            facts = {"source": name, "commit": look.commit, "revision": self._store.view().revision}
            facts |= {"cause": reason, "parsed": reading.parsed_files, "checked": reading.checked_objects}
            log.info("commit declared", extra={"fields": facts})
        told = self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name)) or found
        lines = tuple((told.get("status") or GitSourceStatus()).get("held", ()))
        cost = reading.parsed_files, reading.checked_objects
        return Outcome(name, look.commit, not problems, problems, lines, *cost)

    async def _declare(
        self, found: GitSource, look: Look, problems: Sequence[str]
    ) -> Mapping[str, frozenset[Key]]:
        """Write the look; what it holds, by app."""
        now = self._clock()
        notes = (*look.notes, *_notes(found, look, problems))
        whole = replace(look, notes=notes, more=look.more | self._planned(found, now, failures=0))
        decided: list[Declaring] = []

        def build(view: Reader) -> Txn:
            decided[:] = [declare(view, whole, now, epoch=self._epoch)]
            return decided[0].txn

        await self._store.transact(build)
        return decided[0].held

    async def _failed(self, name: str, error: GitwardError, reason: str) -> Outcome:
        line = str(error)
        self._say_new(name, (line,))
        found = self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
        if found is not None:
            now = self._clock()
            failures = (found.get("status") or GitSourceStatus()).get("failures", 0)
            news = self._planned(found, now, failures=failures + 1 if reason == FETCH_FAILED else 0)
            news["problems"] = bounded([line])
            notes = (Note("Warning", reason, line),)
            try:
                await self._store.transact(
                    lambda view: report(view, name, news, now, notes=notes, epoch=self._epoch)
                )
            except GitwardError as unwritten:  # Nothing can be written, so the status cannot say it either.
                self._say_new(name, (line, f"source {name}: its status cannot be written: {unwritten}"))
        return Outcome(name, "", declared=False, problems=(line,))

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await self._loop.run_in_executor(self._threads, work)

    def _planned(self, found: GitSource, now: datetime, *, failures: int) -> GitSourceStatus:
        """When the timer looks again, as the status tells it."""
        interval = found["spec"].get("intervalSeconds") or self._settings.interval_seconds
        moment = next_look(now, interval, failures)
        if self._timer is not None:
            self._timer.set(found["metadata"].get("name", ""), moment)
        return {"nextLook": micro_timestamp(moment), "failures": failures}

    def _followed(self, name: str, found: GitSource) -> Following:
        grant = grant_of(self._store.view(), found, self._settings.sources, self._settings.networks)
        known = self._following.get(name)
        if known is not None:
            same = known.spec == found["spec"] and known.grant == grant and known.uid == uid(found)
            if same and name not in self._doubted:
                return known
            del self._following[name]
            known.close()
        self._doubted.discard(name)
        following = Following(found, grant, self._tools)
        self._following[name] = following
        return following

    def _say_new(self, name: str, problems: Sequence[str]) -> None:
        """Each problem once, until it is gone and comes back."""
        known = self._told.get(name, frozenset())
        for line in dict.fromkeys(problems):
            if line not in known:
                self._tell(line)
        self._told[name] = frozenset(problems)


def _state(found: GitSource) -> CommitState:
    return (found.get("status") or GitSourceStatus()).get("commit") or CommitState()


def _notes(found: GitSource, look: Look, problems: Sequence[str]) -> Iterator[Note]:
    """How it went, if that is new."""
    state = _state(found)
    if problems and state.get("fetched") != look.commit:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield Note("Warning", HELD_BACK, f"{problems[0]}{more}")
    elif not problems and state.get("declared") != look.commit:
        yield Note("Normal", DECLARED, f"commit {look.commit} is declared")
