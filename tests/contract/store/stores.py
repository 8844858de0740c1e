"""The backends that the contract suite runs over, and builders that say only what matters."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import pytest

from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.store import Batch, Change, Committed, Delete, Position, Put, Scope, Store, Txn
from gitops.store.memory import MemoryStore
from gitops.store.sqlite import SqliteStore

STORY_SECONDS: Final = 60.0  # A story that waits longer hangs.
PODS: Final = Scope("", "Pod")

Backend = Callable[[], AbstractAsyncContextManager[Store]]
Story = Callable[[Store], Awaitable[None]]


class Clock:
    """Ticks a second each time it is asked."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    store = MemoryStore(Clock())
    yield store
    await store.close()


@asynccontextmanager
async def sqlite() -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory() as directory:
        store = await open_sqlite(Path(directory))
        yield store
        await store.close()


async def open_sqlite(directory: Path) -> SqliteStore:
    return await SqliteStore.open(
        directory / "store" / "gitward.db", directory / "keys" / "store.key", Clock()
    )


BACKENDS: Final[dict[str, Backend]] = {"memory": memory, "sqlite": sqlite}


def on_every_backend(story: Story) -> Callable[[Backend], None]:
    """A test that tells its story to each backend in turn."""

    @pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
    def test(backend: Backend) -> None:
        async def told() -> None:
            async with asyncio.timeout(STORY_SECONDS), backend() as store:
                await story(store)

        asyncio.run(told())

    test.__doc__ = story.__doc__
    return test


def a_pod(name: str, *, namespace: str = "shop", node: str = "", **spec: Any) -> KubeObject:
    meta = {"name": name, "namespace": namespace}
    bound = {"nodeName": node} if node else {}
    return cast(
        "KubeObject", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**bound, **spec}}
    )


def a_config(name: str, kind: str = "ConfigMap", **data: Any) -> KubeObject:
    meta = {"name": name, "namespace": "shop"}
    return cast("KubeObject", {"apiVersion": "v1", "kind": kind, "metadata": meta, "data": data})


def pod_key(name: str, namespace: str = "shop") -> Key:
    return Key("", "Pod", namespace, name)


def txn(*ops: Put | Delete | KubeObject, **more: Any) -> Txn:
    """A transaction; a bare object is a put of it."""
    puts = tuple(op if isinstance(op, Put | Delete) else Put(op) for op in ops)
    return Txn(puts, actor="test", cause="a story", **more)


def versions(committed: Committed) -> list[int]:
    return [int(obj["metadata"]["resourceVersion"]) for obj in committed.objects if obj]


async def changes(store: Store, after: int, *scopes: Scope) -> list[Change]:
    """What a watch brings until it has seen everything."""
    seen: list[Change] = []
    watch = store.watch(scopes or (PODS,), Position(after), bookmark_seconds=0.02)
    async with aclosing(watch) as batches:
        async for batch in batches:
            if not batch.changes:
                break
            seen += batch.changes
    return seen


def names(batch: Batch) -> list[str]:
    return [change.key.name for change in batch.changes]
