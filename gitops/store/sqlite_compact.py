"""Forgetting old versions of the SQLite file, in slices, between which commits pass.

First a floor is raised, so that nobody reads what is about to go; then the log is walked from where the last walk ended
(`swept`) up to the floor: what a version replaced goes, and so does a tombstone. After a crash in between the walk is
resumed. Each lane has a floor of its own: Lease and Event keep only what a resource version may still ask for.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from gitops.store.sqlite_file import FLEETING, meta, microseconds, set_meta

SLICE_ROWS: Final = 1_000  # Walked in one transaction: commits wait that long.
BYTES_STEP: Final = 10  # A file that is too large gives up one part in so many of its history at each look.


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what was replaced or deleted can still be asked for. Whatever limit is reached first counts.

    Attributes:
        window_seconds: for resource versions of watches, continue tokens and exact lists: as kube-apiserver's.
        history_seconds: for reads in the past (`--at`).
        history_revisions_max: transactions in that past.
        history_bytes_max: of the file, what the present takes included.
    """

    window_seconds: float = 300.0
    history_seconds: float = 7 * 86_400.0
    history_revisions_max: int = 1_000_000
    history_bytes_max: int = 1 << 30


class Lane(NamedTuple):
    """Which keys are pruned up to which floor."""

    floor: str
    swept: str
    keys: str  # A condition on `k.key`.


def _fleeting() -> str:
    return " OR ".join(f"k.key GLOB '{group}/{kind}/*'" for group, kind in sorted(FLEETING))


ALL: Final = Lane("floor", "swept", "1")
FLEETING_ONLY: Final = Lane("fleeting floor", "fleeting swept", _fleeting())


class Wanted(NamedTuple):
    """Where the floors of a file belong; they never fall."""

    window: int
    history: int


def wanted_floors(connection: sqlite3.Connection, keep: Retention, now: datetime, newest: int) -> Wanted:
    """What a retention says of a file at a time."""
    window = _first_within(connection, meta(connection, "window"), now, keep.window_seconds, newest)
    floor = meta(connection, ALL.floor)
    history = max(
        _first_within(connection, floor, now, keep.history_seconds, newest),
        _last_beyond(connection, floor, keep.history_revisions_max, newest),
    )
    if history == floor and _used_bytes(connection) > keep.history_bytes_max:
        history = _part_way(connection, floor, newest)
    return Wanted(window, min(history, window))


def _first_within(
    connection: sqlite3.Connection, floor: int, now: datetime, seconds: float, newest: int
) -> int:
    """The last revision that is older than so many seconds. The log is walked from the floor: it is near."""
    since = microseconds(now - timedelta(seconds=seconds))
    sql = "SELECT revision FROM transactions WHERE revision > ? AND time > ? ORDER BY revision LIMIT 1"
    younger = connection.execute(sql, (floor, since)).fetchone()
    return max(floor, younger[0] - 1 if younger else newest)


def _last_beyond(connection: sqlite3.Connection, floor: int, transactions_max: int, newest: int) -> int:
    """The last revision that is older than the newest so many transactions. Rows are counted: a restored file leaps
    over revisions, and those of leases are soon forgotten."""
    if newest - floor <= transactions_max:
        return floor
    sql = "SELECT revision FROM transactions WHERE revision > ? ORDER BY revision DESC LIMIT 1 OFFSET ?"
    found = connection.execute(sql, (floor, transactions_max)).fetchone()
    return int(found[0]) if found else floor


def _part_way(connection: sqlite3.Connection, floor: int, newest: int) -> int:
    """The revision below which lies one part in BYTES_STEP of the transactions of the past."""
    (count,) = connection.execute("SELECT count(*) FROM transactions WHERE revision > ?", (floor,)).fetchone()
    sql = "SELECT revision FROM transactions WHERE revision > ? ORDER BY revision LIMIT 1 OFFSET ?"
    found = connection.execute(sql, (floor, max(count // BYTES_STEP, 1) - 1)).fetchone()
    return int(found[0]) if found else newest


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def raise_floor(connection: sqlite3.Connection, name: str, revision: int) -> None:
    """From now on nothing below `revision` can be asked for; a floor never falls."""
    set_meta(connection, name, max(meta(connection, name), revision))


def sweep(connection: sqlite3.Connection, lane: Lane) -> bool:
    """Prune one slice; returns whether more is left."""
    start, floor = meta(connection, lane.swept) << 16 | 0xFFFF, meta(connection, lane.floor) << 16 | 0xFFFF
    sql = "SELECT id FROM versions WHERE id > ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?"
    full = connection.execute(sql, (start, floor, SLICE_ROWS)).fetchone()
    # Whole transactions: the walk is remembered by revision. One alone may be larger than a slice.
    end = full[0] | 0xFFFF if full else floor
    sql = f"""SELECT v.id, v.key_id, v.previous, v.body IS NULL FROM versions v JOIN keys k ON k.id = v.key_id
              WHERE v.id > ? AND v.id <= ? AND ({lane.keys})"""  # noqa: S608 # The condition is a constant of ours.
    walked = connection.execute(sql, (start, end)).fetchall()
    deleted = {at: key for at, key, _, deleted in walked if deleted}
    gone = {previous for _, _, previous, _ in walked if previous} | deleted.keys()
    connection.executemany("DELETE FROM versions WHERE id = ?", [(at,) for at in sorted(gone)])
    connection.executemany(
        "DELETE FROM keys WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM versions WHERE key_id = ?1)",
        [(key,) for key in sorted(set(deleted.values()))],
    )
    _forget_transactions(connection, {at >> 16 for at in gone})
    set_meta(connection, lane.swept, end >> 16)
    return full is not None


def _forget_transactions(connection: sqlite3.Connection, revisions: set[int]) -> None:
    """Those of which no version is left. A source's commits stay known."""
    connection.executemany(
        """DELETE FROM transactions WHERE revision = ?1 AND source IS NULL
           AND NOT EXISTS (SELECT 1 FROM versions WHERE id BETWEEN ?1 << 16 AND (?1 << 16) + 65535)""",
        [(revision,) for revision in sorted(revisions)],
    )


class Unused(NamedTuple):
    """Dictionaries that no version up to `upto` needs."""

    numbers: frozenset[int]
    upto: int


def unused_dictionaries(connection: sqlite3.Connection) -> Unused:
    """A scan of the whole log: for a reading connection, so that commits need not wait for it."""
    connection.execute("BEGIN")
    try:
        (upto,) = connection.execute("SELECT ifnull(max(id), 0) FROM versions").fetchone()
        sql = """SELECT id FROM dictionaries EXCEPT SELECT dictionary FROM versions"""
        return Unused(frozenset(number for (number,) in connection.execute(sql)), upto)
    finally:
        connection.execute("ROLLBACK")


def drop_dictionaries(connection: sqlite3.Connection, unused: Unused) -> frozenset[int]:
    """Delete those that nothing has used since either. Returns which."""
    sql = "SELECT DISTINCT dictionary FROM versions WHERE id > ? AND dictionary IS NOT NULL"
    used = {number for (number,) in connection.execute(sql, (unused.upto,))}
    gone = unused.numbers - used
    connection.executemany("DELETE FROM dictionaries WHERE id = ?", [(number,) for number in sorted(gone)])
    return gone
