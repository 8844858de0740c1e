"""Reading the SQLite file's past: objects as they were, what a watch resumes from, and the commits of a source."""

import sqlite3
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Batch, Change, Position, Revision, Scope, SourceCommit, position
from gitops.store.feed import check_reach, concerns, expired, holds
from gitops.store.sqlite_bodies import SELECTED, Row, Shelf
from gitops.store.sqlite_file import BUSY_SECONDS, FLEETING, meta, moment

SCAN_TRANSACTIONS: Final = 256  # Read from history at once: bounds what one resuming watch holds in memory.


def connect_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection, for history."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def read_then(
    connection: sqlite3.Connection, shelf: Shelf, scope: Scope, at: Revision, newest: Revision
) -> tuple[KubeObject, ...]:
    """What lay in a scope at a revision, in key order. Its cost does not grow with the number of versions.

    Raises: Expired and TooLarge, as `Store.list`.
    """
    connection.execute("BEGIN")  # One snapshot: compaction raises the floor before it deletes.
    try:
        check_reach(at, floor_of(connection, {(scope.group, scope.kind)}), newest)
        begin, end = _range(scope)
        sql = f"""SELECT k.key, {SELECTED} FROM keys k JOIN versions v
                  ON v.id = (SELECT max(id) FROM versions WHERE key_id = k.id AND id <= ?)
                  WHERE k.key >= ? AND k.key < ? AND v.body IS NOT NULL ORDER BY k.key"""  # noqa: S608 # Our columns.
        found = []
        for text, *columns in connection.execute(sql, (position(at), begin, end)):
            key = Key.of_text(text)
            obj = shelf.open(connection, key, Row(*columns))
            if obj is not None and holds(scope, key, obj):
                found.append(obj)
        return tuple(found)
    finally:
        connection.execute("ROLLBACK")


def _range(scope: Scope) -> tuple[str, str]:
    """The texts of the keys in a scope: from one up to another. No part of a key holds a slash; `0` comes after it."""
    kind = f"{scope.group}/{scope.kind}"
    if scope.namespace is None:
        return f"{kind}/", f"{kind}0"
    if scope.name is None:
        return f"{kind}/{scope.namespace}/", f"{kind}/{scope.namespace}0"
    text = f"{kind}/{scope.namespace}/{scope.name}"
    return text, f"{text}\0"


def floor_of(connection: sqlite3.Connection, kinds: AbstractSet[tuple[str, str]]) -> Revision:
    """The oldest revision at which objects of these kinds are still known."""
    fleeting = meta(connection, "fleeting floor") if kinds & FLEETING else 0
    return Revision(max(meta(connection, "floor"), fleeting))


def read_batches(
    connection: sqlite3.Connection, shelf: Shelf, after: Position, upto: Revision, scopes: tuple[Scope, ...]
) -> tuple[Batch, ...]:
    """The next transactions after a position, at most SCAN_TRANSACTIONS; the last batch says how far it went.

    Raises:
        Expired: compaction has passed `after`.
    """
    connection.execute("BEGIN")  # One snapshot: compaction raises the floor before it deletes.
    try:
        kinds = {(scope.group, scope.kind) for scope in scopes}
        floor = floor_of(connection, kinds)
        if after < position(floor):
            raise expired(after, floor)
        sql = "SELECT revision FROM transactions WHERE revision >= ? AND revision <= ? ORDER BY revision LIMIT ?"
        found = connection.execute(sql, (after >> 16, upto, SCAN_TRANSACTIONS)).fetchall()
        last = Revision(found[-1][0]) if len(found) == SCAN_TRANSACTIONS else upto
        batches: dict[int, list[Change]] = {}
        for change in _changes(connection, shelf, (after, position(last)), kinds):
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


def read_revision(connection: sqlite3.Connection, source: str, commit: str) -> Revision | None:
    """The newest revision that declared a commit."""
    sql = "SELECT max(revision) FROM transactions WHERE source = ? AND commit_id = ?"
    (revision,) = connection.execute(sql, (source, commit)).fetchone()
    return None if revision is None else Revision(revision)


def _changes(
    connection: sqlite3.Connection, shelf: Shelf, between: tuple[int, int], kinds: set[tuple[str, str]]
) -> Iterator[Change]:
    """What was written to objects of some kinds in (after, upto], in order."""
    sql = f"""SELECT k.key, t.time, {SELECTED}, p.id, p.dictionary, p.sealed, p.body
             FROM versions v JOIN keys k ON k.id = v.key_id JOIN transactions t ON t.revision = v.id >> 16
             LEFT JOIN versions p ON p.id = v.previous
             WHERE v.id > ? AND v.id <= ? ORDER BY v.id"""  # noqa: S608 # Names of our own columns.
    for text, time, *columns in connection.execute(sql, between):
        key, row, previous = Key.of_text(text), Row(*columns[:4]), Row(*columns[4:])
        if (key.group, key.kind) in kinds:
            before, after = shelf.open(connection, key, previous), shelf.open(connection, key, row)
            yield Change(Position(row.id), key, before, after, moment(time))
