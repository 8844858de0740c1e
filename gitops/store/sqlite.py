"""The store in one SQLite file: the embedded default. This is its loop side: decide, hand over, publish.

A decided transaction lies in the overlay until its fsync; readers and watchers see it only then. If the disk refuses,
all that is in the overlay fails with `Unavailable` and is forgotten: nobody has seen it. If it does not answer at all,
nobody can say what became of what it was given: those who wait are told so, and nothing more is decided until it does.
"""

import asyncio
import logging
import os
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

from gitops.entry import Packed
from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.reconcile import Reader
from gitops.store.ahead import Ahead
from gitops.store.contract import (
    Batch,
    Change,
    Committed,
    Floors,
    Position,
    Revision,
    Scope,
    SourceCommit,
    Txn,
)
from gitops.store.decide import Decision, decide, position_of
from gitops.store.feed import Feed
from gitops.store.sqlite_bodies import Shelf, siblings_of
from gitops.store.sqlite_compact import (
    ALL,
    FLEETING_ONLY,
    Retention,
    drop_dictionaries,
    raise_floor,
    sweep,
    unused_dictionaries,
    wanted_floors,
)
from gitops.store.sqlite_file import Opened, microseconds, open_file
from gitops.store.sqlite_history import connect_reading, read_batches, read_commits, read_revision, read_then
from gitops.store.sqlite_writer import Outcome, Record, Writer, Written
from gitops.view import View

DISK_SECONDS_MAX: Final = (
    10.0  # Longer than any fsync that ends well; shorter than those who wait have patience for.
)
LOOKS: Final = 10  # So often in that time.
SCAN_SECONDS: Final = 3_600.0  # From one search for unused dictionaries to the next: it reads the whole file.

log = logging.getLogger(__name__)

R = TypeVar("R")


class Pending(NamedTuple):
    """A decided transaction on its way to disk, and who waits for it."""

    batch: Batch
    waiting: list[tuple[asyncio.Future[Committed], Committed]]


class SqliteStore:
    """The contract on one file. Made by `open`; belongs to the event loop that opened it."""

    def __init__(
        self,
        opened: Opened,
        path: Path,
        clock: Callable[[], datetime],
        *,
        disk_seconds_max: float = DISK_SECONDS_MAX,
    ) -> None:
        self._path = path
        self._disk_seconds_max = disk_seconds_max
        self._clock = clock
        self._lock = opened.lock
        self._sealer = opened.sealer
        self._epoch = opened.epoch
        self._feed = Feed(opened.view)
        self._revision = opened.view.revision  # The newest decided one.
        self._pending: deque[Pending] = deque()
        self._overlay: dict[Key, Change] = {}  # The newest pending change of a key.
        self._outbox: list[Record] = []  # Decided in this round of the loop.
        self._generation = 0
        self._problem: str | None = None
        self._closed = False
        self._feed.window = Revision(opened.window)
        self._history = Revision(opened.history)
        self._shelf = Shelf(opened.sealer)  # Of the writer's thread.
        self._reading_shelf = Shelf(opened.sealer)
        self._reader: sqlite3.Connection | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._loop = asyncio.get_running_loop()
        self._answered = self._loop.time()  # When the disk last had nothing to do, or had done something.
        self._hangs = False
        self._scan_due = self._loop.time()
        self._look = self._loop.call_later(self._disk_seconds_max / LOOKS, self._look_at_disk)
        self._writer = Writer(
            path,
            opened.connection,
            self._shelf,
            self._revision,
            lambda outcome: self._loop.call_soon_threadsafe(self._told, outcome),
        )

    @classmethod
    async def open(
        cls,
        path: Path,
        key_file: Path,
        clock: Callable[[], datetime],
        *,
        disk_seconds_max: float = DISK_SECONDS_MAX,
    ) -> "SqliteStore":
        """Make or open the store; its key file is made with it. StoreUnusable: see the message.

        `disk_seconds_max`: how long the disk may take for one write before those who wait are told.
        """
        opened = await asyncio.to_thread(open_file, path, key_file)
        return cls(opened, path, clock, disk_seconds_max=disk_seconds_max)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def problem(self) -> str | None:
        """Why the last write was refused; None once one has succeeded again."""
        return self._problem

    async def commit(self, txn: Txn) -> Committed:
        submitted = self._submit(txn)
        return submitted if isinstance(submitted, Committed) else await submitted

    async def transact(self, build: Callable[[Reader], Txn]) -> Committed:
        # No await in between: what it saw is what it is decided on.
        newest: Reader = Ahead(self._feed.view, self._overlay) if self._overlay else self._feed.view
        submitted = self._submit(build(newest))
        return submitted if isinstance(submitted, Committed) else await submitted

    def view(self) -> View:
        return self._feed.view

    def watch(
        self, scopes: tuple[Scope, ...], after: Position, *, bookmark_seconds: float | None = None
    ) -> AsyncGenerator[Batch, None]:
        return self._feed.watch(scopes, after, bookmark_seconds, self._older)

    def subscribe(self, published: Callable[[Batch], None]) -> Callable[[], None]:
        return self._feed.subscribe(published)

    async def commits(self, source: str) -> tuple[SourceCommit, ...]:
        return await self._read(lambda connection: read_commits(connection, source))

    @property
    def floors(self) -> Floors:
        return Floors(self._feed.window, self._history)

    async def list(self, scope: Scope, *, at: Revision) -> tuple[KubeObject, ...]:
        newest = self._feed.view.revision
        return await self._read(lambda reader: read_then(reader, self._reading_shelf, scope, at, newest))

    async def get(self, key: Key, *, at: Revision) -> KubeObject | None:
        found = await self.list(Scope(key.group, key.kind, key.namespace, key.name), at=at)
        return found[0] if found else None

    async def revision_of(self, source: str, commit: str) -> Revision | None:
        return await self._read(lambda reader: read_revision(reader, source, commit))

    async def retain(self, keep: Retention) -> None:
        """Forget what `keep` does not keep. To be called every minute or so: that makes each call short."""
        now, newest = self._clock(), self._feed.view.revision
        wanted = await self._read(lambda reader: wanted_floors(reader, keep, now, newest))
        scans = self._loop.time() >= self._scan_due
        await self.compact(Revision(wanted.history), window=Revision(wanted.window), dictionaries=scans)
        if scans:
            self._scan_due = self._loop.time() + SCAN_SECONDS

    async def compact(
        self, before: Revision, *, window: Revision | None = None, dictionaries: bool = True
    ) -> None:
        """Forget what was replaced or deleted before a revision; of leases and events, before the window. With
        `dictionaries`, which takes a scan of the whole log, those that no version needs any more too.

        Without a window, resource versions reach as far back as history, but for leases and events: they reach as far
        as memory does.
        """
        newest = self._feed.view.revision
        before, fleeting = min(before, newest), min(window or self._feed.floor, newest)
        window = max(before, min(window or before, newest))
        self._feed.window = max(self._feed.window, window)
        self._history = max(self._history, before)
        await self._upkeep(lambda writer: raise_floor(writer, "window", window))
        for lane, floor in ((ALL, before), (FLEETING_ONLY, fleeting)):
            await self._upkeep(partial(raise_floor, name=lane.floor, revision=floor))
            while await self._upkeep(partial(sweep, lane=lane)):
                pass
        unused = await self._read(unused_dictionaries) if dictionaries else None
        if unused is not None and unused.numbers:
            await self._upkeep(lambda writer: self._shelf.retire(drop_dictionaries(writer, unused)))

    async def close(self) -> None:
        """Write what is on its way, then end every watch and let go of the file."""
        if self._closed:
            return
        self._closed = True
        self._post()
        stopped = await asyncio.to_thread(self._writer.stop, timeout_seconds=self._disk_seconds_max)
        self._look.cancel()
        self._feed.close()
        if not stopped:  # The threads and the lock end with the process.
            log.error(self._hanging())
            self._fail_all(self._hanging())
            return
        await asyncio.to_thread(self._reading.shutdown)
        if self._reader:
            self._reader.close()
        os.close(self._lock)

    # Deciding.

    def _submit(self, txn: Txn) -> Committed | asyncio.Future[Committed]:
        if self._closed:
            raise Unavailable("the store is closed")
        if self._hangs:
            raise Unavailable(f"{self._problem}: nothing was written")
        now = self._clock()
        decision = decide(txn, self._head, revision=self._revision, epoch=self._epoch, now=now)
        if decision.recorded:
            self._hand_over(txn, decision, now)
        if not self._pending:
            return decision.committed
        # An equal put, too, waits for what it is equal to.
        future: asyncio.Future[Committed] = self._loop.create_future()
        self._pending[-1].waiting.append((future, decision.committed))
        return future

    def _head(self, key: Key) -> KubeObject | None:
        ahead = self._overlay.get(key)
        return ahead.after if ahead else self._feed.view.object(key)

    def _hand_over(self, txn: Txn, decision: Decision, now: datetime) -> None:
        revision, changes = decision.committed.revision, decision.changes
        rows = []
        # Encoded before anything is decided: what is no JSON must not fail its neighbours.
        for at, key, before, after, _ in changes:
            body, sealed = self._sealer.encode(key, after) if after else (None, False)
            siblings = siblings_of(key, after) if after else ""
            rows.append(Written(key.text, at, position_of(before), siblings, sealed, body))
        source, commit = (txn.source.source, txn.source.commit) if txn.source else (None, None)
        record = Record(
            revision, microseconds(now), txn.actor, txn.cause, source, commit, tuple(rows),
            patience_seconds=txn.patience_ms / 1000, generation=self._generation,
        )  # fmt: skip
        if not self._pending:
            self._answered = self._loop.time()
        self._revision = revision
        self._pending.append(Pending(Batch(revision, changes), []))
        for change in changes:
            self._overlay[change.key] = change
        # What is decided in one round of the loop shares an fsync: the writer must not run off with the first alone.
        if not self._outbox:
            self._loop.call_soon(self._post)
        self._outbox.append(record)

    def _post(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox:
            self._writer.put(outbox)

    # Publishing.

    def _told(self, outcome: Outcome) -> None:
        self._answered, self._hangs = self._loop.time(), False
        if outcome.refused is None:
            self._problem = None
            for packed in outcome.packed:
                self._publish(self._pending.popleft(), packed)
        elif outcome.generation == self._generation:
            self._generation += 1
            self._fail_all(outcome.refused)

    def _publish(self, pending: Pending, packed: tuple[Packed | None, ...]) -> None:
        self._feed.publish(pending.batch, packed)
        for change in pending.batch.changes:
            if self._overlay[change.key].position == change.position:
                del self._overlay[change.key]
        for future, committed in pending.waiting:
            if not future.done():
                future.set_result(committed)

    def _fail_all(self, refused: Unavailable) -> None:
        """The disk refused: forget all that was decided since the last durable revision."""
        self._problem = str(refused)
        failed, self._pending = self._pending, deque()
        self._overlay.clear()
        self._revision = self._feed.view.revision
        for pending in failed:
            for future, _ in pending.waiting:
                if not future.done():
                    future.set_exception(Unavailable(str(refused)))

    def _look_at_disk(self) -> None:
        """Now and then: whether it still answers. A call that hangs cannot be ended, but nobody has to wait for it."""
        self._look = self._loop.call_later(self._disk_seconds_max / LOOKS, self._look_at_disk)
        if not self._pending or self._hangs or self._loop.time() - self._answered < self._disk_seconds_max:
            return
        self._hangs, self._problem = True, str(self._hanging())
        log.error(self._hanging())
        for pending in self._pending:
            for future, _ in pending.waiting:
                if not future.done():
                    future.set_exception(
                        Unavailable(f"{self._problem}: whether this was written is not known")
                    )
            pending.waiting.clear()

    def _hanging(self) -> Unavailable:
        return Unavailable(
            f"{self._path}: the disk has not answered for {self._disk_seconds_max:g} s, see `dmesg`"
        )

    # History.

    async def _older(self, after: Position, scopes: tuple[Scope, ...]) -> tuple[Batch, ...]:
        upto = self._feed.view.revision
        return await self._read(lambda reader: read_batches(reader, self._reading_shelf, after, upto, scopes))

    async def _read(self, ask: Callable[[sqlite3.Connection], R]) -> R:
        def on_thread() -> R:
            if self._reader is None:
                self._reader = connect_reading(self._path)
            try:
                return ask(self._reader)
            except sqlite3.Error as error:
                raise Unavailable(f"{self._path}: history cannot be read: {error}") from error

        if self._closed:
            raise Unavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, on_thread)

    async def _upkeep(self, run: Callable[[sqlite3.Connection], R]) -> R:
        if self._closed:
            raise Unavailable("the store is closed")
        return cast("R", await asyncio.wrap_future(self._writer.ask(run)))
