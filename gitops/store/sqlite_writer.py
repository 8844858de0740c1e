"""The one thread that writes the SQLite file. Many transactions share an fsync; nothing is read but after a failure.

What crosses into it are frozen `Record`s in the order of their revisions; what comes back is one `Outcome` for each
group. A refused group takes with it all that was decided behind it, by generation: the loop begins a new one when it
hears of the refusal, and with its first record the thread reopens the file and tries again.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

from gitops.entry import Packed
from gitops.kinds.errors import Unavailable
from gitops.store.sqlite_bodies import Shelf, dictionary_of
from gitops.store.sqlite_file import connect, last_revision, said

GROUP_ROWS_MAX: Final = 256  # Rows that share one fsync; one large transaction may have more.

log = logging.getLogger(__name__)


class Written(NamedTuple):
    """One version on its way to disk. `previous` 0: none before it. `body` None: a deletion."""

    key: str
    id: int
    previous: int
    siblings: str  # Whose dictionary packs it.
    sealed: bool
    body: bytes | None


class Record(NamedTuple):
    """One decided transaction as it goes to disk."""

    revision: int
    time: int
    actor: str
    cause: str
    source: str | None
    commit: str | None
    versions: tuple[Written, ...]
    patience_seconds: float
    generation: int


class Outcome(NamedTuple):
    """`refused` None: all up to `revision` is durable. Else: the whole generation failed, for this reason.

    Attributes:
        packed: for each transaction of the group the bodies of its versions, as they are stored.
    """

    revision: int
    generation: int
    refused: Unavailable | None
    packed: tuple[tuple[Packed | None, ...], ...] = ()


class Errand(NamedTuple):
    """A piece of upkeep, run in a transaction of its own between two groups."""

    run: Callable[[sqlite3.Connection], Any]  # Any: what it returns is between it and its future.
    future: "Future[Any]"


class Writer:
    """Owns the writing connection and the thread. `told` is called on the thread with every outcome, in order."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        shelf: Shelf,
        revision: int,
        told: Callable[[Outcome], object],
    ) -> None:
        self._path = path
        self._shelf = shelf
        self._connection: sqlite3.Connection | None = connection
        self._durable = revision
        self._refused_generation = -1
        self._told = told
        # What was decided in one round of the loop comes as a whole: each hand-over is a wait for the interpreter.
        self._queue: SimpleQueue[Sequence[Record | Errand | None]] = SimpleQueue()
        self._left: deque[Record | Errand | None] = (
            deque()
        )  # Taken from the queue, but not of the last group.
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, records: Sequence[Record]) -> None:
        self._queue.put(records)

    def ask(self, run: Callable[[sqlite3.Connection], Any]) -> "Future[Any]":
        """Have an errand run between two groups."""
        errand = Errand(run, Future())
        self._queue.put((errand,))
        return errand.future

    def stop(self, *, timeout_seconds: float) -> bool:
        """Write what waits and close the file. Returns whether that was done in time."""
        self._queue.put((None,))
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            if isinstance(item, Errand):
                self._do(item)
                continue
            group = [record for record in self._group(item) if record.generation > self._refused_generation]
            if group:
                self._write(group)
        if self._connection:
            self._connection.close()

    def _next(self) -> Record | Errand | None:
        while not self._left:
            self._left.extend(self._queue.get())
        return self._left.popleft()

    def _group(self, first: Record) -> list[Record]:
        """What waits behind `first`, up to the bound; while all in it are patient, a little longer."""
        group, rows = [first], len(first.versions)
        until = time.monotonic() + first.patience_seconds if first.patience_seconds else 0.0
        while rows < GROUP_ROWS_MAX and (self._left or self._waited(until)):
            item = self._left[0]
            if not isinstance(item, Record):
                break
            self._left.popleft()
            group.append(item)
            rows += len(item.versions)
            patient = until and item.patience_seconds
            until = min(until, time.monotonic() + item.patience_seconds) if patient else 0.0
        return group

    def _waited(self, until: float) -> bool:
        """Take in what waits, or comes until then. Whether something did."""
        wait = until - time.monotonic() if until else 0.0
        try:
            self._left.extend(self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait())
        except Empty:
            return False
        return bool(self._left)

    def _write(self, group: list[Record]) -> None:
        generation = group[-1].generation
        try:
            connection = self._begun()
            packed = tuple(tuple(self._pack(connection, row) for row in record.versions) for record in group)
            _insert(connection, group, packed)
            connection.execute("COMMIT")
        except Exception as error:  # The top of a loop: whatever went wrong, the waiting must hear of it.
            refused = _refusal(self._path, error)
            ours = not isinstance(
                error, sqlite3.Error | OSError | Unavailable
            )  # A bug: where it is must be told.
            log.error("a write was refused", exc_info=ours, extra={"fields": {"error": str(refused)}})
            self._drop()
            self._refused_generation = generation
            self._told(Outcome(self._durable, generation, refused))
            return
        self._durable = group[-1].revision
        self._told(Outcome(self._durable, generation, None, packed))

    def _pack(self, connection: sqlite3.Connection, row: Written) -> Packed | None:
        if row.body is None:
            return None
        return self._shelf.pack(connection, row.siblings, row.body, sealed=row.sealed)

    def _do(self, errand: Errand) -> None:
        if not errand.future.set_running_or_notify_cancel():
            return
        try:
            connection = self._begun()
            result = errand.run(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 # The top of a loop; its future tells.
            self._drop()
            errand.future.set_exception(_refusal(self._path, error))
            return
        errand.future.set_result(result)

    def _begun(self) -> sqlite3.Connection:
        """The connection inside a transaction. After a failure it is a new one: a failed fsync is never repeated on
        the same one. What was reported as failed but reached the disk is taken back then."""
        reopened = self._connection is None
        if self._connection is None:
            self._connection = connect(self._path)
            _begin_log(self._connection)
        self._connection.execute("BEGIN IMMEDIATE")
        if reopened:
            found = last_revision(self._connection)
            if found < self._durable:
                raise Unavailable(f"revision {self._durable} was durable, but the file ends at {found}")
            self._connection.execute("DELETE FROM versions WHERE id > ?", (self._durable << 16 | 0xFFFF,))
            self._connection.execute("DELETE FROM transactions WHERE revision > ?", (self._durable,))
        return self._connection

    def _drop(self) -> None:
        self._shelf.forget()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()  # Rolls back what is open.
        except sqlite3.Error:
            log.warning("the refused connection did not close", exc_info=True)


def _begin_log(connection: sqlite3.Connection) -> None:
    """Move what the log holds into the file, and begin an empty log.

    After a failed fsync the kernel takes pages for written that are not: whatever followed them in the log would be
    lost with them. To move them is to write them again.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("the log of the last failure is still being read")


def _insert(
    connection: sqlite3.Connection, group: list[Record], packed: tuple[tuple[Packed | None, ...], ...]
) -> None:
    connection.executemany(
        "INSERT INTO transactions VALUES(?, ?, ?, ?, ?, ?)",
        [(r.revision, r.time, r.actor, r.cause, r.source, r.commit) for r in group],
    )
    new = [(row.key,) for record in group for row in record.versions if not row.previous]
    connection.executemany("INSERT OR IGNORE INTO keys(key) VALUES(?)", new)
    connection.executemany(
        """INSERT INTO versions(id, key_id, previous, dictionary, sealed, body)
           VALUES(?2, (SELECT id FROM keys WHERE key = ?1), ?3, ?4, ?5, ?6)""",
        [
            (row.key, row.id, row.previous, body and dictionary_of(body), row.sealed, body and body.body)
            for record, bodies in zip(group, packed, strict=True)
            for row, body in zip(record.versions, bodies, strict=True)
        ],
    )


def _refusal(path: Path, error: Exception) -> Unavailable:
    refused = Unavailable(said(path, error))
    refused.__cause__ = error
    return refused
