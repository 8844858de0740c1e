"""Copies of the SQLite file: taken while a master runs, and put back while none does.

A restored file goes on far above every revision that clients can have seen, so that no resource version that they hold
ever means something else: their watches are told to list again.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from gitops.store.contract import StoreUnusable
from gitops.store.seal import Sealer, load_keys
from gitops.store.sqlite_file import (
    SCHEMA,
    check_key,
    connect,
    last_revision,
    locked,
    meta,
    said,
    set_meta,
)
from gitops.store.sqlite_history import connect_reading

REVISIONS_AHEAD: Final = (
    1_000_000_000  # As etcd's --bump-revision is advised: years of writes after the copy.
)
PART: Final = ".part"
REPLACED: Final = ".replaced"


class Copied(NamedTuple):
    """What a backup or a restored file holds."""

    revision: int
    size_bytes: int


def back_up(path: Path, copy: Path) -> Copied:
    """Write a compact copy of one moment to a new file; whoever writes to the store is not held up.

    Raises:
        StoreUnusable: there is no store, the copy exists already, or a disk refuses.
    """
    if not path.exists():
        raise StoreUnusable(f"{path}: no store is there to back up; see --data-dir")
    if copy.exists():
        raise StoreUnusable(f"{copy}: exists already: name a new file")
    part = copy.with_name(copy.name + PART)
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with _closing(connect_reading(path)) as connection:
            connection.execute("VACUUM INTO ?", (str(part),))
        copied = _examined(part)
        _sync(part)
        part.rename(copy)
        _sync(copy.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnusable(_failed(copy, error)) from error
    finally:
        part.unlink(missing_ok=True)
    return copied


def restore(copy: Path, path: Path, key_file: Path) -> Copied:
    """Put a copy in the place of the store, whose file is kept beside it as `.replaced`. All of it, or nothing.

    Raises:
        StoreUnusable: a master runs there, the copy is damaged or newer than this program, or the key file does not
            hold the key of its secrets.
    """
    if not copy.exists():
        raise StoreUnusable(f"{copy}: no such file")
    lock = locked(path)
    part = path.with_name(path.name + PART)
    try:
        _forget(part)
        _copy(copy, part)
        found = _examined(part)
        ahead = max(found.revision, _revision_there(path)) + REVISIONS_AHEAD
        _raise_revision(part, ahead, key_file)
        _sync(part)
        _set_aside(path)
        part.replace(path)
        _sync(path.parent)
        return Copied(ahead, found.size_bytes)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnusable(_failed(path, error)) from error
    finally:
        _forget(part)
        os.close(lock)


def _examined(path: Path) -> Copied:
    """Whether a file is whole and one of ours. It is a copy that nobody else uses."""
    with _closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # A copy that was made by other means may bring its log along; then it must not need it any more.
        connection.execute("PRAGMA journal_mode = DELETE")
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise StoreUnusable(f"{path}: damaged ({verdict}): use another copy")
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            raise StoreUnusable(f"{path}: not a store of Gitward's: name what `gitward backup` wrote")
        schema = meta(connection, "schema")
        if schema > SCHEMA:
            raise StoreUnusable(
                f"{path}: written by a newer Gitward (schema {schema}, known: {SCHEMA}): use that version"
            )
        return Copied(last_revision(connection), path.stat().st_size)


def _raise_revision(path: Path, revision: int, key_file: Path) -> None:
    """The window for resource versions begins at `revision`, which is thereby the newest. The past stays."""
    with _closing(sqlite3.connect(path, isolation_level=None)) as connection:
        check_key(connection, Sealer(*load_keys(key_file, may_create=False)), path, key_file)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for name in ("window", "fleeting floor"):
            set_meta(connection, name, revision)
        connection.execute("COMMIT")


def _copy(copy: Path, part: Path) -> None:
    """With its log, if it was copied by other means while a master ran."""
    for ending in ("", "-wal"):
        if (source := copy.with_name(copy.name + ending)).exists():
            target = part.with_name(part.name + ending)
            shutil.copyfile(source, target)
            target.chmod(0o600)


def _revision_there(path: Path) -> int:
    """The newest revision of the file that is to be replaced; 0 if there is none, or none that can be read."""
    if not path.exists():
        return 0
    try:
        with _closing(connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return last_revision(connection)
    except sqlite3.Error:  # It may well be damaged: that is what backups are for.
        return 0


def _set_aside(path: Path) -> None:
    """A second name for the old file first, so that at every moment there is a store at `path`."""
    if path.exists():
        aside = path.with_name(path.name + REPLACED)
        aside.unlink(missing_ok=True)
        os.link(path, aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _forget(path: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: Exception) -> str:
    """As `said`, of a folder that may not be there either."""
    with suppress(OSError):
        return said(path, error)
    return f"{path}: {error}"


@contextmanager
def _closing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    finally:
        connection.close()
