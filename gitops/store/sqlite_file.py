"""The SQLite file: its schema, how it is opened and loaded. Plain blocking functions, for the store's threads.

Not for transactions (sqlite_writer.py), the past (sqlite_history.py) or pruning (sqlite_compact.py). The log of
versions is the primary key, so a watch from history is a range scan, and the newest version of a key is its greatest
id: there is no second copy.
"""

import errno
import fcntl
import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import disk_usage
from typing import Final, NamedTuple

from gitops.kinds.keys import Key
from gitops.store.contract import (
    Change,
    Position,
    StoreUnusable,
)
from gitops.store.seal import Sealer, load_keys
from gitops.store.sqlite_bodies import SELECTED, Row, Shelf
from gitops.store.sqlite_migrate import migrate, reseal
from gitops.view import View

SCHEMA: Final = 2
BUSY_SECONDS: Final = 5.0
# Packed rows are small, and each commit writes the pages that it touches as a whole.
PAGE_BYTES: Final = 1_024
LOG_BYTES: Final = 8 << 20  # Then it is moved into the file: a page that was written often is moved once.
WAL_BYTES_MAX: Final = 64 << 20  # What a large commit leaves of its log once it was checkpointed.
FULL_BYTES: Final = 64 << 10  # With less room SQLite has no shared memory, and calls that an I/O error.

# No history below the floor of its own: they change all the time, and nobody asks for last week's.
FLEETING: Final = frozenset({("coordination.k8s.io", "Lease"), ("", "Event"), ("events.k8s.io", "Event")})

_TABLES: Final = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE keys(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
-- id: the Position. previous: the id of the version before it (0: none). body: NULL: deleted.
-- dictionary: NULL: the body is not packed. sealed: some of its leaves are.
CREATE TABLE versions(id INTEGER PRIMARY KEY, key_id INT NOT NULL, previous INT NOT NULL,
                      dictionary INT, sealed INT NOT NULL, body BLOB);
CREATE INDEX by_key ON versions(key_id, id);
CREATE TABLE transactions(revision INTEGER PRIMARY KEY, time INT NOT NULL /* microseconds since 1970, UTC */,
                          actor TEXT NOT NULL, cause TEXT NOT NULL, source TEXT, commit_id TEXT);
CREATE INDEX by_source ON transactions(source, revision) WHERE source IS NOT NULL;
CREATE TABLE dictionaries(id INTEGER PRIMARY KEY AUTOINCREMENT, siblings TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX by_siblings ON dictionaries(siblings, id);
"""
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Opened(NamedTuple):
    """A file that is ours: the locked descriptor is to be closed last."""

    connection: sqlite3.Connection
    lock: int
    sealer: Sealer
    view: View
    epoch: int
    window: int  # The floors as the last life left them.
    history: int


def open_file(path: Path, key_file: Path) -> Opened:
    """Make or open the store at `path`, take its lock, begin a new epoch, and load every object.

    Raises:
        StoreUnusable: in use, newer than this program, damaged, sealed with another key, or on a disk that refuses.
    """
    try:
        with ExitStack() as undo:
            lock = locked(path)
            undo.callback(os.close, lock)
            connection = connect(path)
            undo.callback(connection.close)
            epoch, sealer = _prepare(connection, path, key_file)
            opened = Opened(
                connection,
                lock,
                sealer,
                _load(connection, sealer),
                epoch,
                meta(connection, "window"),
                meta(connection, "floor"),
            )
            undo.pop_all()
            return opened
    except (sqlite3.Error, OSError) as error:
        raise StoreUnusable(said(path, error)) from error


def said(path: Path, error: Exception) -> str:
    """What the disk said of the file, and what to do about it. Nothing was written."""
    advice = "nothing was written; the next write tries again"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # The low byte: which family of errors.
    full = code == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC
    if full or (code == sqlite3.SQLITE_IOERR and disk_usage(path.parent).free < FULL_BYTES):
        advice = "nothing was written: free some space on that disk"
    elif code == sqlite3.SQLITE_IOERR:
        advice = "nothing was written: the disk failed, see `dmesg`"
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) or isinstance(error, OSError):
        advice = "nothing was written: make that directory writable"
    elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        advice = "the file is damaged: restore a backup"
    return f"{path}: {error}: {advice}"


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes durably. It may cross threads: one uses it at a time."""
    # SQLite itself would obey the umask; the files beside it follow this one's mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # Of a new file; an old one keeps its own.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // PAGE_BYTES}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        connection.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def microseconds(moment: datetime) -> int:
    """A time as it is stored."""
    return (moment - _EPOCH_START) // timedelta(microseconds=1)


def meta(connection: sqlite3.Connection, name: str) -> int:
    """A number of the file's own: `schema`, `epoch`, or a floor; 0 if it was never set."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def set_meta(connection: sqlite3.Connection, name: str, value: int | str) -> None:
    """Keep a number, or the key's proof, of the file's own."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (name, value))


def last_revision(connection: sqlite3.Connection) -> int:
    """The newest durable revision. Pruning may remove its row, but not before the floor has passed it."""
    (newest,) = connection.execute("SELECT max(revision) FROM transactions").fetchone()
    return max(newest or 0, *(meta(connection, name) for name in ("floor", "fleeting floor", "window")))


def locked(path: Path) -> int:
    """Take the file for this process. A record lock ends with the process, and no forked child can keep it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock_path = path.with_name(path.name + ".lock")
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise StoreUnusable(
            f"{path}: in use by process {holder}: stop it first, or use another directory"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _prepare(connection: sqlite3.Connection, path: Path, key_file: Path) -> tuple[int, Sealer]:
    """Create the tables in a new file, check those of an old one, and begin an epoch: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    fresh = not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
    if fresh:
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
        set_meta(connection, "schema", SCHEMA)
    found = meta(connection, "schema")
    if found > SCHEMA:
        raise StoreUnusable(
            f"{path}: written by a newer Gitward (schema {found}, known: {SCHEMA}): use that version"
        )
    sealer = Sealer(*load_keys(key_file, may_create=fresh))
    if fresh:
        set_meta(connection, "key", sealer.proof())
    check_key(connection, sealer, path, key_file)
    migrate(connection, found, SCHEMA, sealer)
    set_meta(connection, "schema", SCHEMA)
    rotated = not sealer.newest.proves(_proof(connection))
    if rotated:
        reseal(connection, sealer)
        set_meta(connection, "key", sealer.proof())
    epoch = meta(connection, "epoch") + 1
    set_meta(connection, "epoch", epoch)
    connection.execute("COMMIT")
    if rotated:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # The log holds what was replaced.
    return epoch, sealer


def check_key(connection: sqlite3.Connection, sealer: Sealer, path: Path, key_file: Path) -> None:
    """StoreUnusable: the secrets in a file were sealed with a key that is not in the key file."""
    if not sealer.proves(_proof(connection)):
        raise StoreUnusable(f"{key_file}: not the key that sealed {path}: restore the right one")


def _proof(connection: sqlite3.Connection) -> str:
    (proof,) = connection.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()
    return str(proof)


def _load(connection: sqlite3.Connection, sealer: Sealer) -> View:
    """The newest version of every key, in one grouped scan."""
    sql = f"""SELECT k.key, t.time, {SELECTED}
              FROM (SELECT max(id) AS newest FROM versions GROUP BY key_id) AS heads
              JOIN versions v ON v.id = heads.newest JOIN keys k ON k.id = v.key_id
              JOIN transactions t ON t.revision = v.id >> 16
              WHERE v.body IS NOT NULL"""  # noqa: S608 # Names of our own columns.
    view, shelf = View(), Shelf(sealer)
    with _without_collector():
        for text, time, *columns in connection.execute(sql):
            key, row = Key.of_text(text), Row(*columns)
            packed = shelf.packed(connection, row)
            obj = packed.opener.open(key, Position(row.id), packed.body)
            view.apply(Change(Position(row.id), key, None, obj, moment(time)), packed, cold=True)
    view.advance(last_revision(connection))
    return view


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing that is loaded is a cycle: to search it for some again and again takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def moment(time: int) -> datetime:
    """The inverse of `microseconds`."""
    return _EPOCH_START + timedelta(microseconds=time)
