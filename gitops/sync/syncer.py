"""Looks at sources: fetch, read, check, declare. A timer, a webhook or a person only hints that now is a good time."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from gitops.kinds.errors import BadRequest, GitwardError, NotFound
from gitops.kinds.gitward import GIT_SOURCE, GitSource, GitSourceStatus, declared_key
from gitops.store.contract import Store
from gitops.sync.compile import Compiled
from gitops.sync.declare import Look, declare, report
from gitops.sync.gather import Gatherer
from gitops.sync.git import Access
from gitops.sync.render.renderer import Renderer
from gitops.sync.secrets.key_files import KeyFiles
from gitops.sync.source import Mirror, Source
from gitops.sync.zygote import Parser

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """What the operator decided. The files are read at every look, so a new key needs no restart.

    `age_key_file` None: age.key in the data directory, if it is there. The others None: what the user's own ssh
    configuration and git's credential helpers say. `render_bin_dir` None: kubectl and helm are in `bin` of the data
    directory or on PATH.
    """

    age_key_file: Path | None = None
    ssh_key_file: Path | None = None
    known_hosts: Path | None = None
    git_credentials_file: Path | None = None
    render_bin_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a look ended. `declared`: the commit's objects are stated; else `problems` say why not."""

    source: str
    commit: str
    declared: bool
    problems: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(slots=True)
class _Turns:
    """The looks of one source: one in flight, one waiting for everyone who asked meanwhile."""

    running: asyncio.Task[Outcome]
    waiting: asyncio.Task[Outcome] | None = None


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
        self._store, self._data_dir, self._settings = store, data_dir, settings
        self._renderer = Renderer(parser, data_dir, settings.render_bin_dir)
        self._gatherer = Gatherer(parser, self._renderer)
        self._keys = KeyFiles(data_dir, settings.age_key_file)
        self._clock, self._epoch, self._tell = clock, epoch, tell
        self._loop = asyncio.get_running_loop()
        self._turns: dict[str, _Turns] = {}
        self._mirrors: dict[str, Mirror] = {}
        self._done: dict[
            str, tuple[Source, str]
        ] = {}  # What was declared last, so that nothing new is nothing to do.
        self._told: dict[str, frozenset[str]] = {}

    async def look(self, name: str, reason: str) -> Outcome:
        """Look at a source, or join the look that is about to. NotFound: no such source."""
        if self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name)) is None:
            raise NotFound(f"no source {name!r} is followed")
        return await asyncio.shield(self._turn(name, reason))

    async def look_now(self, name: str) -> None:
        """As `look`, for those who read the outcome in the source's status."""
        await self.look(name, "asked")

    def hint(self, name: str) -> None:
        """Look soon; from any thread, never blocks. An unknown name is nothing."""
        self._loop.call_soon_threadsafe(self._hinted, name)

    async def close(self) -> None:
        """End what runs. A fetch that is in a thread ends by its own limits."""
        tasks = [
            task
            for turns in self._turns.values()
            for task in (turns.running, turns.waiting)
            if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._turns.clear()
        for mirror in self._mirrors.values():
            mirror.close()
        self._mirrors.clear()
        await asyncio.to_thread(self._renderer.close)

    def _hinted(self, name: str) -> None:
        if self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name)) is not None:
            self._turn(name, "hint")

    def _turn(self, name: str, reason: str) -> asyncio.Task[Outcome]:
        turns = self._turns.get(name)
        if turns is None or (turns.running.done() and turns.waiting is None):
            task = asyncio.create_task(self._guarded(name, reason), name=f"look at {name}")
            self._turns[name] = _Turns(task)
            return task
        if turns.waiting is None:
            turns.waiting = asyncio.create_task(self._after(turns, name, reason), name=f"next look at {name}")
        return turns.waiting

    async def _after(self, turns: _Turns, name: str, reason: str) -> Outcome:
        await asyncio.wait([turns.running])
        task = turns.waiting
        assert task is not None, "this is the waiting task"
        turns.running, turns.waiting = task, None
        return await self._guarded(name, reason)

    async def _guarded(self, name: str, reason: str) -> Outcome:
        try:
            return await self._look(name, reason)
        except GitwardError as error:
            return await self._failed(name, (str(error),))
        except Exception as error:  # The top of the loop: one source's bug must not stop the others.
            log.exception("look failed", extra={"fields": {"source": name, "reason": reason}})
            return await self._failed(name, (f"source {name}: internal error: {type(error).__name__}",))

    async def _look(self, name: str, reason: str) -> Outcome:
        view = self._store.view()
        found = view.get(GIT_SOURCE, GIT_SOURCE.key("", name))
        if found is None:
            raise NotFound(f"no source {name!r} is followed")
        if view.object(declared_key(GIT_SOURCE.key("", name))) is not None:
            raise BadRequest(f"source {name}: sources that an object in git declares are not followed yet")
        source = _source_of(found)
        mirror = self._mirror(source)
        commit = await asyncio.to_thread(mirror.fetch)
        status = found.get("status") or GitSourceStatus()
        if self._done.get(name) == (source, commit) and not status.get("held"):
            await self._write_report(name, (), commit)
            self._say_new(name, ())
            return Outcome(name, commit, declared=True)
        live = status.get("commit", {}).get("live")
        compiled, trailers = await asyncio.to_thread(self._gathered, mirror, commit, live)
        if compiled.problems:
            return await self._failed(name, compiled.problems, commit, compiled.warnings)
        look = Look(name, commit, compiled, trailers)
        committed = await self._store.transact(
            lambda reader: declare(reader, look, self._clock(), epoch=self._epoch)
        )
        self._done[name] = (source, commit)
        self._say_new(name, ())
        told = self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
        held = tuple(((told or found).get("status") or GitSourceStatus()).get("held", ()))
        facts = {"source": name, "commit": commit, "revision": committed.revision, "cause": reason}
        log.info("commit declared", extra={"fields": facts})
        return Outcome(name, commit, declared=True, held=held)

    def _gathered(self, mirror: Mirror, commit: str, live: str | None) -> tuple[Compiled, tuple[str, ...]]:
        allowed = mirror.source.allow_mac_only_encrypted
        keyring = self._keys.keyring()
        opener = partial(keyring.open, allow_mac_only_encrypted=allowed)
        compiled = self._gatherer.gather(
            mirror, commit, opener, partial(keyring.verified_key, allow_mac_only_encrypted=allowed)
        )
        commits = mirror.commits_since(live, commit)
        return compiled, tuple(value for one in commits for value in one.allow_prune)

    def _mirror(self, source: Source) -> Mirror:
        mirror = self._mirrors.get(source.name)
        if mirror is None or mirror.source != source:
            if mirror is not None:
                mirror.close()
            access = Access(
                self._settings.ssh_key_file, self._settings.known_hosts, self._settings.git_credentials_file
            )
            mirror = Mirror(self._data_dir / "sources", source, access)
            self._mirrors[source.name] = mirror
        return mirror

    async def _failed(
        self, name: str, problems: Sequence[str], commit: str = "", warnings: Sequence[str] | None = None
    ) -> Outcome:
        self._done.pop(name, None)
        self._say_new(name, problems)
        try:
            await self._write_report(name, problems, commit, warnings)
        except GitwardError as error:  # Nothing can be written, so the status cannot say it either.
            self._say_new(name, (*problems, f"source {name}: its status cannot be written: {error}"))
        return Outcome(name, commit, declared=False, problems=tuple(problems))

    async def _write_report(
        self, name: str, problems: Sequence[str], commit: str, warnings: Sequence[str] | None = None
    ) -> None:
        await self._store.transact(
            lambda view: report(
                view,
                name,
                problems,
                self._clock(),
                fetched=commit or None,
                warnings=warnings,
                epoch=self._epoch,
            )
        )

    def _say_new(self, name: str, problems: Sequence[str]) -> None:
        """Each problem once, until it is gone and comes back."""
        known = self._told.get(name, frozenset())
        for line in dict.fromkeys(problems):
            if line not in known:
                self._tell(line)
        self._told[name] = frozenset(problems)


def _source_of(found: GitSource) -> Source:
    spec = found["spec"]
    name = found["metadata"].get("name", "")
    allowed = spec.get("allowMacOnlyEncrypted", False)
    return Source(name, spec["url"], spec.get("branch"), spec.get("path", ""), allowed)
