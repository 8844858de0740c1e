"""From the schemas of earlier versions to this one's, and from one key to the next: in the transaction that opens.

A step takes a file from the schema whose number it has to the next; it is never changed once it was released. A file of
each schema lies beside the tests.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gitops.kinds.keys import Key
from gitops.store.seal import Sealer
from gitops.store.sqlite_bodies import SELECTED, Row, Shelf, dictionary_of, siblings_of

SLICE_ROWS: Final = 1_000  # Read at once, so that a large file need not fit into memory.

log = logging.getLogger(__name__)


def migrate(connection: sqlite3.Connection, found: int, wanted: int, sealer: Sealer) -> None:
    """Take every step from one schema to another."""
    for schema in range(found, wanted):
        _STEPS[schema](connection, sealer)
        log.info("the store was migrated", extra={"fields": {"from_schema": schema, "to_schema": schema + 1}})


def reseal(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Seal with the newest key whatever an older one sealed; nothing of what was replaced stays in the file."""
    connection.execute("PRAGMA secure_delete = ON")
    shelf, count = Shelf(sealer), 0
    for key, row in _rows(connection, "v.sealed"):
        obj = shelf.open(connection, key, row)
        assert obj is not None, "the condition leaves deletions out"
        body, _ = sealer.encode(key, obj)
        connection.execute("UPDATE versions SET body = ? WHERE id = ?", (body, row.id))
        count += 1
    log.info("secrets at rest were sealed with the new key", extra={"fields": {"versions": count}})


def _rows(connection: sqlite3.Connection, condition: str) -> Iterator[tuple[Key, Row]]:
    """Every version that is no deletion and meets a condition, in order. They may be changed meanwhile."""
    sql = f"""SELECT k.key, {SELECTED} FROM versions v JOIN keys k ON k.id = v.key_id
              WHERE v.id > ? AND v.body IS NOT NULL AND {condition} ORDER BY v.id LIMIT ?"""  # noqa: S608 # Ours.
    last = 0
    while found := connection.execute(sql, (last, SLICE_ROWS)).fetchall():
        for text, *columns in found:
            yield Key.of_text(text), Row(*columns)
        last = found[-1][1]


def _pack_bodies(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Schema 1 kept every body as JSON, and had the table of dictionaries but no use for it."""
    connection.execute("DROP TABLE dictionaries")
    connection.execute(
        "CREATE TABLE dictionaries(id INTEGER PRIMARY KEY AUTOINCREMENT, siblings TEXT NOT NULL, body BLOB NOT NULL)"
    )
    connection.execute("CREATE INDEX by_siblings ON dictionaries(siblings, id)")
    shelf = Shelf(sealer)
    for key, row in _rows(connection, "NOT v.sealed"):
        obj = shelf.open(connection, key, row)
        assert obj is not None, "the condition leaves deletions out"
        body, _ = sealer.encode(key, obj)
        packed = shelf.pack(connection, siblings_of(key, obj), body, sealed=False)
        connection.execute(
            "UPDATE versions SET dictionary = ?, body = ? WHERE id = ?",
            (dictionary_of(packed), packed.body, row.id),
        )


_STEPS: Final[Mapping[int, Callable[[sqlite3.Connection, Sealer], None]]] = {1: _pack_bodies}
