"""`gitward bench store`: what the store promises, each beside bare SQLite with the same durability in the same run.

Transactions by 1, 8 and 64 writers; one commit of 10,000 objects; watchers; bytes written for a pod's life; the memory
of a view and the start of a master, each of these two in a process of its own.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from gitops.cli.bench.pods import APPS, a_pod, life_of
from gitops.cli.bench.store_child import memory_of_a_view, start_of_a_master
from gitops.cli.bench.store_floor import BareStore
from gitops.cli.bench.store_watch import delivery_ms, floor_delivery_ms
from gitops.clock import SystemClock
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Put, Txn
from gitops.store.sqlite import SqliteStore

TRANSACTIONS: Final = {1: 2_000, 8: 8_000, 64: 16_000}  # By how many writers, so many of them.
FLOOR_TRANSACTIONS: Final = 2_000
GOAL_FASTER_AT_64: Final = 4.0
COMMIT_OBJECTS: Final = 10_000
GOAL_COMMIT_SECONDS: Final = 0.5
LIVES: Final = 4_000
LIFE_GROUP: Final = 64
GOAL_WRITTEN: Final = 0.2
GOAL_DELIVERY_MS: Final = 20.0
GOAL_VIEW_MB: Final = 100
GOAL_START_SECONDS: Final = 3.0


def run_bench(*, runs: int, directory: Path | None) -> None:
    """Print each figure, its floor and their ratio. `directory`: on the disk that is to be measured."""
    gc.disable()  # As in the master.
    with tempfile.TemporaryDirectory(prefix="gitward-bench-", dir=directory) as made:
        folder = Path(made)
        for writers in TRANSACTIONS:
            _transactions(folder, writers, runs)
        _commit(folder, runs)
        _lives(folder)
        _watchers(folder)
        _view(folder)
        _start(folder)


def _transactions(folder: Path, writers: int, runs: int) -> None:
    pods = [a_pod(number) for number in range(TRANSACTIONS[writers])]
    pairs = [(_per_second(folder, pods, writers), _bare_per_second(folder)) for _ in range(runs)]
    ours, floor = _medians(pairs)
    goal = f" (goal >= {GOAL_FASTER_AT_64:g})" if writers == 64 else ""
    print(
        f"store: {writers} writers: {ours:,.0f} durable transactions/s of whole pods; one fsync each, bare SQLite:"
        f" {floor:,.0f}/s; ratio {ours / floor:.2f}{goal}",
        flush=True,
    )


def _per_second(folder: Path, pods: Sequence[KubeObject], writers: int) -> float:
    async def write() -> float:
        async with _store(folder) as store:
            waiting = iter(pods)

            async def writer() -> None:
                for pod in waiting:
                    await store.commit(_txn([pod]))

            begin = time.perf_counter()
            await asyncio.gather(*(writer() for _ in range(writers)))
            return len(pods) / (time.perf_counter() - begin)

    return uvloop.run(write())


def _bare_per_second(folder: Path) -> float:
    pods = [a_pod(number) for number in range(FLOOR_TRANSACTIONS)]
    with _bare(folder) as bare:
        begin = time.perf_counter()
        for pod in pods:
            bare.write([[pod]])
        return len(pods) / (time.perf_counter() - begin)


def _commit(folder: Path, runs: int) -> None:
    pods = [a_pod(number) for number in range(COMMIT_OBJECTS)]
    pairs = [(_one_commit(folder, pods), _bare_commit(folder, pods)) for _ in range(runs)]
    ours, floor = median(pair[0][0] for pair in pairs), median(pair[1] for pair in pairs)
    stopped = median(pair[0][1] for pair in pairs)
    print(
        f"store: one commit of {COMMIT_OBJECTS:,} objects {ours:.3f} s (goal < {GOAL_COMMIT_SECONDS:g}), of which the"
        f" loop stands still for {stopped:.3f} s; the rows alone, bare SQLite: {floor:.3f} s; ratio {ours / floor:.2f}",
        flush=True,
    )


def _one_commit(folder: Path, pods: Sequence[KubeObject]) -> tuple[float, float]:
    """Seconds in all, and the longest time for which nothing else ran on the loop."""

    async def write() -> tuple[float, float]:
        async with _store(folder) as store:
            beats = [time.perf_counter()]

            async def beat() -> None:
                while True:
                    await asyncio.sleep(0.001)
                    beats.append(time.perf_counter())

            beating = asyncio.create_task(beat())
            await asyncio.sleep(0.01)
            begin = time.perf_counter()
            await store.transact(lambda _: _txn(pods))
            took = time.perf_counter() - begin
            await asyncio.sleep(0.005)
            beating.cancel()
            return took, max(later - earlier for earlier, later in pairwise(beats))

    return uvloop.run(write())


def _bare_commit(folder: Path, pods: Sequence[KubeObject]) -> float:
    with _bare(folder) as bare:
        begin = time.perf_counter()
        bare.write([pods])
        return time.perf_counter() - begin


def _lives(folder: Path) -> None:
    """Of pods that a rollout brings: each ReplicaSet creates its own at once; binds and statuses come 64 at a time."""
    lives = [[life_of(number) for number in range(app, LIVES, APPS)] for app in range(APPS)]
    # What shares an fsync: transactions, of objects.
    rounds: list[list[list[KubeObject]]] = [[[life[0] for life in pods]] for pods in lives]
    for step in (1, 2, 3):
        written: list[list[KubeObject]] = [[life[step]] for pods in lives for life in pods]
        rounds += [written[at : at + LIFE_GROUP] for at in range(0, LIVES, LIFE_GROUP)]
    with _bare(folder) as bare:
        begin = _written_bytes()
        bodies = sum(bare.write(transactions) for transactions in rounds)
        floor = _written_bytes() - begin

    async def write() -> int:
        async with _store(folder) as store:
            begin = _written_bytes()
            for transactions in rounds:
                await asyncio.gather(*(store.commit(_txn(pods)) for pods in transactions))
            return _written_bytes() - begin

    ours = uvloop.run(write())
    print(
        f"store: a pod's life of 4 writes: {ours / LIVES:,.0f} bytes written for {bodies / LIVES:,.0f} of bodies: ratio"
        f" {ours / bodies:.2f} (goal <= {GOAL_WRITTEN:g}); unpacked, bare SQLite: {floor / LIVES:,.0f}; ratio"
        f" {ours / floor:.2f}",
        flush=True,
    )


def _txn(objects: Iterable[KubeObject]) -> Txn:
    return Txn(tuple(Put(obj) for obj in objects), actor="bench", cause="bench")


def _written_bytes() -> int:
    """By this process so far, to whatever file."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


def _watchers(folder: Path) -> None:
    async def measure() -> tuple[float, float]:
        async with _store(folder) as store:
            return await delivery_ms(store), await floor_delivery_ms(folder)

    ours, floor = uvloop.run(measure())
    print(
        f"store: 1,000 watchers, 200 writes/s that concern 20 each, lists of 500 beside: p99 from commit to the last"
        f" watcher {ours:.1f} ms (goal < {GOAL_DELIVERY_MS:g}); bare SQLite and 20 queues, nothing beside: {floor:.1f}"
        f" ms; ratio {ours / floor:.2f}",
        flush=True,
    )


def _view(folder: Path) -> None:
    found = memory_of_a_view(folder)
    print(
        f"store: the view of {found.objects:,} pods: {found.cold_mb:.0f} MB after the start, {found.hot_mb:.0f} MB once"
        f" all were read (goal < {GOAL_VIEW_MB}); as JSON texts in a dict: {found.floor_mb:.0f} MB; ratio"
        f" {found.hot_mb / found.floor_mb:.2f}",
        flush=True,
    )


def _start(folder: Path) -> None:
    found = start_of_a_master(folder)
    print(
        f"store: a master with {found.objects:,} objects serves after {found.seconds:.2f} s (goal <"
        f" {GOAL_START_SECONDS:g}), {found.empty_seconds:.2f} s with none; the same bodies read and parsed by bare"
        f" SQLite: {found.floor_seconds:.2f} s; ratio {found.seconds / found.floor_seconds:.2f}",
        flush=True,
    )


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


@contextmanager
def _bare(folder: Path) -> Iterator[BareStore]:
    with tempfile.TemporaryDirectory(dir=folder) as made:
        bare = BareStore(Path(made) / "bare.db")
        yield bare
        bare.close()


@asynccontextmanager
async def _store(folder: Path) -> AsyncIterator[SqliteStore]:
    with tempfile.TemporaryDirectory(dir=folder) as made:
        store = await SqliteStore.open(Path(made) / "state.db", Path(made) / "store.key", SystemClock().now)
        try:
            yield store
        finally:
            await store.close()
