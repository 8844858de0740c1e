"""The floors of `bench store`: bare SQLite with the same durability and the same rows, bodies as JSON."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from gitops.kinds.objects import KubeObject, key_of

TABLES: Final = """
CREATE TABLE keys(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE versions(id INTEGER PRIMARY KEY, key_id INT NOT NULL, body BLOB);
CREATE INDEX by_key ON versions(key_id, id);
CREATE TABLE transactions(revision INTEGER PRIMARY KEY, time INT NOT NULL, actor TEXT NOT NULL, cause TEXT NOT NULL);
"""


class BareStore:
    """What anyone would write first: one connection, one thread, rows, COMMIT."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(TABLES)
        self._revision = 0

    def write(self, transactions: Sequence[Sequence[KubeObject]]) -> int:
        """Several transactions with one fsync. Returns the bytes of their bodies."""
        self._connection.execute("BEGIN IMMEDIATE")
        size_bytes = 0
        for objects in transactions:
            self._revision += 1
            row = (self._revision, time.time_ns() // 1_000, "bench", "bench")
            self._connection.execute("INSERT INTO transactions VALUES(?, ?, ?, ?)", row)
            for index, obj in enumerate(objects):
                body, text = orjson.dumps(obj), key_of(obj).text
                size_bytes += len(body)
                self._connection.execute("INSERT OR IGNORE INTO keys(key) VALUES(?)", (text,))
                sql = "INSERT INTO versions VALUES(?, (SELECT id FROM keys WHERE key = ?), ?)"
                self._connection.execute(sql, (self._revision << 16 | index, text, body))
        self._connection.execute("COMMIT")
        return size_bytes

    def close(self) -> None:
        self._connection.close()


def load_bare(path: Path) -> float:
    """Seconds to read and parse every newest body of such a file."""
    begin = time.perf_counter()
    connection = sqlite3.connect(path)
    sql = "SELECT v.body FROM (SELECT max(id) AS id FROM versions GROUP BY key_id) AS heads JOIN versions v USING (id)"
    for (body,) in connection.execute(sql):
        orjson.loads(body)
    connection.close()
    return time.perf_counter() - begin
