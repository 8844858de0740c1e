"""`gitward bench deploy`: from a hook's receipt to N Ready pods, against the raw Docker API: where the time goes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import docker

from gitops.cli.bench.cluster import Cluster, running_cluster
from gitops.cli.bench.floor import WIDTH, remove_raw, start_raw
from gitops.client import Client, follow
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import NotFound
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.kind import Kind

GOAL_RATIO: Final = 1.5
NAMESPACE: Final = "apiVersion: v1\nkind: Namespace\nmetadata: {name: bench}\n"
READY_SECONDS_MAX: Final = 300.0
IMAGE: Final = "gitward.example/bench:1"
COMMAND: Final = ("/bin/busybox", "sleep", "3600")
STAGES: Final = {
    "declared": "git: fetch, read, check, declare",
    "deployment": "store, apply: the Deployment is live",
    "created": "controllers: the pods are there",
    "scheduled": "scheduler: each has a node",
    "container created": "agent: sandboxes, network, create",
    "container started": "agent: start",
    "ready": "status: each is Ready",
}


@dataclass
class Timeline:
    """When each stage was reached by the last pod, in seconds after the hook was sent."""

    begin: float
    seconds: dict[str, float] = field(default_factory=dict)
    pods: dict[str, set[str]] = field(default_factory=dict)

    def reach(self, stage: str, pod: str = "") -> None:
        """A stage counts when its last pod gets there."""
        seen = self.pods.setdefault(stage, set())
        if pod not in seen:
            seen.add(pod)
            self.seconds[stage] = time.monotonic() - self.begin


def run_bench(*, pods: int, runs: int) -> None:
    """Print the median of `runs` pairs, their ratio and the table. NotFound: no engine answers at DOCKER_HOST."""
    try:
        engine = docker.from_env(timeout=120)
        engine.ping()
    except docker.errors.DockerException as error:
        raise NotFound(f"no Docker engine: {error}; `make bench` brings its own") from error
    _load_image(engine)
    pairs = []
    with running_cluster() as cluster:
        cluster.commit({"namespace.yaml": NAMESPACE}, "a namespace")
        for number in range(runs):
            timeline = asyncio.run(_ours(cluster, pods, number))
            start = start_raw(engine, pods=pods, image=IMAGE, command=COMMAND)
            remove_raw(engine)
            pairs.append((timeline, start))
            print(
                f"run {number + 1}: ours {timeline.seconds['ready']:.2f} s, floor {start:.2f} s", flush=True
            )
    ours, floor = median(pair[0].seconds["ready"] for pair in pairs), median(pair[1] for pair in pairs)
    middle = min((pair[0] for pair in pairs), key=lambda timeline: abs(timeline.seconds["ready"] - ours))
    _print_table(middle)
    print(
        f"deploy: hook to {pods} Ready pods {ours:.2f} s; the same {2 * pods} containers by the raw Docker API,"
        f" {WIDTH} at a time, {floor:.2f} s; ratio {ours / floor:.2f} (goal <= {GOAL_RATIO})"
    )


def _print_table(timeline: Timeline) -> None:
    before = 0.0
    print(f"\n{'stage':<42}{'reached':>9}{'took':>9}")
    for stage, words in STAGES.items():
        reached = timeline.seconds.get(stage, before)
        took = max(reached - before, 0.0)
        print(
            f"{words:<42}{reached:>8.2f}s{took:>8.2f}s  {'#' * round(40 * took / timeline.seconds['ready'])}"
        )
        before = max(before, reached)
    print()


async def _ours(cluster: Cluster, pods: int, number: int) -> Timeline:
    """One commit that brings the pods, and one that takes them away."""
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        commit = cluster.commit({"app.yaml": _deployment(pods, number)}, f"run {number}")
        timeline = Timeline(time.monotonic())
        async with _watching(client, timeline, commit):
            cluster.hook()
            await _until(lambda: len(timeline.pods.get("ready", ())) == pods)
        cluster.commit({"app.yaml": ""}, f"end of run {number}\n\nGitward-Allow-Prune: all")
        cluster.hook()
        while (await client.list(POD, "bench")).items:
            await asyncio.sleep(0.2)
        return timeline


async def _until(reached: Any) -> None:
    async with asyncio.timeout(READY_SECONDS_MAX):
        while not reached():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _watching(client: Client, timeline: Timeline, commit: str) -> AsyncIterator[None]:
    """Note on the timeline what the API and the engine's events tell."""
    watchers = [
        asyncio.create_task(_watch(client, timeline, kind, commit)) for kind in (GIT_SOURCE, DEPLOYMENT, POD)
    ]
    engine = docker.from_env()
    events = engine.events(decode=True, filters={"type": "container"})
    watchers.append(asyncio.create_task(asyncio.to_thread(_engine_events, events, timeline)))
    try:
        await asyncio.sleep(0.5)  # Let the watches open: they are not part of what is measured.
        timeline.begin = time.monotonic()
        yield
    finally:
        events.close()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _watch(client: Client, timeline: Timeline, kind: Kind[Any], commit: str) -> None:
    async for event in follow(client, kind):
        obj = event.object
        if obj is None or event.type == "DELETED":
            continue
        if kind is GIT_SOURCE:
            if obj.get("status", {}).get("commit", {}).get("declared") == commit:
                timeline.reach("declared")
        elif kind is DEPLOYMENT:
            timeline.reach("deployment")
        else:
            _note_pod(timeline, obj)


def _note_pod(timeline: Timeline, pod: Pod) -> None:
    name = pod["metadata"].get("name", "")
    timeline.reach("created", name)
    if pod["spec"].get("nodeName"):
        timeline.reach("scheduled", name)
    conditions = (pod.get("status") or {}).get("conditions") or []
    if any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions):
        timeline.reach("ready", name)


def _engine_events(events: Any, timeline: Timeline) -> None:
    for event in events:
        if event["Action"] in ("create", "start"):
            timeline.reach(
                f"container {event['Action']}{'d' if event['Action'] == 'create' else 'ed'}", event["id"]
            )


def _deployment(pods: int, number: int) -> str:
    command = ", ".join(f'"{word}"' for word in COMMAND)
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-{number}, namespace: bench}}
spec:
  replicas: {pods}
  selector: {{matchLabels: {{app: app-{number}}}}}
  template:
    metadata: {{labels: {{app: app-{number}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: app, image: "{IMAGE}", command: [{command}]}}]
"""


def _load_image(engine: docker.DockerClient) -> None:
    """Busybox alone, from this machine."""
    import io
    import tarfile
    from pathlib import Path

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        busybox = Path("/bin/busybox").read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(busybox), 0o755
        tar.addfile(entry, io.BytesIO(busybox))
    name, _, tag = IMAGE.partition(":")
    engine.api.import_image_from_data(buffer.getvalue(), repository=name, tag=tag)
