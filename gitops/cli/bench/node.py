"""`gitward bench node`: one node of ours against the raw Docker API and against Docker's Swarm mode, on one engine.

Each part starts a cluster of its own; ours and the peer run in turn, so that a busy machine slows both alike.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Final

import docker

from gitops.cli.bench.cluster import Cluster, running_cluster
from gitops.cli.bench.engine import COMMAND, IMAGE, load_bench_image
from gitops.cli.bench.floor import WIDTH, remove_raw, start_raw
from gitops.cli.bench.node_idle import exec_part, idle_part
from gitops.cli.bench.node_ours import Ours
from gitops.cli.bench.node_swarm import Swarm
from gitops.cli.usage import WrongUsage
from gitops.client import Client
from gitops.kinds.errors import NotFound, Unavailable

GOALS: Final = {
    "demand": 1.2,
    "spare": 0.6,
    "start 30": 1.0,
    "scale 10 to 50": 1.0,
    "roll 20": 1.0,
    "delete 50": 0.5,
}
ROLLED: Final = 20
STARTED: Final = 30
SCALED: Final = (10, 50)
FILL_SECONDS_MAX: Final = 120.0
LABEL_SPARE: Final = "io.gitward.spare"


def run_bench(*, only: str, pods: int, runs: int, spares: int) -> None:
    """Print a line for each figure of the parts in `only` (comma-separated; '': all). NotFound: no engine answers."""
    parts: Mapping[str, Callable[[docker.DockerClient], None]] = {
        "pods": lambda engine: _against_floor(engine, "demand", pods, runs, 0),
        "spare": lambda engine: _against_floor(engine, "spare", pods, runs, pods),
        "swarm": lambda engine: _against_swarm(engine, runs, 0),
        "swarm-spare": lambda engine: _against_swarm(engine, runs, spares),
        "idle": idle_part,
        "exec": exec_part,
    }
    wanted = [name.strip() for name in only.split(",")] if only else list(parts)
    if unknown := [name for name in wanted if name not in parts]:
        raise WrongUsage(f"--only: {unknown[0]!r} is none of {', '.join(parts)}")
    try:
        engine = docker.from_env(timeout=120)
        engine.ping()
    except docker.errors.DockerException as error:
        raise NotFound(f"no Docker engine: {error}; `make bench` brings its own") from error
    load_bench_image(engine)
    print(f"node: Docker {engine.version()['Version']}, {WIDTH} calls in flight", flush=True)
    for name in wanted:
        parts[name](engine)


def _against_floor(engine: docker.DockerClient, name: str, pods: int, runs: int, spares: int) -> None:
    """From the first of N pods being stored to the last one's being Ready."""
    pairs = []
    with _cluster(engine, spares) as cluster:
        for _ in range(runs):
            _await_spares(engine, spares)
            ours = asyncio.run(_timed_pods(cluster, engine, pods))
            floor = start_raw(engine, pods=pods, image=IMAGE, command=COMMAND)
            remove_raw(engine)
            pairs.append((ours, floor))
    how = f"{spares} spare sandboxes" if spares else "sandboxes on demand"
    _tell(
        f"{pods} pods stored to Ready, {how}",
        [(ours, floor) for ours, floor in pairs],
        f"the same {2 * pods} containers by the raw Docker API",
        GOALS[name],
    )


async def _timed_pods(cluster: Cluster, engine: docker.DockerClient, pods: int) -> float:
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        ours = Ours(client, engine)
        try:
            return await ours.pods(pods)
        finally:
            await ours.clear()


def _against_swarm(engine: docker.DockerClient, runs: int, spares: int) -> None:
    """A Deployment and a service of the same image: start, scale, roll, delete."""
    found: dict[str, list[tuple[float, float]]] = {}
    swarm = Swarm(engine)
    with _cluster(engine, spares) as cluster, swarm.on():
        for _ in range(runs):
            for step, ours in asyncio.run(_timed_steps(cluster, engine, spares)).items():
                found.setdefault(step, []).append((ours, 0.0))
            for step, seconds in swarm.steps(STARTED, SCALED, ROLLED).items():
                found[step][-1] = (found[step][-1][0], seconds)
    how = f", {spares} spare sandboxes" if spares else ""
    for step, pairs in found.items():
        goal = GOALS[step] if not spares or step == "delete 50" else (0.6 if _old(engine) else 0.8)
        _tell(f"{step} replicas{how}", pairs, "docker service in Swarm mode", goal)


async def _timed_steps(cluster: Cluster, engine: docker.DockerClient, spares: int) -> Mapping[str, float]:
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        ours, found = Ours(client, engine), {}
        few, many = SCALED
        await _ready_spares(engine, spares)
        found["start 30"] = await ours.deployment(STARTED)
        await ours.delete(STARTED)
        await _ready_spares(engine, spares)
        await ours.deployment(few)
        await _ready_spares(engine, spares)
        found["scale 10 to 50"] = await ours.scale(many)
        found["delete 50"] = await ours.delete(many)
        await _ready_spares(engine, spares)
        await ours.deployment(ROLLED)
        await _ready_spares(engine, spares)
        found["roll 20"] = await ours.roll(ROLLED)
        await ours.delete(ROLLED)
        return found


def _old(engine: docker.DockerClient) -> bool:
    return int(str(engine.version()["Version"]).split(".")[0]) < 28


def _tell(what: str, pairs: list[tuple[float, float]], peer: str, goal: float) -> None:
    """The medians, and the median of the ratios of each pair."""
    ours, theirs = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    ratio = median(pair[0] / pair[1] for pair in pairs)
    print(
        f"node: {what}: {ours:.2f} s; {peer}: {theirs:.2f} s; ratio {ratio:.2f} (goal <= {goal})", flush=True
    )


@contextmanager
def _cluster(engine: docker.DockerClient, spares: int) -> Iterator[Cluster]:
    with running_cluster({"spare-sandboxes": str(spares)}) as cluster:
        asyncio.run(_node_is_ready(cluster))
        _await_spares(engine, spares)
        yield cluster


async def _node_is_ready(cluster: Cluster) -> None:
    """Until a first pod runs, so that the pause image is loaded and nothing is left to begin."""
    engine = docker.from_env(timeout=120)
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        ours = Ours(client, engine)
        await ours.pods(1)
        await ours.clear()


def _await_spares(engine: docker.DockerClient, spares: int) -> None:
    asyncio.run(_ready_spares(engine, spares))


async def _ready_spares(engine: docker.DockerClient, spares: int) -> None:
    """Until they are made: they come when the node is at rest."""
    end = time.monotonic() + FILL_SECONDS_MAX
    while spares:
        labelled = await asyncio.to_thread(engine.api.containers, filters={"label": LABEL_SPARE})
        waiting = sum("_spare_" in one["Names"][0] for one in labelled)
        if waiting >= spares:
            return
        if time.monotonic() > end:
            raise Unavailable(f"{waiting} of {spares} spare sandboxes after {FILL_SECONDS_MAX:.0f} s")
        await asyncio.sleep(0.2)
