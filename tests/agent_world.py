"""A node without a master: an API that is a dict, and the agent's pods over any runtime."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import uuid4

from agent.pods.addresses import Addresses
from agent.pods.admission import Admission
from agent.pods.means import Means, NodeFacts, PodApi, PodNetwork, PodVolumeStore
from agent.pods.names import Names
from agent.pods.pods import Pods
from agent.pods.pulls import Pulls
from agent.pods.sources import Sources
from agent.pods.spares import Spares
from agent.probes.checks import Checks
from agent.runtime.protocol import Mount, Runtime
from agent.services.table import HostPort
from agent.volumes.disk import DiskUse
from agent.volumes.downward import Surroundings
from agent.volumes.references import Lookup
from gitops.client.wire import guarded
from gitops.kinds.core.pod import POD, Container, Pod, PodStatus, pod_status
from gitops.kinds.core.service import Service
from gitops.kinds.errors import Conflict, NotFound, Unavailable
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, timestamp, with_meta

NODE = "n1"
NODE_ADDRESS = "192.0.2.1"
FACTS = NodeFacts(
    NODE,
    NODE_ADDRESS,
    {"cpu": "2", "memory": "4Gi"},
    4 << 30,
    Names("cluster.local", "10.78.0.10", "nameserver 192.0.2.53\nsearch example.org\n"),
)


def a_pod(
    name: str = "web", *, uid: str = "", annotations: Mapping[str, str] | None = None, **spec: Any
) -> Pod:
    """A pod bound to the node, with Kubernetes' defaults. `spec`: fields of its specification."""
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid or f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "annotations": dict(annotations or {}),
            "labels": {"app": name},
        },
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 5, **spec},
    }
    return POD.defaults(cast(Pod, bare))


@dataclass
class Api:
    """What a master would keep. `pods` by uid; everything else by (kind, name). `down`: it takes nothing."""

    pods: dict[str, Pod] = field(default_factory=dict)
    objects: dict[tuple[str, str], KubeObject] = field(default_factory=dict)
    events: list[tuple[str, str, str]] = field(default_factory=list)  # Pod name, reason, message.
    statuses: list[tuple[str, PodStatus]] = field(default_factory=list)
    revision: int = 1
    down: bool = False
    changed: "asyncio.Condition" = field(default_factory=asyncio.Condition)
    listeners: list[Callable[[Pod | None, str], None]] = field(default_factory=list)

    async def report(self, pod: Pod, status: PodStatus) -> Pod:
        self._answer()
        uid = pod["metadata"]["uid"]
        if uid not in self.pods:
            raise NotFound(f"pod {uid}")
        if self.pods[uid]["metadata"]["resourceVersion"] != pod["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        self.statuses.append((pod["metadata"]["name"], status))
        return self._store(cast(Pod, {**self.pods[uid], "status": status}))

    async def delete(self, pod: Pod) -> None:
        self._answer()
        self.forget(pod["metadata"]["uid"])

    def event(
        self, about: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str = ""
    ) -> None:
        self.events.append((about["metadata"]["name"], reason, message))

    def put(self, pod: Pod) -> Pod:
        """As a person or controller would write it; the status stays."""
        known = self.pods.get(pod["metadata"]["uid"])
        return self._store(cast(Pod, {**pod, "status": pod_status(known)}) if known else pod)

    def ask_delete(self, uid: str, grace_seconds: int | None = None) -> None:
        pod = self.pods[uid]
        grace = pod["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
        self._store(
            with_meta(pod, deletionTimestamp=timestamp(datetime.now(UTC)), deletionGracePeriodSeconds=grace)
        )

    def forget(self, uid: str) -> None:
        self.pods.pop(uid, None)
        for listener in self.listeners:
            listener(None, uid)

    async def put_object(self, obj: Mapping[str, Any]) -> None:
        """A ConfigMap or Secret in the namespace shop."""
        whole = {**obj, "apiVersion": "v1", "metadata": {"namespace": "shop", **obj["metadata"]}}
        async with self.changed:
            self.objects[(obj["kind"], obj["metadata"]["name"])] = cast(KubeObject, guarded(whole))
            self.changed.notify_all()

    async def follow(
        self, kind: Kind[KubeObject], namespace: str, name: str
    ) -> AsyncIterator[KubeObject | None]:
        while True:
            seen = self.objects.get((kind.kind, name))
            yield seen
            async with self.changed:
                while self.objects.get((kind.kind, name)) is seen:
                    await self.changed.wait()

    def _store(self, pod: Pod) -> Pod:
        self.revision += 1
        stored = with_meta(pod, resourceVersion=str(self.revision))
        self.pods[pod["metadata"]["uid"]] = stored
        for listener in self.listeners:
            listener(stored, pod["metadata"]["uid"])
        return stored

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the API is down")


class NoNetwork:
    """Addresses without links, for engines that have no network."""

    def __init__(self) -> None:
        self.withdrawn: list[str] = []
        self.attached: dict[str, str] = {}
        self.published: dict[str, tuple[HostPort, ...]] = {}

    def pick_address(self, used: Iterable[str]) -> str:
        taken = set(used)
        return next(a for a in (f"10.77.1.{host}" for host in range(2, 255)) if a not in taken)

    async def attach(self, pid: int, address: str, uid: str) -> None:
        self.attached[uid] = address

    async def publish(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        self.published[uid] = ports

    def adopted(self) -> None:
        """Nothing waits for it."""

    async def detach(self, uid: str) -> None:
        self.attached.pop(uid, None)

    async def without(self, pod_ip: str) -> None:
        self.withdrawn.append(pod_ip)


class NoVolumes:
    """Remembers only for whom volumes were made."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    async def ensure(self, pod: Pod, lookup: Lookup, around: Surroundings) -> None:
        self.made.add(pod["metadata"]["uid"])

    async def mounts(
        self, pod: Pod, container: Container, values: Mapping[str, str], *, attempt: int
    ) -> tuple[Mount, ...]:
        return ()

    async def message(self, uid: str, container: str, attempt: int) -> str | None:
        return None

    async def message_use(self, uid: str) -> DiskUse:
        return DiskUse()

    async def disk_use(self, uid: str) -> Mapping[str, DiskUse]:
        return {}

    async def remove(self, uid: str) -> None:
        self.made.discard(uid)

    def has(self, uid: str) -> bool:
        return uid in self.made


@dataclass
class Node:
    """An agent at work. Use `running_node`."""

    api: Api
    pods: Pods
    means: Means
    services: list[Service]

    async def until(self, uid: str, holds: Callable[[Pod], bool], seconds: float = 20.0) -> Pod:
        """The pod once the API's state of it satisfies `holds`."""
        try:
            async with asyncio.timeout(seconds):
                while not (uid in self.api.pods and holds(self.api.pods[uid])):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(
                f"waited {seconds} s: {self.api.pods.get(uid)} {self.api.events[-5:]}"
            ) from None
        return self.api.pods[uid]

    async def until_gone(self, uid: str, seconds: float = 20.0) -> None:
        """Gone from the API and from the engine."""
        async with asyncio.timeout(seconds):
            while uid in self.api.pods or await self.means.runtime.states(uid):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_node(
    runtime: Runtime,
    checks: Checks,
    api: Api,
    *,
    network: PodNetwork | None = None,
    volumes: PodVolumeStore | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    simulated: bool = False,
    facts: NodeFacts = FACTS,
    through: PodApi | None = None,
    spares: int = 0,
) -> AsyncIterator[Node]:
    """An agent from its start to its kill: what runs is left running. `through`: what its workers tell instead."""
    wired, services = network or NoNetwork(), list[Service]()
    ready: asyncio.Future[Node] = asyncio.get_running_loop().create_future()

    async def live() -> None:
        async with asyncio.TaskGroup() as group:
            sources = Sources(api.follow, lambda uid: pods.content_changed(uid))
            addresses = Addresses(wired)
            means = Means(
                runtime=runtime,
                network=wired,
                volumes=volumes or NoVolumes(),
                sources=sources,
                addresses=addresses,
                spares=Spares(
                    runtime,
                    addresses,
                    spares,
                    pod_cidr="10.77.1.0/24",
                    new_key=lambda: uuid4().hex[:12],
                    sleep=sleep,
                ),
                checks=checks,
                api=through or api,
                node=facts,
                services=lambda: services,
                clock=clock,
                group=group,
                pulls=Pulls(runtime),
                sleep=sleep,
                simulated=simulated,
                admission=Admission(facts.name, facts.allocatable),
            )
            pods = Pods(means)
            await pods.adopt()
            for pod in list(api.pods.values()):
                pods.apply(pod)
            pods.complete(list(api.pods))
            group.create_task(pods.run())
            ready.set_result(Node(api, pods, means, services))

    agent = asyncio.create_task(live())
    await asyncio.wait((agent, ready), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await agent  # It failed: its error is the test's.
    node = await ready

    def tell(pod: Pod | None, uid: str) -> None:
        if pod is None:
            node.pods.gone(uid)
        else:
            node.pods.apply(pod)

    api.listeners.append(tell)
    try:
        yield node
    finally:
        api.listeners.remove(tell)
        agent.cancel()
        await asyncio.wait((agent,))
