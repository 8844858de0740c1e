"""What `bench store` measures in processes of their own: the memory of a view, and the start of a master."""

import asyncio
import gc
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

import orjson

from gitops.cli.bench.pods import NAMESPACE, a_pod, with_status
from gitops.cli.bench.store_floor import BareStore, load_bare
from gitops.clock import SystemClock
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import Unavailable
from gitops.kinds.objects import KubeObject
from gitops.master import KEY_FILE, STORE_FILE
from gitops.store.contract import Put, Txn
from gitops.store.sqlite import SqliteStore
from gitops.store.sqlite_file import open_file

PODS: Final = 30_000
OBJECTS: Final = 50_000
NODES: Final = 100
BATCH: Final = 1_000
START_SECONDS_MAX: Final = 60.0


class ViewMemory(NamedTuple):
    objects: int
    cold_mb: float
    hot_mb: float
    floor_mb: float


class Start(NamedTuple):
    objects: int
    seconds: float
    empty_seconds: float
    floor_seconds: float


def memory_of_a_view(folder: Path) -> ViewMemory:
    """How much a process grows by the view of 30,000 pods."""
    directory = folder / "view"
    asyncio.run(_fill(directory, _pods(PODS)))
    cold, hot = _in_a_child(_grown_by_a_view, directory)
    (floor,) = _in_a_child(_grown_by_texts, directory)
    return ViewMemory(PODS, cold, hot, floor)


def start_of_a_master(folder: Path) -> Start:
    """From the start of the process to its line `ready`."""
    directory, empty = folder / "start", folder / "empty"
    asyncio.run(_fill(directory, _objects()))
    bare = BareStore(folder / "start.db")
    bare.write([[obj] for obj in _objects()])
    bare.close()
    return Start(
        OBJECTS, _seconds_to_ready(directory), _seconds_to_ready(empty), load_bare(folder / "start.db")
    )


def _pods(count: int) -> Iterator[Pod]:
    for number in range(count):
        yield with_status(a_pod(number, node=f"node-{number % NODES}"), number, ready=True)


def _objects() -> Iterator[KubeObject]:
    """A cluster in which no controller has anything to do: what is measured is the store."""
    for name in (*(f"node-{number}" for number in range(NODES)), NAMESPACE):
        kind = "Namespace" if name == NAMESPACE else "Node"
        yield cast(KubeObject, {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": f"uid-of-{name}"},
                                "spec": {}, "status": {}})  # fmt: skip
    for pod in _pods(OBJECTS // 2):
        meta = {name: value for name, value in pod["metadata"].items() if name != "ownerReferences"}
        status = {**pod["status"], "phase": "Succeeded"}
        yield cast(KubeObject, {**pod, "metadata": meta, "status": status})
    for number in range(OBJECTS // 2):
        meta = {"name": f"settings-{number}", "namespace": NAMESPACE, "uid": f"uid-of-settings-{number}"}
        data = {f"key-{n}": f"a value of {number}" for n in range(8)}
        yield cast(KubeObject, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


async def _fill(directory: Path, objects: Iterator[KubeObject]) -> None:
    store = await SqliteStore.open(directory / STORE_FILE, directory / KEY_FILE, SystemClock().now)
    while batch := [Put(obj) for _, obj in zip(range(BATCH), objects, strict=False)]:
        await store.commit(Txn(tuple(batch), actor="bench", cause="bench"))
    await store.close()


def _in_a_child(measure: Callable[[Path], tuple[float, ...]], directory: Path) -> tuple[float, ...]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (directory,))


def _grown_by_a_view(directory: Path) -> tuple[float, float]:
    before = _resident_mb()
    opened = open_file(directory / STORE_FILE, directory / KEY_FILE)
    cold = _resident_mb() - before
    count = sum(1 for _ in opened.view.list(POD))
    assert count == PODS, f"{count} pods were found"
    return cold, _resident_mb() - before


def _grown_by_texts(_: Path) -> tuple[float]:
    before = _resident_mb()
    texts = {obj["metadata"].get("name", ""): orjson.dumps(obj) for obj in _pods(PODS)}
    assert len(texts) == PODS
    return (_resident_mb() - before,)


def _resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _seconds_to_ready(directory: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = (sys.executable, "-m", "gitops.cli.main", "up", "--node", "none", "--data-dir", str(directory),
               "--listen", f"127.0.0.1:{port}", "--webhook-listen", "")  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITWARD_")}
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    try:
        assert process.stdout is not None
        select.select([process.stdout], [], [], START_SECONDS_MAX)
        took = time.perf_counter() - begin
        if process.poll() is not None or took >= START_SECONDS_MAX:
            raise Unavailable(f"the master on {directory} did not start")
        return took
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
