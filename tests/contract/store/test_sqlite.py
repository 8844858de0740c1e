"""What only a file can do: be opened again, be locked, be newer, hold secrets, be pruned."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Expired, Fenced, Invalid
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive
from gitops.store import Delete, Revision, Scope, StoreUnusable, position
from gitops.store.sqlite import SqliteStore
from tests.contract.store.stores import a_config, a_pod, changes, open_sqlite, pod_key, txn

CANARY = "Y2FuYXJ5LTQ3MTEtbmV2ZXItaW4tY2xlYXI="
ROOT = Path(__file__).parents[3]
OPEN_IT = """
import asyncio, sys
from pathlib import Path
from tests.contract.store.stores import open_sqlite
try:
    asyncio.run(open_sqlite(Path(sys.argv[1])))
except Exception as error:
    print(type(error).__name__, error)
"""


def with_store(directory: Path, story: Callable[[SqliteStore], Awaitable[None]]) -> None:
    """Open, tell, close: each call is one life of a master."""

    async def told() -> None:
        store = await open_sqlite(directory)
        try:
            await story(store)
        finally:
            await store.close()

    asyncio.run(told())


def database(directory: Path) -> Path:
    return directory / "store" / "gitward.db"


async def nothing(_: SqliteStore) -> None:
    pass


def test_opened_again_it_is_the_same(tmp_path: Path) -> None:
    before: list[object] = []

    async def write(store: SqliteStore) -> None:
        await store.commit(txn(a_pod("a"), a_pod("b", node="n1"), a_config("s", "Secret", p=CANARY)))
        await store.commit(txn(Delete(pod_key("a")), a_pod("c")))
        before.extend([*store.view().list_namespace("shop"), store.view().recorded(POD, pod_key("b"))])
        before.extend(await changes(store, 0))

    async def read(store: SqliteStore) -> None:
        after = [*store.view().list_namespace("shop"), store.view().recorded(POD, pod_key("b"))]
        assert [*after, *await changes(store, 0)] == before
        assert store.view().revision == 2
        assert (await store.commit(txn(a_pod("d")))).revision == 3

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_the_newest_revision_survives_though_all_of_it_was_pruned(tmp_path: Path) -> None:
    async def write(store: SqliteStore) -> None:
        await store.commit(txn(a_pod("a")))
        await store.commit(txn(Delete(pod_key("a"))))
        await store.compact(Revision(2))

    async def read(store: SqliteStore) -> None:
        assert (await store.commit(txn(a_pod("b")))).revision == 3

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_each_life_has_an_epoch_and_the_last_ones_is_fenced(tmp_path: Path) -> None:
    async def second(store: SqliteStore) -> None:
        assert store.epoch == 2
        with pytest.raises(Fenced):
            await store.commit(txn(a_pod("a"), epoch=1))

    with_store(tmp_path, nothing)
    with_store(tmp_path, second)


def test_a_second_process_is_told_who_has_the_file(tmp_path: Path) -> None:
    async def held(_: SqliteStore) -> None:
        command = [sys.executable, "-c", OPEN_IT, str(tmp_path)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert (
            f"StoreUnusable {database(tmp_path)}: in use by process {os.getpid()}: stop it first"
            in ran.stdout
        )

    with_store(tmp_path, held)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with_store(tmp_path, nothing)
    with sqlite3.connect(database(tmp_path)) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")

    with pytest.raises(StoreUnusable, match=r"written by a newer Gitward \(schema 99, known: 2\)"):
        with_store(tmp_path, nothing)


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    database(tmp_path).parent.mkdir()
    database(tmp_path).write_bytes(b"This is no database, and was never one." * 100)

    with pytest.raises(StoreUnusable, match="file is not a database: the file is damaged: restore a backup"):
        with_store(tmp_path, nothing)


KEYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another key": (lambda key: key.write_bytes(b"QUJD" * 10 + b"QUI=\n"), "not the key that sealed"),
    "no key": (lambda key: key.unlink(), "missing, and the secrets in the store need it: restore it"),
    "half a key": (lambda key: key.write_bytes(b"QUJD\n"), "found 3 bytes, wanted a store key of 32"),
    "garbage": (lambda key: key.write_bytes(b"%%%"), "no readable store key"),
    "a key that others may read": (lambda key: key.chmod(0o640), "others may read this key: chmod 600"),
}


@pytest.mark.parametrize(("spoil", "message"), KEYS.values(), ids=KEYS.keys())
def test_a_wrong_key_file_is_said_to_be_wrong(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    with_store(tmp_path, nothing)
    spoil(tmp_path / "keys" / "store.key")

    with pytest.raises(StoreUnusable, match=message):
        with_store(tmp_path, nothing)


def test_no_byte_on_disk_shows_a_secret_and_nobody_else_may_read_any(tmp_path: Path) -> None:
    async def write(store: SqliteStore) -> None:
        await store.commit(
            txn(a_config("s", "Secret", password=CANARY), a_config("c", word=Sensitive(CANARY)))
        )
        await store.commit(txn(a_config("c", word=CANARY)))
        assert leak(tmp_path) == []
        await store.compact(Revision(1))

    with_store(tmp_path, write)

    assert leak(tmp_path) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"gitward.db", "store.key"}
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "store", tmp_path / "keys")} == {"0o700"}


def leak(directory: Path) -> list[str]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return [path.name for path in files if CANARY.encode() in path.read_bytes()]


def test_a_sealed_value_moved_to_another_object_is_not_opened(tmp_path: Path) -> None:
    async def write(store: SqliteStore) -> None:
        await store.commit(txn(a_config("s", "Secret", p=CANARY), a_config("t", "Secret", p="eA==")))

    with_store(tmp_path, write)
    with sqlite3.connect(database(tmp_path)) as connection:
        (stolen,) = connection.execute("SELECT body FROM versions WHERE id = 65536").fetchone()
        body = orjson.loads(stolen)
        body["metadata"]["name"] = "t"
        connection.execute("UPDATE versions SET body = ? WHERE id = 65537", (orjson.dumps(body),))

    with pytest.raises(StoreUnusable, match="tampered with"):
        with_store(tmp_path, nothing)


def test_a_field_that_looks_sealed_is_a_field_like_any_other(tmp_path: Path) -> None:
    lookalike = {"$gitward.sealed": "AAAA"}

    async def write(store: SqliteStore) -> None:
        await store.commit(txn(a_pod("a", odd=lookalike)))
        with pytest.raises(Invalid, match=r"a field named \$gitward.sealed cannot stand beside secrets"):
            await store.commit(txn(a_config("s", "Secret", p=CANARY, q=lookalike)))

    async def read(store: SqliteStore) -> None:
        found = store.view().object(pod_key("a"))
        assert found
        assert found["spec"] == {"odd": lookalike}  # type: ignore[typeddict-item] # A test's own field.

    with_store(tmp_path, write)
    with_store(tmp_path, read)


def test_what_is_no_json_fails_alone(tmp_path: Path) -> None:
    async def write(store: SqliteStore) -> None:
        bad, good = await asyncio.gather(
            store.commit(txn(a_pod("a", huge=2**70))), store.commit(txn(a_pod("b"))), return_exceptions=True
        )
        assert isinstance(bad, Invalid)
        assert str(bad) == "Pod shop/a: cannot be stored as JSON: Integer exceeds 64-bit range"
        assert not isinstance(good, BaseException)
        assert [pod["metadata"]["name"] for pod in store.view().list(POD)] == ["b"]

    with_store(tmp_path, write)


def test_compaction_keeps_what_is_and_expires_what_was(tmp_path: Path) -> None:
    async def write(store: SqliteStore) -> None:
        for turn in range(10):
            await store.commit(txn(a_pod("a", turn=turn), a_pod(f"p{turn}"), a_lease(turn)))
        await store.commit(txn(Delete(pod_key("p3"))))
        await store.commit(txn(a_pod("z")))

    async def compact(store: SqliteStore) -> None:
        last_words = await changes(store, position(9))
        await store.compact(Revision(9))

        assert await changes(store, position(9)) == last_words
        with pytest.raises(Expired, match="history begins after 655359: list again"):
            await changes(store, position(8))
        with pytest.raises(Expired):  # Leases have no history but what memory holds.
            await changes(store, position(9), Scope("coordination.k8s.io", "Lease"))
        assert await changes(store, position(12), Scope("coordination.k8s.io", "Lease")) == []
        await store.compact(Revision(12))

    async def read(store: SqliteStore) -> None:
        found = [obj["metadata"]["name"] for obj in store.view().list_namespace("shop")]
        assert found == ["a", "p0", "p1", "p2", "p4", "p5", "p6", "p7", "p8", "p9", "z", "n1"]

    with_store(tmp_path, write)
    with_store(tmp_path, compact)
    with_store(tmp_path, read)
    with sqlite3.connect(database(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM versions").fetchone() == (12,)
        assert connection.execute("SELECT count(*) FROM keys").fetchone() == (12,)
        assert connection.execute("SELECT count(*) FROM transactions").fetchone() == (10,)


def a_lease(turn: int) -> KubeObject:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "n1", "namespace": "shop", "annotations": {"turn": str(turn)}},
    }


def test_a_long_history_is_read_from_disk_in_pieces(tmp_path: Path) -> None:
    """More transactions than one scan reads, and a large one among them."""

    async def write(store: SqliteStore) -> None:
        await asyncio.gather(*(store.commit(txn(a_pod(f"p{turn:04}"))) for turn in range(600)))
        await store.commit(txn(*(a_pod(f"q{turn:04}") for turn in range(500))))

    async def read(store: SqliteStore) -> None:
        seen = [change.key.name for change in await changes(store, position(17))]
        assert seen == [f"p{turn:04}" for turn in range(17, 600)] + [f"q{turn:04}" for turn in range(500)]

    with_store(tmp_path, write)
    with_store(tmp_path, read)
