"""The store in one SQLite file: the embedded default. This is its loop side: decide, hand over, publish.

A decided transaction lies in the overlay until its fsync; readers and watchers see it only then. If the disk refuses,
all that is in the overlay fails with `Unavailable` and is forgotten: nobody has seen it.
"""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast

from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.reconcile import Reader
from gitops.store.contract import Batch, Change, Committed, Position, Revision, Scope, SourceCommit, Txn
from gitops.store.decide import Decision, decide, position_of
from gitops.store.feed import Feed
from gitops.store.sqlite_compact import ALL, FLEETING_ONLY, Lane, raise_floor, sweep
from gitops.store.sqlite_file import Opened, microseconds, open_file
from gitops.store.sqlite_history import connect_reading, read_batches, read_commits
from gitops.store.sqlite_writer import Outcome, Record, Writer
from gitops.view import View

R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A decided transaction on its way to disk, and who waits for it."""

    batch: Batch
    waiting: list[tuple[asyncio.Future[Committed], Committed]] = field(default_factory=list)


class SqliteStore:
    """The contract on one file. Made by `open`; belongs to the event loop that opened it."""

    def __init__(self, opened: Opened, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._lock = opened.lock
        self._sealer = opened.sealer
        self._epoch = opened.epoch
        self._feed = Feed(opened.view)
        self._revision = opened.view.revision  # The newest decided one.
        self._pending: deque[Pending] = deque()
        self._overlay: dict[Key, Change] = {}  # The newest pending change of a key.
        self._decided: View | None = None  # The view with all that is pending; kept once it was needed.
        self._generation = 0
        self._problem: str | None = None
        self._closed = False
        self._reader: sqlite3.Connection | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        loop = asyncio.get_running_loop()
        self._writer = Writer(
            path,
            opened.connection,
            self._revision,
            lambda outcome: loop.call_soon_threadsafe(self._told, outcome),
        )

    @classmethod
    async def open(cls, path: Path, key_file: Path, clock: Callable[[], datetime]) -> "SqliteStore":
        """Make or open the store; its key file is made with it. StoreUnusable: see the message."""
        return cls(await asyncio.to_thread(open_file, path, key_file), path, clock)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def problem(self) -> str | None:
        """Why the last write was refused; None once one has succeeded again."""
        return self._problem

    async def commit(self, txn: Txn) -> Committed:
        return await self._submit(txn)

    async def transact(self, build: Callable[[Reader], Txn]) -> Committed:
        return await self._submit(
            build(self._newest())
        )  # No await in between: what it saw is what it is decided on.

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

    async def compact(self, before: Revision) -> None:
        """Forget what was replaced or deleted up to a revision; of leases and events, all that memory does not hold."""
        await self._prune(ALL, min(before, self.view().revision))
        await self._prune(FLEETING_ONLY, self._feed.floor)

    async def close(self) -> None:
        """Write what is on its way, then end every watch and let go of the file."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._writer.stop)
        self._feed.close()
        await asyncio.to_thread(self._reading.shutdown)
        if self._reader:
            self._reader.close()
        os.close(self._lock)

    # Deciding.

    async def _submit(self, txn: Txn) -> Committed:
        if self._closed:
            raise Unavailable("the store is closed")
        now = self._clock()
        decision = decide(txn, self._head, revision=self._revision, epoch=self._epoch, now=now)
        if decision.recorded:
            self._hand_over(txn, decision, now)
        if not self._pending:
            return decision.committed
        # An equal put, too, waits for what it is equal to.
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._pending[-1].waiting.append((future, decision.committed))
        return await future

    def _head(self, key: Key) -> KubeObject | None:
        ahead = self._overlay.get(key)
        return ahead.after if ahead else self._feed.view.object(key)

    def _newest(self) -> View:
        if self._pending and self._decided is None:
            self._decided = self._feed.view.fork()
            for pending in self._pending:
                for change in pending.batch.changes:
                    self._decided.apply(change)
        return self._decided or self._feed.view

    def _hand_over(self, txn: Txn, decision: Decision, now: datetime) -> None:
        revision, changes = decision.committed.revision, decision.changes
        rows = []
        for (
            change
        ) in changes:  # Encoded before anything is decided: what is no JSON must not fail its neighbours.
            body, sealed = self._sealer.encode(change.key, change.after) if change.after else (None, False)
            rows.append((change.key.text, change.position, position_of(change.before), int(sealed), body))
        source, commit = (txn.source.source, txn.source.commit) if txn.source else (None, None)
        record = Record(
            revision, microseconds(now), txn.actor, txn.cause, source, commit, tuple(rows),
            patience_seconds=txn.patience_ms / 1000, generation=self._generation,
        )  # fmt: skip
        self._revision = revision
        self._pending.append(Pending(Batch(revision, changes)))
        for change in changes:
            self._overlay[change.key] = change
            if self._decided:
                self._decided.apply(change)
        self._writer.put(record)

    # Publishing.

    def _told(self, outcome: Outcome) -> None:
        if outcome.refused is None:
            self._problem = None
            while self._pending and self._pending[0].batch.revision <= outcome.revision:
                self._publish(self._pending.popleft())
        elif outcome.generation == self._generation:
            self._generation += 1
            self._fail_all(outcome.refused)

    def _publish(self, pending: Pending) -> None:
        self._feed.publish(pending.batch)
        if self._decided:
            self._decided.advance(pending.batch.revision)
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
        self._decided = None
        self._revision = self._feed.view.revision
        for pending in failed:
            for future, _ in pending.waiting:
                if not future.done():
                    future.set_exception(Unavailable(str(refused)))

    # History.

    async def _older(self, after: Position, scopes: tuple[Scope, ...]) -> tuple[Batch, ...]:
        upto = self._feed.view.revision
        return await self._read(
            lambda connection: read_batches(connection, self._sealer, after, upto, scopes)
        )

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

    async def _prune(self, lane: Lane, floor: int) -> None:
        await self._upkeep(lambda connection: raise_floor(connection, lane, floor))
        while await self._upkeep(lambda connection: sweep(connection, lane)):
            pass

    async def _upkeep(self, run: Callable[[sqlite3.Connection], R]) -> R:
        if self._closed:
            raise Unavailable("the store is closed")
        return cast("R", await asyncio.wrap_future(self._writer.ask(run)))
