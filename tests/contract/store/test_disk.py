"""A disk that refuses: nothing acknowledged is lost, nothing refused appears, and the store goes on by itself."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Unavailable
from gitops.reconcile import Reader
from gitops.store import StoreUnusable
from gitops.store.sqlite import SqliteStore
from gitops.store.sqlite_file import open_file
from tests.contract.store.stores import Clock, a_pod, changes, open_sqlite, pod_key, txn

DISK_BYTES: Final = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A very small disk of our own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "gitward-test", str(tmp_path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def names(reader: Reader) -> list[str]:
    return [pod["metadata"]["name"] for pod in reader.list(POD)]


def test_a_full_disk_refuses_and_freed_again_it_goes_on(disk: Path) -> None:
    async def story() -> None:
        store = await open_sqlite(disk)
        await store.commit(txn(a_pod("first")))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass

        refused = await asyncio.gather(
            *(store.commit(txn(a_pod(f"p{turn}", ballast="x" * 30_000))) for turn in range(20)),
            return_exceptions=True,
        )
        assert {type(error) for error in refused} == {Unavailable}
        assert "nothing was written: free some space on that disk" in str(refused[0])
        assert store.problem == str(refused[0])
        assert names(store.view()) == ["first"]
        with pytest.raises(Unavailable):
            await store.commit(txn(a_pod("still-full", ballast="x" * 30_000)))

        ballast.unlink()
        assert (
            await store.transact(lambda decided: txn(a_pod("second", after=names(decided))))
        ).revision == 2
        second = store.view().object(pod_key("second"))
        assert second
        assert second["spec"] == {"after": ["first"]}  # type: ignore[typeddict-item] # A test's own field.
        assert store.problem is None
        seen = await changes(store, 0)
        await store.close()

        store = await open_sqlite(disk)
        assert names(store.view()) == ["first", "second"]
        assert await changes(store, 0) == seen
        await store.close()

    asyncio.run(story())


def test_a_store_that_cannot_be_opened_says_what_the_disk_says(disk: Path) -> None:
    asyncio.run(lives_once(disk))
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass

    with pytest.raises(StoreUnusable, match="free some space on that disk"):
        asyncio.run(lives_once(disk))
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StoreUnusable, match="make that directory writable"):
        asyncio.run(lives_once(disk))


async def lives_once(directory: Path) -> None:
    await (await open_sqlite(directory)).close()


class Lying(sqlite3.Connection):
    """A disk that keeps what it says it could not keep: an fsync that fails after the data went through."""

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *parameters)
        if sql == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


async def open_lying(directory: Path) -> SqliteStore:
    path = database(directory)
    opened = open_file(path, directory / "keys" / "store.key")
    opened.connection.close()
    lying = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Lying)
    return SqliteStore(opened._replace(connection=lying), path, Clock())


def database(directory: Path) -> Path:
    return directory / "store" / "gitward.db"


def test_what_was_refused_but_reached_the_disk_is_taken_back(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_lying(tmp_path)
        with pytest.raises(Unavailable, match="disk I/O error: nothing was written"):
            await store.commit(txn(a_pod("refused")))
        assert (await store.commit(txn(a_pod("written")))).revision == 1
        await store.close()

        store = await open_sqlite(tmp_path)
        assert names(store.view()) == ["written"]
        assert [change.key.name for change in await changes(store, 0)] == ["written"]
        await store.close()

    asyncio.run(story())


def test_nothing_is_built_on_what_a_failed_fsync_left(tmp_path: Path) -> None:
    """The kernel takes the pages of a failed fsync for written. After a power cut they are not there: a log that went
    on behind them would end before them, and lose what was acknowledged since."""
    log = database(tmp_path).with_name("gitward.db-wal")

    async def story() -> None:
        store = await open_lying(tmp_path)
        await store.commits("any")  # A second connection, or the log would go with the first.
        with pytest.raises(Unavailable):
            await store.commit(txn(a_pod("refused", text=os.urandom(9_000).hex())))
        doubtful = log.read_bytes()
        assert len(doubtful) > 20_000
        for name in ("a", "b"):
            await store.commit(txn(a_pod(name, text=os.urandom(9_000).hex())))

        cut = tmp_path / "cut" / "store"
        cut.mkdir(parents=True)
        shutil.copy(database(tmp_path), cut)
        (cut / log.name).write_bytes(log.read_bytes().replace(doubtful, bytes(len(doubtful))))
        shutil.copytree(tmp_path / "keys", tmp_path / "cut" / "keys")
        await store.close()

    asyncio.run(story())
    asyncio.run(lives_with(tmp_path / "cut", ["a", "b"]))


def test_a_torn_end_of_the_log_loses_no_more_than_what_was_not_acknowledged(tmp_path: Path) -> None:
    """A power cut in the middle of a write: half a frame, garbage, or a whole frame without its commit."""

    async def story() -> tuple[bytes, bytes, bytes]:
        store = await open_sqlite(tmp_path)
        await store.commit(txn(a_pod("a")))
        await store.commit(txn(a_pod("b")))
        log = database(tmp_path).with_name("gitward.db-wal")
        file, acknowledged = database(tmp_path).read_bytes(), log.read_bytes()
        await store.commit(txn(a_pod("c", text="x" * 20_000), a_pod("d")))
        last = log.read_bytes()[len(acknowledged) :]
        await store.close()
        return file, acknowledged, last

    file, acknowledged, last = asyncio.run(story())
    torn = [last[:cut] for cut in (0, 1, 24, 1_000, 4_119, 4_120, len(last) - 4_120, len(last) - 1)]
    torn += [bytes(len(last)), b"\xff" * len(last), last[:-100] + bytes(100), bytes(100) + last[100:]]
    for number, tail in enumerate(torn):
        there = tmp_path / f"cut-{number}"
        (there / "store").mkdir(parents=True)
        shutil.copytree(tmp_path / "keys", there / "keys")
        database(there).write_bytes(file)
        database(there).with_name("gitward.db-wal").write_bytes(acknowledged + tail)
        asyncio.run(lives_with(there, ["a", "b"]))


async def lives_with(directory: Path, expected: list[str]) -> None:
    store = await open_sqlite(directory)
    assert names(store.view()) == expected
    await store.commit(txn(a_pod("z")))
    await store.close()


def test_a_file_that_lost_what_was_acknowledged_is_not_written_on(tmp_path: Path) -> None:
    async def story() -> None:
        await (await open_sqlite(tmp_path)).close()
        backup = database(tmp_path).read_bytes()
        store = await open_sqlite(tmp_path)
        await store.commit(txn(a_pod("a")))
        await store.close()

        store = await open_lying(tmp_path)
        with pytest.raises(Unavailable):
            await store.commit(txn(a_pod("b")))
        for path in database(tmp_path).parent.glob("gitward.db-*"):
            path.unlink()
        database(tmp_path).write_bytes(backup)  # Someone restores an old backup under a running master.

        with pytest.raises(Unavailable, match="revision 1 was durable, but the file ends at 0"):
            await store.commit(txn(a_pod("c")))
        assert names(store.view()) == ["a"]
        await store.close()

    asyncio.run(story())
