"""What a node remembers: sealed on its disk, and used only while the master does not answer."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

from agent.memory import Memory, _Keeper, remembering
from gitops.client import Client, Credentials
from gitops.client import Event as Told
from gitops.client.joining import new_key
from gitops.kinds.core.config import SECRET
from gitops.kinds.core.pod import POD
from gitops.kinds.sensitive import Sensitive

POD_A: Any = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop", "uid": "1"}}


def test_what_is_kept_is_recalled_and_cannot_be_read_from_the_disk(tmp_path: Path) -> None:
    Memory(tmp_path / "memory").keep("pods", [POD_A])

    assert Memory(tmp_path / "memory").recall("pods") == [POD_A]
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "memory").iterdir():
        assert b"shop" not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_damaged_or_is_another_lists_is_not_believed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep("pods", [POD_A])
    (sealed,) = tmp_path.glob("*.sealed")
    memory.keep("services", [])
    (other,) = (path for path in tmp_path.glob("*.sealed") if path != sealed)
    other.write_bytes(sealed.read_bytes())
    sealed.write_bytes(sealed.read_bytes()[:-1] + b"x")

    assert memory.recall("pods") is None
    assert memory.recall("services") is None
    assert memory.recall("never kept") is None


def first_of(memory: Memory, kind: Any, seconds: float) -> list[str]:
    """What a consumer is told while nobody answers."""
    told: list[str] = []

    async def ask() -> None:
        nobody = Credentials("https://127.0.0.1:1", _ca(), _ca(), Sensitive(b""))
        client = Client(nobody)
        client._session = _refused  # type: ignore[method-assign] # No certificate need be made for this.
        async for event in remembering(memory, client, kind):
            told.append(event.type)  # noqa: PERF401 # It is cut in the middle.

    async def limited() -> None:
        try:
            async with asyncio.timeout(seconds):
                await ask()
        except TimeoutError:
            return

    asyncio.run(limited())
    return told


def _ca() -> bytes:
    return new_key().reveal()


def _refused() -> Any:
    raise ConnectionRefusedError("nobody listens")


def test_a_master_that_is_away_is_replaced_by_what_is_remembered_once(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep("pods  ", [POD_A])

    assert first_of(memory, POD, 0.8) == ["ADDED", "SYNCED"]


def test_an_empty_list_is_remembered_as_one_and_what_was_never_heard_is_not(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert first_of(memory, POD, 0.5) == []

    memory.keep("pods  ", [])

    assert first_of(memory, POD, 0.5) == ["SYNCED"]


def test_secrets_are_never_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.keep("secrets  ", [{**POD_A, "kind": "Secret"}])

    assert first_of(memory, SECRET, 0.5) == []


def test_what_nobody_follows_any_more_is_pruned(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    with memory.followed("pods"):
        with memory.followed("config map a"), memory.followed("config map b"):
            with memory.followed("config map b"):
                for name in ("pods", "config map a", "config map b", "of an earlier run"):
                    memory.keep(name, [POD_A])
            memory.prune()
            assert memory.recall("config map b") == [POD_A]
            assert memory.recall("of an earlier run") is None
        memory.prune()

        assert memory.recall("pods") == [POD_A]
        assert memory.recall("config map a") is None
    assert len(list(tmp_path.glob("*.sealed"))) == 1
    assert Memory(tmp_path).recall("pods") == [POD_A]


class Slow(Memory):
    """Its first write lasts until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.may_end, self.kept = Event(), Event(), list[list[object]]()

    def keep(self, name: str, objects: Iterable[object]) -> None:
        self.begun.set()
        assert self.may_end.wait(20)
        self.kept.append(list(objects))


def test_what_changes_while_it_is_written_is_written_too(tmp_path: Path) -> None:
    memory = Slow(tmp_path)
    other: Any = {**POD_A, "metadata": {**POD_A["metadata"], "name": "b", "uid": "2"}}

    async def scenario() -> None:
        keeper = _Keeper(memory, "pods", seconds=0)
        keeper.note(Told("ADDED", POD_A))
        keeper.note(Told("SYNCED", None))
        assert await asyncio.to_thread(memory.begun.wait, 20)
        keeper.note(Told("ADDED", other))
        memory.may_end.set()
        while len(memory.kept) < 2:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))

    assert memory.kept == [[POD_A], [POD_A, other]]
