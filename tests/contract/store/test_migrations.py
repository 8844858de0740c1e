"""Files of earlier versions, and keys that change: what was written is read, and nothing of the old stays behind."""

import asyncio
import base64
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.sensitive import Sensitive
from gitops.store import Revision, StoreUnusable
from gitops.store.sqlite import SqliteStore
from gitops.store.sqlite_compact import Retention
from tests.contract.store.stores import PODS, Clock, a_config, a_pod, changes, open_sqlite, pod_key, txn

GOLDEN: Final = Path(__file__).parent / "golden"
SECRET: Final = Key("", "Secret", "shop", "s")


def secret_of(obj: object) -> object:
    return obj and obj["data"]  # type: ignore[index] # A test's own field.


def test_a_file_of_schema_1_opens_with_all_that_it_holds(tmp_path: Path) -> None:
    path, key = tmp_path / "s.db", tmp_path / "s.key"
    shutil.copyfile(GOLDEN / "schema-1.db", path)
    shutil.copyfile(GOLDEN / "schema-1.key", key)
    key.chmod(0o600)

    async def story() -> None:
        for life in (2, 3):
            store = await SqliteStore.open(path, key, Clock())
            assert store.epoch == life
            assert store.view().revision == 4
            found = [obj["metadata"]["name"] for obj in store.view().list_namespace("shop")]
            assert found == ["c", "p0", "p2", "p3", "p4", "s"]
            assert secret_of(store.view().object(SECRET)) == {"password": Sensitive("bmV3")}
            assert secret_of(await store.get(SECRET, at=Revision(2))) == {"password": Sensitive("czNjcjN0")}
            nodes = [pod["spec"]["nodeName"] for pod in await store.list(PODS, at=Revision(1))]  # type: ignore[typeddict-item]
            assert nodes == ["n0", "n1", "n0", "n1", "n0"]
            assert await store.revision_of("main", "c0ffee") == 3
            assert [change.key.name for change in await changes(store, 0)] == [
                "p0",
                "p1",
                "p2",
                "p3",
                "p4",
                "p0",
                "p1",
            ]
            await store.close()

        store = await SqliteStore.open(path, key, Clock())
        assert (await store.commit(txn(a_pod("p0", node="n1")))).revision == 5
        await store.close()

    asyncio.run(story())
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM versions WHERE dictionary NOTNULL").fetchone() == (5,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path, key = tmp_path / "s.db", tmp_path / "s.key"
    shutil.copyfile(GOLDEN / "schema-1.db", path)
    shutil.copyfile(GOLDEN / "schema-1.key", key)
    key.chmod(0o600)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE versions SET body = X'00' WHERE id = 65537")

    for _ in range(2):
        with pytest.raises(StoreUnusable, match="Pod shop/p1: the stored body is damaged"):
            asyncio.run(lives_once(lambda: SqliteStore.open(path, key, Clock())))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == (1,)


async def lives_once(opened: Callable[[], Awaitable[SqliteStore]]) -> None:
    await (await opened()).close()


def key_file(directory: Path) -> Path:
    return directory / "keys" / "store.key"


def append_a_key(directory: Path) -> bytes:
    line = base64.b64encode(os.urandom(32)) + b"\n"
    with key_file(directory).open("ab") as file:
        file.write(line)
    return line


def ciphertexts(directory: Path) -> list[bytes]:
    """As they stand in the file: none of them may be there once another key sealed them."""
    with sqlite3.connect(directory / "store" / "gitward.db") as connection:
        bodies = [row[0] for row in connection.execute("SELECT body FROM versions WHERE sealed")]
    return [body.partition(b'"$gitward.sealed":"')[2].partition(b'"')[0] for body in bodies]


def test_a_key_that_is_appended_seals_everything_anew_and_the_old_one_may_go(tmp_path: Path) -> None:
    async def write() -> None:
        store = await open_sqlite(tmp_path)
        await store.commit(txn(a_config("s", "Secret", p="b25l"), a_pod("a")))
        await store.commit(txn(a_config("s", "Secret", p="dHdv")))
        await store.close()

    async def read() -> None:
        store = await open_sqlite(tmp_path)
        assert secret_of(store.view().object(SECRET)) == {"p": Sensitive("dHdv")}
        assert secret_of(await store.get(SECRET, at=Revision(1))) == {"p": Sensitive("b25l")}
        await store.close()

    asyncio.run(write())
    old = ciphertexts(tmp_path)
    line = append_a_key(tmp_path)
    asyncio.run(read())
    new = ciphertexts(tmp_path)
    asyncio.run(read())

    assert ciphertexts(tmp_path) == new
    assert len(old) == len({*old, *new}) / 2 == 2
    for file in (tmp_path / "store").iterdir():
        assert [text for text in old if text in file.read_bytes()] == []
    key_file(tmp_path).write_bytes(line)
    asyncio.run(read())


def test_the_key_that_sealed_must_not_be_dropped_with_the_same_restart(tmp_path: Path) -> None:
    asyncio.run(lives_once(lambda: open_sqlite(tmp_path)))
    line = append_a_key(tmp_path)
    key_file(tmp_path).write_bytes(line)

    with pytest.raises(StoreUnusable, match="not the key that sealed"):
        asyncio.run(lives_once(lambda: open_sqlite(tmp_path)))


def test_an_empty_key_file_is_no_key(tmp_path: Path) -> None:
    asyncio.run(lives_once(lambda: open_sqlite(tmp_path)))
    key_file(tmp_path).write_bytes(b"\n")

    with pytest.raises(StoreUnusable, match="the file is empty: restore it"):
        asyncio.run(lives_once(lambda: open_sqlite(tmp_path)))


def test_dictionaries_go_when_nothing_is_packed_against_them(tmp_path: Path) -> None:
    def owned(name: str, owner: str, turn: int) -> dict[str, object]:
        reference = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "w",
            "uid": owner,
            "controller": True,
        }
        meta = {"name": name, "namespace": "shop", "ownerReferences": [reference]}
        spec = {f"field-{n}": f"a value {n}" for n in range(30)}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**spec, "turn": turn}}

    async def story() -> None:
        store = await open_sqlite(tmp_path)
        for owner in ("o1", "o2"):
            for turn in range(3):
                await store.commit(txn(owned("a", owner, turn)))  # type: ignore[arg-type] # A plain dict.
        assert await numbers(store) == [1, 2]

        await store.compact(Revision(6))
        assert await numbers(store) == [2]
        await store.commit(txn(owned("a", "o1", 9)))  # type: ignore[arg-type] # Packed against one of its own again.
        assert await numbers(store) == [2, 3]
        then = await store.list(PODS, at=Revision(6))
        await store.close()

        store = await open_sqlite(tmp_path)
        assert await store.list(PODS, at=Revision(6)) == then
        assert store.view().object(pod_key("a"))["spec"]["turn"] == 9  # type: ignore[index,typeddict-item]
        await store.close()

    async def numbers(store: SqliteStore) -> list[int]:
        ask = "SELECT id FROM dictionaries ORDER BY id"
        return await store._read(lambda reader: [row[0] for row in reader.execute(ask)])

    asyncio.run(story())


def test_the_whole_file_is_searched_for_unused_dictionaries_once_in_a_while(tmp_path: Path) -> None:
    """Symptom: every minute a gigabyte of history was read, and whoever read history waited for it."""

    async def story() -> None:
        store = await open_sqlite(tmp_path)
        await store.commit(txn(a_pod("a")))
        asked: list[str] = []
        await store._read(lambda reader: reader.set_trace_callback(asked.append))

        for _ in range(3):
            await store.retain(Retention())

        assert len([one for one in asked if "FROM dictionaries" in one]) == 1
        await store.close()

    asyncio.run(story())


def test_a_dictionary_of_a_refused_transaction_is_not_used_again(tmp_path: Path) -> None:
    """What was written with it is gone, and so is its row: the next body needs one of its own."""

    async def story() -> None:
        store = await open_sqlite(tmp_path)
        await store._upkeep(lambda writer: writer.execute("CREATE TEMP TRIGGER no BEFORE INSERT ON versions "
                                                          "BEGIN SELECT RAISE(ABORT, 'no'); END"))  # fmt: skip
        with pytest.raises(Unavailable):
            await store.commit(txn(a_pod("a", text="x" * 500)))
        await store.commit(txn(a_pod("b", text="x" * 500)))
        await store.close()

        store = await open_sqlite(tmp_path)
        assert store.view().object(pod_key("b"))["spec"] == {"text": "x" * 500}  # type: ignore[index,typeddict-item]
        await store.close()

    asyncio.run(story())
