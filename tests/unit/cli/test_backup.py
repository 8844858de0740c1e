"""`gitward backup` and `restore`: what they say, and that a cluster goes on where it was."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops.cli.backup import run_backup, run_restore
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.objects import KubeObject
from gitops.master import KEY_FILE, STORE_FILE
from gitops.store import Put, StoreUnusable, Txn
from gitops.store.sqlite import SqliteStore


def a_namespace(name: str) -> KubeObject:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def names_after(data_dir: Path, *added: str) -> list[str]:
    store = await SqliteStore.open(
        data_dir / STORE_FILE, data_dir / KEY_FILE, lambda: datetime(2026, 1, 1, tzinfo=UTC)
    )
    for name in added:
        await store.commit(Txn((Put(a_namespace(name)),), actor="test", cause="test"))
    found = [one["metadata"].get("name", "") for one in store.view().list(NAMESPACE)]
    await store.close()
    return found


def test_a_backup_brings_back_what_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_dir, file = tmp_path / "data", tmp_path / "backup"
    asyncio.run(names_after(data_dir, "shop"))

    run_backup(data_dir, file)
    asyncio.run(names_after(data_dir, "later"))
    run_restore(data_dir, file)

    assert asyncio.run(names_after(data_dir)) == ["shop"]
    said = capsys.readouterr().out
    assert f"{file}: revision 1, " in said
    assert f"{data_dir}/keys/store.key  opens them" in said
    assert "it goes on at revision 1000000002" in said


def test_a_backup_into_a_new_directory_needs_the_key(tmp_path: Path) -> None:
    data_dir, other, file = tmp_path / "data", tmp_path / "other", tmp_path / "backup"
    asyncio.run(names_after(data_dir, "shop"))
    run_backup(data_dir, file)

    with pytest.raises(StoreUnusable, match=f"{other}/keys/store.key: missing.*: restore it"):
        run_restore(other, file)
    (other / "keys").mkdir()
    (other / KEY_FILE).write_bytes((data_dir / KEY_FILE).read_bytes())
    (other / KEY_FILE).chmod(0o600)
    run_restore(other, file)

    assert asyncio.run(names_after(other)) == ["shop"]
