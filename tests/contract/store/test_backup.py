"""Backups: taken while others write, put back while nobody does; and what they must not be put over."""

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Expired
from gitops.kinds.sensitive import Sensitive
from gitops.store import Position, Revision, StoreUnusable, position
from gitops.store.sqlite import SqliteStore
from gitops.store.sqlite_backup import REVISIONS_AHEAD, back_up, restore
from gitops.store.sqlite_compact import Retention
from tests.contract.store.stores import PODS, a_config, a_pod, changes, open_sqlite, txn

SECRET_TEXT: Final = "Y2FuYXJ5LWluLWEtYmFja3Vw"


def database(directory: Path) -> Path:
    return directory / "store" / "gitward.db"


def key_file(directory: Path) -> Path:
    return directory / "keys" / "store.key"


def names(store: SqliteStore) -> list[str]:
    return [pod["metadata"]["name"] for pod in store.view().list(POD)]


async def with_pods(directory: Path, *pods: str) -> None:
    store = await open_sqlite(directory)
    for name in pods:
        await store.commit(txn(a_pod(name)))
    await store.close()


def test_a_copy_that_is_taken_while_others_write_is_one_moment_and_none_before(tmp_path: Path) -> None:
    """Each transaction writes three pods with its number: a copy has all three or none, and all acknowledged before."""
    told: list[int] = []

    async def story() -> None:
        store = await open_sqlite(tmp_path)

        async def write(writer: int) -> None:
            for number in range(10_000):
                await store.commit(txn(*(a_pod(f"w{writer}-{n}", number=number) for n in range(3))))
                told.append(store.view().revision)

        writers = [asyncio.create_task(write(writer)) for writer in range(8)]
        for turn in range(5):
            await asyncio.sleep(0.05)
            acknowledged = max(told)
            copied = await asyncio.to_thread(back_up, database(tmp_path), tmp_path / f"copy-{turn}")
            assert copied.revision >= acknowledged
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await store.close()

    asyncio.run(story())
    for turn in range(5):
        there = tmp_path / f"there-{turn}"
        (there / "keys").mkdir(parents=True)
        shutil.copy(key_file(tmp_path), key_file(there))
        restore(tmp_path / f"copy-{turn}", database(there), key_file(there))
        asyncio.run(is_whole(there))


async def is_whole(directory: Path) -> None:
    store = await open_sqlite(directory)
    numbers: dict[str, list[int]] = {}
    for pod in store.view().list(POD):
        numbers.setdefault(pod["metadata"]["name"].partition("-")[0], []).append(pod["spec"]["number"])  # type: ignore[typeddict-item]
    assert numbers
    assert all(len(each) == 3 and len(set(each)) == 1 for each in numbers.values())
    await store.close()


def test_files_that_were_copied_by_other_means_are_whole_or_refused(tmp_path: Path) -> None:
    """`cp` under a running master: with the log it is some moment, or a message; never a store that is half one."""

    async def story() -> None:
        store = await open_sqlite(tmp_path)

        async def write(writer: int) -> None:
            for number in range(10_000):
                await store.commit(txn(*(a_pod(f"w{writer}-{n}", number=number) for n in range(3))))

        writers = [asyncio.create_task(write(writer)) for writer in range(8)]
        for turn in range(5):
            await asyncio.sleep(0.1)
            for ending in ("", "-wal"):
                source = database(tmp_path).with_name(f"gitward.db{ending}")
                await asyncio.to_thread(shutil.copyfile, source, tmp_path / f"copy-{turn}{ending}")
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await store.close()

    asyncio.run(story())
    refused: list[str] = []
    for turn in range(5):
        there = tmp_path / f"there-{turn}"
        (there / "keys").mkdir(parents=True)
        shutil.copy(key_file(tmp_path), key_file(there))
        try:
            restore(tmp_path / f"copy-{turn}", database(there), key_file(there))
        except StoreUnusable as error:
            refused.append(str(error))
        else:
            asyncio.run(is_whole(there))
    assert [
        text for text in refused if "use another copy" not in text and "restore a backup" not in text
    ] == []


def test_a_restored_store_goes_on_above_all_that_clients_saw(tmp_path: Path) -> None:
    asyncio.run(with_pods(tmp_path, "a", "b"))
    copied = back_up(database(tmp_path), tmp_path / "copy")
    assert copied.revision == 2
    asyncio.run(with_pods(tmp_path, "c", "d", "e"))

    restored = restore(tmp_path / "copy", database(tmp_path), key_file(tmp_path))

    async def read() -> None:
        assert restored.revision == 5 + REVISIONS_AHEAD
        store = await open_sqlite(tmp_path)
        assert names(store) == ["a", "b"]
        assert store.view().revision == restored.revision
        for seen in (position(1), position(2), position(5), Position(position(5) - 1)):
            with pytest.raises(Expired):
                await changes(store, seen)
        assert [pod["metadata"]["name"] for pod in await store.list(PODS, at=Revision(1))] == ["a"]
        assert (await store.commit(txn(a_pod("f")))).revision == restored.revision + 1
        assert [change.key.name for change in await changes(store, position(restored.revision))] == ["f"]
        await store.compact(
            Revision(restored.revision)
        )  # Its slices are of rows, not of a thousand million revisions.
        assert names(store) == ["a", "b", "f"]
        await store.close()

    asyncio.run(read())
    with sqlite3.connect(f"{database(tmp_path)}.replaced") as connection:
        assert connection.execute("SELECT count(*) FROM versions").fetchone() == (5,)


@pytest.mark.parametrize("bytes_max", [1 << 30, 1], ids=["small", "too large"])
def test_the_past_of_a_restored_store_outlives_its_leap(tmp_path: Path, bytes_max: int) -> None:
    """Symptom: a minute after a restore nothing could be asked of the time before: a leap of a thousand million
    revisions counted as so many transactions."""
    asyncio.run(with_pods(tmp_path, "a", "b", "c"))
    back_up(database(tmp_path), tmp_path / "copy")
    restore(tmp_path / "copy", database(tmp_path), key_file(tmp_path))

    async def story() -> None:
        store = await open_sqlite(tmp_path)
        await store.commit(txn(a_pod("d")))

        await store.retain(Retention(history_bytes_max=bytes_max))

        assert [pod["metadata"]["name"] for pod in await store.list(PODS, at=Revision(2))] == ["a", "b"]
        await store.close()

    asyncio.run(story())


def test_a_backup_shows_no_secret_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    async def write() -> None:
        store = await open_sqlite(tmp_path)
        await store.commit(txn(a_config("s", "Secret", p=SECRET_TEXT)))
        await store.close()

    async def read() -> None:
        store = await open_sqlite(tmp_path)
        found = [obj["data"] for obj in store.view().list_namespace("shop")]  # type: ignore[typeddict-item]
        assert found == [{"p": Sensitive(SECRET_TEXT)}]
        await store.close()

    asyncio.run(write())
    back_up(database(tmp_path), tmp_path / "copy")

    assert SECRET_TEXT.encode() not in (tmp_path / "copy").read_bytes()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    restore(tmp_path / "copy", database(tmp_path), key_file(tmp_path))
    assert database(tmp_path).stat().st_mode & 0o777 == 0o600
    asyncio.run(read())


def test_a_store_that_a_master_uses_is_not_replaced(tmp_path: Path) -> None:
    asyncio.run(with_pods(tmp_path, "a"))
    back_up(database(tmp_path), tmp_path / "copy")
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if child == 0:
        # Record locks belong to a process: another one has to ask.
        refused = False
        try:
            os.read(reading_end, 1)
            restore(tmp_path / "copy", database(tmp_path), key_file(tmp_path))
        except StoreUnusable as error:
            refused = "in use by process" in str(error)
        finally:
            os._exit(0 if refused else 1)

    async def held() -> None:
        store = await open_sqlite(tmp_path)
        os.write(writing_end, b"x")
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert names(store) == ["a"]
        await store.close()

    asyncio.run(held())


def test_what_is_no_backup_is_refused_and_the_store_stays(tmp_path: Path) -> None:
    asyncio.run(with_pods(tmp_path, "a"))
    back_up(database(tmp_path), tmp_path / "copy")
    whole = (tmp_path / "copy").read_bytes()
    other = tmp_path / "other"
    asyncio.run(with_pods(other, "b"))
    back_up(database(other), tmp_path / "others")
    with sqlite3.connect(tmp_path / "strange") as connection:
        connection.execute("CREATE TABLE t(x)")
    (tmp_path / "garbage").write_bytes(b"This is no database, and was never one." * 100)
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "newer").write_bytes(whole)
    with sqlite3.connect(tmp_path / "newer") as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")

    refused = {
        "absent": "no such file",
        "strange": "not a store of Gitward's",
        "garbage": "restore a backup",
        "cut": "damaged|restore a backup",
        "newer": "written by a newer Gitward",
        "others": "not the key that sealed",
    }
    for name, message in refused.items():
        with pytest.raises(StoreUnusable, match=message):
            restore(tmp_path / name, database(tmp_path), key_file(tmp_path))

    async def read() -> None:
        store = await open_sqlite(tmp_path)
        assert names(store) == ["a"]
        assert store.view().revision == 1
        await store.close()

    asyncio.run(read())
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["gitward.db", "gitward.db.lock"]


def test_a_damaged_store_can_be_replaced(tmp_path: Path) -> None:
    asyncio.run(with_pods(tmp_path, "a"))
    back_up(database(tmp_path), tmp_path / "copy")
    database(tmp_path).write_bytes(b"The disk has seen better days. " * 1_000)

    restored = restore(tmp_path / "copy", database(tmp_path), key_file(tmp_path))

    assert restored.revision == 1 + REVISIONS_AHEAD
    asyncio.run(with_pods(tmp_path, "b"))


def test_a_backup_replaces_nothing_and_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no store is there to back up"):
        back_up(database(tmp_path), tmp_path / "copy")
    asyncio.run(with_pods(tmp_path, "a"))
    back_up(database(tmp_path), tmp_path / "copy")
    before = (tmp_path / "copy").read_bytes()

    with pytest.raises(StoreUnusable, match="exists already: name a new file"):
        back_up(database(tmp_path), tmp_path / "copy")
    with pytest.raises(StoreUnusable, match="nowhere"):
        back_up(database(tmp_path), tmp_path / "nowhere" / "copy")
    assert (tmp_path / "copy").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "keys", "store"]


def test_a_backup_of_what_a_kill_left_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        asyncio.run(dies(tmp_path))
    os.waitpid(child, 0)

    assert back_up(database(tmp_path), tmp_path / "copy").revision == 3


async def dies(directory: Path) -> None:
    store = await open_sqlite(directory)
    for name in ("a", "b", "c"):
        await store.commit(txn(a_pod(name)))
    os._exit(9)
