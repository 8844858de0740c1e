"""What `bench node` asks of Gitward: pods and a Deployment, and how long each change takes to be everywhere."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

import docker

from gitops.cli.bench.engine import COMMAND, IMAGE
from gitops.client import Client, follow
from gitops.kinds.apps import DEPLOYMENT, Deployment
from gitops.kinds.core.pod import POD, Pod, is_ready
from gitops.kinds.objects import is_going

NAMESPACE: Final = "default"
NAME: Final = "bench"
VERSION: Final = "version"
SECONDS_MAX: Final = 300.0
LABEL_CONTAINER: Final = "io.gitward.container"
CONTAINER: Final = "app"


class Ours:
    """The namespace `default` of a cluster that nobody else uses."""

    def __init__(self, client: Client, engine: docker.DockerClient) -> None:
        self._client, self._engine = client, engine
        self._pods: dict[str, Pod] = {}
        self._changed = asyncio.Event()

    async def pods(
        self, count: int, container: Mapping[str, Any] | None = None, *, prefix: str = NAME
    ) -> float:
        """Seconds from the first of `count` more pods being sent to the last one's being Ready."""
        bodies = [_pod(f"{prefix}-{number}", container or {}) for number in range(count)]
        async with self._watching():
            wanted = len(self._pods) + count
            begin = time.monotonic()
            await asyncio.gather(*(self._client.create(POD, body) for body in bodies))
            await self._until(lambda: self._ready() == wanted)
            return time.monotonic() - begin

    async def clear(self) -> None:
        """Every pod away, and every container."""
        async with self._watching():
            for pod in tuple(self._pods.values()):
                await self._client.delete(POD, NAMESPACE, pod["metadata"].get("name", ""), grace_seconds=0)
            await self._until(lambda: not self._pods)
        await self._gone(0)

    async def deployment(self, replicas: int) -> float:
        """Seconds from its being sent to as many Ready pods."""
        async with self._watching():
            begin = time.monotonic()
            await self._client.create(DEPLOYMENT, _deployment(replicas))
            await self._until(lambda: self._ready() == replicas)
            return time.monotonic() - begin

    async def scale(self, replicas: int) -> float:
        async with self._watching():
            begin = time.monotonic()
            await self._client.patch(DEPLOYMENT, NAMESPACE, NAME, {"spec": {"replicas": replicas}})
            await self._until(lambda: self._ready() == replicas)
            return time.monotonic() - begin

    async def roll(self, replicas: int) -> float:
        """Seconds until every pod is a Ready one of the new version and no container of the old one runs."""
        template = {"metadata": {"labels": {VERSION: "2"}}}
        async with self._watching():
            begin = time.monotonic()
            await self._client.patch(DEPLOYMENT, NAMESPACE, NAME, {"spec": {"template": template}})
            await self._until(lambda: self._ready("2") == replicas == len(self._pods))
            await self._gone(replicas)
            return time.monotonic() - begin

    async def delete(self, replicas: int) -> float:
        """Seconds until no container of its `replicas` pods runs and no pod is left."""
        async with self._watching():
            await self._until(lambda: len(self._pods) == replicas)
            begin = time.monotonic()
            await self._client.delete(DEPLOYMENT, NAMESPACE, NAME)
            await self._until(lambda: not self._pods)
            await self._gone(0)
            return time.monotonic() - begin

    def _ready(self, version: str = "") -> int:
        return sum(
            is_ready(pod) and not is_going(pod)
            for pod in self._pods.values()
            if version in ("", pod["metadata"].get("labels", {}).get(VERSION))
        )

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def _gone(self, left: int) -> None:
        """Until at most `left` containers of pods are there, running or not."""
        wanted = {"label": f"{LABEL_CONTAINER}={CONTAINER}"}
        async with asyncio.timeout(SECONDS_MAX):
            while len(await asyncio.to_thread(self._engine.api.containers, all=True, filters=wanted)) > left:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        synced = asyncio.Event()
        watcher = asyncio.create_task(self._watch(synced))
        await synced.wait()
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch(self, synced: asyncio.Event) -> None:
        self._pods.clear()
        async with aclosing(follow(self._client, POD, NAMESPACE)) as events:
            async for event in events:
                if event.object is None:
                    synced.set()
                    continue
                name = event.object["metadata"].get("name", "")
                if event.type == "DELETED":
                    self._pods.pop(name, None)
                else:
                    self._pods[name] = event.object
                self._changed.set()


def _spec(container: Mapping[str, Any]) -> Mapping[str, Any]:
    app = {"name": CONTAINER, "image": IMAGE, "command": list(COMMAND), **container}
    return {"terminationGracePeriodSeconds": 10, "containers": [app]}


def _pod(name: str, container: Mapping[str, Any]) -> Pod:
    meta = {"name": name, "namespace": NAMESPACE}
    return cast(Pod, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": _spec(container)})


def _deployment(replicas: int) -> Deployment:
    """A roll makes five at a time beyond its replicas, as the service's `parallelism` does."""
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 5, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": NAME, VERSION: "1"}}, "spec": _spec({})},
        },
    }
    return cast(Deployment, body)
