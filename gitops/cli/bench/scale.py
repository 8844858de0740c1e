"""`gitward bench scale`: one scale-up to many pods, from the Deployment to every pod Ready on simulated nodes.

In one process of its own: a SQLite store that fsyncs every commit, the runner with all controllers and the scheduler,
and for each node a stub of an agent that watches its pods and reports each twice (running, then Ready) through
admission. Not measured: the API's wire and real agents. The floor writes as many rows of the same sizes to bare SQLite,
64 transactions to a commit, as the store's writer groups them under load.
"""

import asyncio
import gc
import multiprocessing
import os
import resource
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from statistics import median
from typing import Any, Final, cast

import orjson

from gitops.admission import admit_create, admit_update
from gitops.clock import RandomMint, SystemClock
from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.endpoints import ENDPOINTS_CONTROLLER
from gitops.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER
from gitops.controllers.endpointslice_mirroring import MIRRORING_CONTROLLER
from gitops.controllers.event_ttl import EVENT_TTL
from gitops.controllers.garbage import GARBAGE_COLLECTOR
from gitops.controllers.namespace import NAMESPACE_CONTROLLER
from gitops.controllers.node_cidr import node_cidr
from gitops.controllers.node_lifecycle import node_lifecycle
from gitops.controllers.pod_gc import pod_gc
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.controllers.taint_eviction import taint_eviction
from gitops.kinds import registry
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import Conflict
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, timestamp
from gitops.reconcile import Reader
from gitops.runner import Runner
from gitops.scheduler import SCHEDULER
from gitops.store.contract import ABSENT, Batch, Position, Put, Scope, Txn
from gitops.store.sqlite import SqliteStore

GOAL_SECONDS: Final = 8.0  # For 10,000 pods.
GOAL_MB: Final = 250
SECONDS_MAX: Final = 600.0
NAMESPACE: Final = "bench"
POD_CIDR: Final = IPv4Network("10.0.0.0/8")
GROUP: Final = 64  # Transactions that share an fsync.


@dataclass
class Tally:
    """What one run took, and what it wrote."""

    seconds: float = 0.0
    resident_mb: float = 0.0
    cpu_seconds: float = 0.0
    transactions: int = 0
    events: int = 0  # Changes that watchers were told of.
    kinds: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    reconciles: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    lag_ms: float = 0.0

    def note(self, batch: Batch) -> None:
        self.transactions += 1
        self.events += len(batch.changes)
        for change in batch.changes:
            self.kinds[change.key.kind] += 1
            if len(self.sizes) < 1000 and change.after is not None:
                self.sizes.append(len(orjson.dumps(change.after)))


def run_bench(*, pods: int, nodes: int, runs: int) -> None:
    """Print the median of `runs` pairs, what a pod cost in writes, and the ratio to the floor."""
    pairs = []
    for number in range(runs):
        tally = _in_a_process(pods, nodes)
        floor = _floor(tally)
        pairs.append((tally, floor))
        print(
            f"run {number + 1}: ours {tally.seconds:.2f} s, {tally.resident_mb:.0f} MB; floor {floor:.2f} s",
            flush=True,
        )
    ours, floor = median(one.seconds for one, _ in pairs), median(floor for _, floor in pairs)
    tally = min((one for one, _ in pairs), key=lambda one: abs(one.seconds - ours))
    written = sum(tally.kinds.values())
    kinds = ", ".join(f"{name} {number / pods:.2f}" for name, number in tally.kinds.most_common(5))
    rounds = ", ".join(f"{name} {number}" for name, number in tally.reconciles.most_common())
    print(
        f"\n{tally.transactions} transactions, {tally.events} events, {written / pods:.2f} writes per pod ({kinds})"
        f"\nreconciles: {rounds}; {tally.conflicts} conflicts"
        f"\nCPU {tally.cpu_seconds:.1f} s; the loop was held up to {tally.lag_ms:.0f} ms"
    )
    print(
        f"scale: 0 -> {pods} Ready pods on {nodes} simulated nodes {ours:.2f} s (goal < {GOAL_SECONDS:.0f} s for "
        f"10,000), {tally.resident_mb:.0f} MB resident (goal < {GOAL_MB}); the same {written} rows in grouped "
        f"commits by bare SQLite {floor:.2f} s; ratio {ours / floor:.2f}"
    )


def _in_a_process(pods: int, nodes: int) -> Tally:
    """Of its own, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_run, (pods, nodes))


def _run(pods: int, nodes: int) -> Tally:
    import uvloop

    with tempfile.TemporaryDirectory(prefix="gitward-scale.") as folder:
        return uvloop.run(_scale(Path(folder), pods, nodes))


async def _scale(folder: Path, pods: int, nodes: int) -> Tally:
    tally = Tally()
    async with _cluster(folder, nodes) as (store, runner):
        gc.collect()
        gc.freeze()
        gc.disable()
        forget = store.subscribe(tally.note)
        before, cpu = time.monotonic(), time.process_time()
        watch = asyncio.create_task(_lag(tally))
        await _create(store, _deployment(pods))
        async with asyncio.timeout(SECONDS_MAX):
            while not _is_ready(store.view(), pods):
                await asyncio.sleep(0.01)
        tally.seconds, tally.cpu_seconds = time.monotonic() - before, time.process_time() - cpu
        tally.resident_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        tally.reconciles = Counter(runner.reconciles)
        tally.conflicts = sum(runner.conflicts.values())
        watch.cancel()
        forget()
    return tally


@asynccontextmanager
async def _cluster(folder: Path, nodes: int) -> AsyncIterator[tuple[SqliteStore, Runner]]:
    """Store, runner and agents, settled."""
    clock, mint = SystemClock(), RandomMint()
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(folder / "state.db", folder / "store.key", clock.now)
        stack.push_async_callback(store.close)
        await _create(store, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for number in range(nodes):
            await _create(store, _node(f"simulated-{number + 1}"))
        controllers = (
            *(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER, ENDPOINT_SLICE_CONTROLLER),
            *(ENDPOINTS_CONTROLLER, MIRRORING_CONTROLLER, NAMESPACE_CONTROLLER, GARBAGE_COLLECTOR, EVENT_TTL),
            *(node_cidr(POD_CIDR), node_lifecycle(clock.now())),
            *(taint_eviction(clock.now()), pod_gc(clock.now())),
        )
        runner = Runner(store, controllers, clock, mint)
        tasks = [asyncio.create_task(runner.run())]
        tasks += [asyncio.create_task(_agent(store, f"simulated-{one + 1}")) for one in range(nodes)]
        while not all(node["spec"].get("podCIDR") for node in store.view().list(NODE)):
            await asyncio.sleep(0.05)
        try:
            yield store, runner
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _agent(store: SqliteStore, node: str) -> None:
    """Reports each pod that comes: running, then Ready."""
    scope = Scope("", "Pod", field=("spec.nodeName", node))
    addresses = iter(range(2, 1 << 16))
    seen: set[Key] = set()
    async with aclosing(store.watch((scope,), Position(0))) as batches, asyncio.TaskGroup() as pods:
        async for batch in batches:
            for change in batch.changes:
                if change.after is not None and change.key not in seen:
                    seen.add(change.key)
                    pods.create_task(_live(store, change.key, f"10.0.{next(addresses)}"))


async def _live(store: SqliteStore, key: Key, address: str) -> None:
    for ready in (False, True):
        while True:
            try:
                await store.transact(lambda view, ready=ready: _reported(view, key, address, ready))  # type: ignore[misc] # No type for a default.
            except Conflict:
                continue
            break


def _reported(view: Reader, key: Key, address: str, ready: bool) -> Txn:
    pod = view.get(POD, key)
    assert pod is not None
    now = SystemClock().now()
    state: dict[str, object] = {"running": {"startedAt": timestamp(now)}}
    container = {
        "name": "app",
        "ready": ready,
        "restartCount": 0,
        "image": "app:1",
        "imageID": "app",
        "state": state,
    }
    told = {"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp(now)}
    conditions = [one for one in (pod.get("status") or {}).get("conditions") or () if one["type"] != "Ready"]
    status = {
        **(pod.get("status") or {}),
        "phase": "Running",
        "podIP": address,
        "startTime": timestamp(now),
        "containerStatuses": [container],
        "conditions": [*conditions, told],
    }
    new = cast(Pod, {**pod, "status": status})
    obj = admit_update(view, POD, pod, new, now=now, manager=None, subresource="status")
    return Txn(
        (Put(obj, Position(int(pod["metadata"]["resourceVersion"]))),), actor="system:node", cause="status"
    )


async def _create(store: SqliteStore, obj: Any) -> None:
    kind = registry.find(*key_of(obj)[:2])
    assert kind is not None
    clock = SystemClock()

    def build(view: Reader) -> Txn:
        made: KubeObject = admit_create(view, kind, obj, now=clock.now(), mint=RandomMint(), manager="bench")
        return Txn((Put(made, ABSENT),), actor="bench", cause="bench")

    await store.transact(build)


def _is_ready(view: Reader, pods: int) -> bool:
    found = view.get(DEPLOYMENT, DEPLOYMENT.key(NAMESPACE, "app"))
    return found is not None and (found.get("status") or {}).get("availableReplicas") == pods


async def _lag(tally: Tally) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        tally.lag_ms = max(tally.lag_ms, (time.monotonic() - before - 0.005) * 1000)


def _node(name: str) -> dict[str, object]:
    amounts = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
        },
    }


def _deployment(pods: int) -> dict[str, object]:
    container = {
        "name": "app",
        "image": "registry.example/app:1",
        "ports": [{"containerPort": 8080}],
        "env": [{"name": "MODE", "value": "production"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": NAMESPACE},
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [container]}},
        },
    }


def _floor(tally: Tally) -> float:
    """Seconds for as many rows of such sizes."""
    rows = sum(tally.kinds.values())
    commits = max(tally.transactions // GROUP, 1)
    bodies = [os.urandom(size) for size in tally.sizes] or [b"x"]
    with tempfile.TemporaryDirectory(prefix="gitward-scale.") as folder:
        connection = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE history (key TEXT, position INTEGER PRIMARY KEY, body BLOB)")
        begin = time.monotonic()
        written = 0
        for number in range(commits):
            upto = rows * (number + 1) // commits
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO history VALUES (?, ?, ?)",
                ((f"Pod/bench/app-{at}", at, bodies[at % len(bodies)]) for at in range(written, upto)),
            )
            connection.execute("COMMIT")
            written = upto
        seconds = time.monotonic() - begin
        connection.close()
    return seconds
