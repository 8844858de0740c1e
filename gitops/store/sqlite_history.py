"""Reading the SQLite file's past: what a watch resumes from, and the commits of a source."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Expired
from gitops.kinds.keys import Key
from gitops.store.contract import Batch, Change, Position, Revision, Scope, SourceCommit, position
from gitops.store.feed import concerns
from gitops.store.seal import Sealer
from gitops.store.sqlite_file import BUSY_SECONDS, FLEETING, meta, moment, stamped

SCAN_TRANSACTIONS: Final = 256  # Read from history at once: bounds what one resuming watch holds in memory.


def connect_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection, for history."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def read_batches(
    connection: sqlite3.Connection, sealer: Sealer, after: Position, upto: Revision, scopes: tuple[Scope, ...]
) -> tuple[Batch, ...]:
    """The next transactions after a position, at most SCAN_TRANSACTIONS; the last batch says how far it went.

    Raises:
        Expired: compaction has passed `after`.
    """
    connection.execute("BEGIN")  # One snapshot: compaction raises the floor before it deletes.
    try:
        kinds = {(scope.group, scope.kind) for scope in scopes}
        floor = max(meta(connection, "floor"), meta(connection, "fleeting floor") if kinds & FLEETING else 0)
        if after < position(floor):
            raise Expired(
                f"resource version {after} is too old, history begins after {position(floor)}: list again"
            )
        sql = "SELECT revision FROM transactions WHERE revision >= ? AND revision <= ? ORDER BY revision LIMIT ?"
        found = connection.execute(sql, (after >> 16, upto, SCAN_TRANSACTIONS)).fetchall()
        last = Revision(found[-1][0]) if len(found) == SCAN_TRANSACTIONS else upto
        batches: dict[int, list[Change]] = {}
        for change in _changes(connection, sealer, (after, position(last)), kinds):
            if concerns(scopes, change):
                batches.setdefault(change.position >> 16, []).append(change)
        batches.setdefault(last, [])
        return tuple(Batch(Revision(revision), tuple(changes)) for revision, changes in batches.items())
    finally:
        connection.execute("ROLLBACK")


def read_commits(connection: sqlite3.Connection, source: str) -> tuple[SourceCommit, ...]:
    """A source's commits, newest first; one that was declared twice counts from the last time."""
    sql = """SELECT commit_id, max(revision), time FROM transactions WHERE source = ?
             GROUP BY commit_id ORDER BY max(revision) DESC"""
    rows = connection.execute(sql, (source,))
    return tuple(SourceCommit(source, commit, revision, moment(time)) for commit, revision, time in rows)


def _changes(
    connection: sqlite3.Connection, sealer: Sealer, between: tuple[int, int], kinds: set[tuple[str, str]]
) -> Iterator[Change]:
    """What was written to objects of some kinds in (after, upto], in order."""
    sql = """SELECT v.id, k.key, v.sealed, v.body, t.time, p.id, p.sealed, p.body
             FROM versions v JOIN keys k ON k.id = v.key_id JOIN transactions t ON t.revision = v.id >> 16
             LEFT JOIN versions p ON p.id = v.previous
             WHERE v.id > ? AND v.id <= ? ORDER BY v.id"""
    for at, text, sealed, body, time, before_at, before_sealed, before_body in connection.execute(
        sql, between
    ):
        key = Key.of_text(text)
        if (key.group, key.kind) in kinds:
            before = stamped(sealer, key, before_body, before_sealed, before_at) if before_body else None
            after = stamped(sealer, key, body, sealed, at) if body else None
            yield Change(Position(at), key, before, after, moment(time))
