"""Delivery to watchers, for `bench store`: how long it takes from the commit until the last one has it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Final

import orjson

from gitops.cli.bench.pods import a_pod, with_status
from gitops.cli.bench.store_floor import BareStore
from gitops.kinds.core.pod import POD
from gitops.kinds.objects import with_meta
from gitops.store.contract import Put, Scope, Store, Txn, position

NODES: Final = 50
WATCHERS_A_NODE: Final = 20
PODS: Final = 5_000
LIST_OBJECTS: Final = 500
LISTS_PER_SECOND: Final = 20
WRITES: Final = 1_600
WRITES_PER_SECOND: Final = 200


class Deliveries:
    """When each write began, and when its last watcher had it."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.seen: dict[str, int] = {}
        self.milliseconds: list[float] = []
        self.complete = asyncio.Event()

    def arrived(self, version: str) -> None:
        self.seen[version] = self.seen.get(version, 0) + 1
        if self.seen[version] == WATCHERS_A_NODE:
            self.milliseconds.append((time.perf_counter() - self.begun[version]) * 1000)
            if len(self.milliseconds) == WRITES:
                self.complete.set()

    def p99(self) -> float:
        return sorted(self.milliseconds)[len(self.milliseconds) * 99 // 100]


async def delivery_ms(store: Store) -> float:
    """The 99th of a hundred, with lists beside."""
    for at in range(0, PODS, 1_000):
        pods = (a_pod(number, node=f"node-{number % NODES}") for number in range(at, at + 1_000))
        await store.commit(Txn(tuple(Put(pod) for pod in pods), actor="bench", cause="bench"))
    told = Deliveries()
    watching = [
        asyncio.create_task(_watch(store, f"node-{node}", told))
        for node in range(NODES)
        for _ in range(WATCHERS_A_NODE)
    ]
    listing = asyncio.create_task(_list(store))
    await asyncio.sleep(0.2)
    begin = time.perf_counter()
    writing = set()
    for number in range(WRITES):
        await asyncio.sleep(max(begin + number / WRITES_PER_SECOND - time.perf_counter(), 0))
        writing.add(asyncio.create_task(_write(store, number, told)))
    async with asyncio.timeout(30):
        await told.complete.wait()
    for task in (*watching, listing):
        task.cancel()
    await asyncio.gather(*watching, listing, *writing, return_exceptions=True)
    return told.p99()


async def _write(store: Store, number: int, told: Deliveries) -> None:
    pod = with_status(a_pod(number, node=f"node-{number % NODES}"), number, ready=True)
    mark = f"w{number}"
    told.begun[mark] = time.perf_counter()
    await store.commit(Txn((Put(with_meta(pod, annotations={"bench": mark})),), actor="bench", cause="bench"))


async def _watch(store: Store, node: str, told: Deliveries) -> None:
    scope = Scope("", "Pod", field=("spec.nodeName", node))
    async with aclosing(store.watch((scope,), position(store.view().revision))) as batches:
        async for batch in batches:
            for change in batch.changes:
                if change.after is not None:
                    told.arrived(change.after["metadata"].get("annotations", {})["bench"])


async def _list(store: Store) -> None:
    while True:
        await asyncio.sleep(1 / LISTS_PER_SECOND)
        listed = store.view().list(POD)
        orjson.dumps([pod for pod, _ in zip(listed, range(LIST_OBJECTS), strict=False)])


async def floor_delivery_ms(folder: Path) -> float:
    """The same writes to bare SQLite in a thread, and a queue for each of the 20 whom they concern."""
    told, loop = Deliveries(), asyncio.get_running_loop()
    queues = [asyncio.Queue[str]() for _ in range(WATCHERS_A_NODE)]
    waiting = [asyncio.create_task(_wait(queue, told)) for queue in queues]
    with ThreadPoolExecutor(1) as disk:
        bare = await loop.run_in_executor(disk, BareStore, folder / "bare.db")
        begin = time.perf_counter()
        for number in range(WRITES):
            await asyncio.sleep(max(begin + number / WRITES_PER_SECOND - time.perf_counter(), 0))
            pod, mark = a_pod(number, node=f"node-{number % NODES}"), f"w{number}"
            told.begun[mark] = time.perf_counter()
            await loop.run_in_executor(disk, bare.write, [[pod]])
            for queue in queues:
                queue.put_nowait(mark)
        await told.complete.wait()
        await loop.run_in_executor(disk, bare.close)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return told.p99()


async def _wait(queue: asyncio.Queue[str], told: Deliveries) -> None:
    while True:
        told.arrived(await queue.get())
