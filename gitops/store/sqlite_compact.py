"""Pruning old versions from the SQLite file, in slices, between which commits pass.

First the floor is raised, so that nobody reads what is about to go; then the log is walked from where the last walk
ended (`swept`) up to the floor: what a version replaced goes, and so does a tombstone. After a crash in between the
walk is resumed. Each lane has a floor of its own: Lease and Event keep only what a watch may still ask for.
"""

import sqlite3
from typing import Final, NamedTuple

from gitops.store.sqlite_file import FLEETING, meta, set_meta

SLICE_REVISIONS: Final = 1_000  # Walked in one transaction: commits wait that long.


class Lane(NamedTuple):
    """Which keys are pruned up to which floor."""

    floor: str
    swept: str
    keys: str  # A condition on `k.key`.


def _fleeting() -> str:
    return " OR ".join(f"k.key GLOB '{group}/{kind}/*'" for group, kind in sorted(FLEETING))


ALL: Final = Lane("floor", "swept", "1")
FLEETING_ONLY: Final = Lane("fleeting floor", "fleeting swept", _fleeting())


def raise_floor(connection: sqlite3.Connection, lane: Lane, revision: int) -> None:
    """From now on nothing up to `revision` can be asked for; a floor never falls."""
    set_meta(connection, lane.floor, max(meta(connection, lane.floor), revision))


def sweep(connection: sqlite3.Connection, lane: Lane) -> bool:
    """Prune one slice; returns whether more is left."""
    start, floor = meta(connection, lane.swept), meta(connection, lane.floor)
    end = min(start + SLICE_REVISIONS, floor)
    sql = f"""SELECT v.id, v.previous, v.body IS NULL FROM versions v JOIN keys k ON k.id = v.key_id
              WHERE v.id > ? AND v.id <= ? AND ({lane.keys})"""  # noqa: S608 # The condition is a constant of ours.
    walked = connection.execute(sql, (start << 16 | 0xFFFF, end << 16 | 0xFFFF)).fetchall()
    gone = {previous for _, previous, _ in walked if previous} | {at for at, _, deleted in walked if deleted}
    connection.executemany("DELETE FROM versions WHERE id = ?", [(at,) for at in sorted(gone)])
    _forget_transactions(connection, {at >> 16 for at in gone})
    set_meta(connection, lane.swept, end)
    if end < floor:
        return True
    connection.execute("DELETE FROM keys WHERE NOT EXISTS (SELECT 1 FROM versions WHERE key_id = keys.id)")
    return False


def _forget_transactions(connection: sqlite3.Connection, revisions: set[int]) -> None:
    """Those of which no version is left. A source's commits stay known."""
    connection.executemany(
        """DELETE FROM transactions WHERE revision = ?1 AND source IS NULL
           AND NOT EXISTS (SELECT 1 FROM versions WHERE id BETWEEN ?1 << 16 AND (?1 << 16) + 65535)""",
        [(revision,) for revision in sorted(revisions)],
    )
