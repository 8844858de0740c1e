"""The node's own object and lease: made when it is missing, kept true while the agent runs.

Source: kubernetes/pkg/kubelet (`kubelet_node_status.go`, `nodestatus/setters.go`), component-helpers lease controller.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from agent.memory import Memory, remembering
from agent.runtime.protocol import EngineInfo
from gitops.client import Client
from gitops.kinds.coordination import LEASE, Lease
from gitops.kinds.core.node import NODE, Node, NodeStatus, Taint
from gitops.kinds.errors import AlreadyExists, GitwardError, NotFound
from gitops.kinds.networking import INGRESS_ADDRESS
from gitops.kinds.objects import Condition, annotations_of, labels_of, micro_timestamp, timestamp

log = logging.getLogger(__name__)

LEASE_NAMESPACE: Final = "kube-node-lease"
LEASE_SECONDS: Final = 40
RENEW_SECONDS: Final = 10.0
STATUS_SECONDS: Final = 300.0  # Without a change, as the kubelet.
LOOK_SECONDS: Final = 2.0
PODS_MAX: Final = 110
KUBELET_VERSION: Final = "v1.35.0"
# By condition: the reason without it, the reason and the message with it.
PRESSURES: Final = {
    "MemoryPressure": (
        "KubeletHasSufficientMemory",
        "KubeletHasInsufficientMemory",
        "kubelet has insufficient memory available",
    ),
    "DiskPressure": ("KubeletHasNoDiskPressure", "KubeletHasDiskPressure", "kubelet has disk pressure"),
    "PIDPressure": (
        "KubeletHasSufficientPID",
        "KubeletHasInsufficientPID",
        "kubelet has insufficient PID available",
    ),
}


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the node is. `address` '': not known (yet); `disk_bytes`: where volumes and images lie."""

    name: str
    engine: EngineInfo
    address: str
    disk_bytes: int
    machine_id: str
    boot_id: str
    kept: Mapping[str, int] = field(default_factory=dict)  # What pods may not have: cpu in milli, else bytes.

    @property
    def allocatable(self) -> dict[str, str]:
        left = {
            "cpu": self.engine.cpus * 1000,
            "memory": self.engine.memory_bytes,
            "ephemeral-storage": self.disk_bytes,
        }
        left = {name: max(amount - self.kept.get(name, 0), 0) for name, amount in left.items()}
        milli = left["cpu"]
        return {
            **self.capacity,
            "cpu": f"{milli}m" if milli % 1000 else str(milli // 1000),
            "memory": f"{left['memory'] >> 10}Ki",
            "ephemeral-storage": f"{left['ephemeral-storage'] >> 10}Ki",
        }

    @property
    def capacity(self) -> dict[str, str]:
        return {
            "cpu": str(self.engine.cpus),
            "memory": f"{self.engine.memory_bytes >> 10}Ki",
            "ephemeral-storage": f"{self.disk_bytes >> 10}Ki",
            "pods": str(PODS_MAX),
        }


def labels(facts: NodeFacts) -> dict[str, str]:
    """What every node bears."""
    arch = facts.engine.architecture
    return {
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": arch,
    }


def node_status(
    facts: NodeFacts,
    known: NodeStatus,
    problem: str,
    now: datetime,
    pressures: frozenset[str] = frozenset(),
) -> NodeStatus:
    """`problem`: why no pod can be run here now; ''. Conditions of others are kept."""
    ready: Condition = {"type": "Ready", "status": "False" if problem else "True"}
    ready["reason"] = "KubeletNotReady" if problem else "KubeletReady"
    ready["message"] = problem or "the agent is posting ready status"
    stated: list[Condition] = [
        *(_pressure(name, has=name in pressures) for name in PRESSURES),
        ready,
    ]
    before = {one["type"]: one for one in known.get("conditions", ())}
    ours = {one["type"] for one in stated}
    others = [one for name, one in before.items() if name not in ours]
    status: NodeStatus = {
        "capacity": facts.capacity,
        "allocatable": facts.allocatable,
        "conditions": [*others, *(_stamped(one, before.get(one["type"]), now) for one in stated)],
        "addresses": [{"type": "Hostname", "address": facts.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "machineID": facts.machine_id,
            "systemUUID": facts.machine_id,
            "bootID": facts.boot_id,
            "kernelVersion": facts.engine.kernel_version,
            "osImage": facts.engine.operating_system,
            "containerRuntimeVersion": f"{facts.engine.name}://{facts.engine.version}",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": KUBELET_VERSION,
            "operatingSystem": "linux",
            "architecture": facts.engine.architecture,
        },
    }
    if facts.address:
        status["addresses"].insert(0, {"type": "InternalIP", "address": facts.address})
    return status


def _pressure(name: str, *, has: bool) -> Condition:
    without, reason, message = PRESSURES[name]
    if has:
        return {"type": name, "status": "True", "reason": reason, "message": message}
    return {"type": name, "status": "False", "reason": without}


def _stamped(condition: Condition, before: Condition | None, now: datetime) -> Condition:
    since = timestamp(now)
    if before is not None and before["status"] == condition["status"]:
        since = before.get("lastTransitionTime", since)
    return cast(Condition, {**condition, "lastHeartbeatTime": timestamp(now), "lastTransitionTime": since})


def _without_heartbeats(status: NodeStatus) -> object:
    conditions = [
        {name: value for name, value in one.items() if name != "lastHeartbeatTime"}
        for one in status.get("conditions", ())
    ]
    return {**status, "conditions": conditions}


class Registration:
    """`pod_cidr()` waits for the range that the master gives the node.

    `problem`: why no pod can be run now; ''.
    `ingress_address`: where it serves ingress; '': nowhere, None: not known yet.
    """

    def __init__(
        self,
        client: Client,
        facts: NodeFacts,
        problem: Callable[[], str],
        ingress_address: Callable[[], str | None],
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        memory: Memory | None = None,
        pressures: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._pressures = pressures
        self._memory = memory
        self.facts = facts
        self._client, self._problem, self._clock, self._sleep = client, problem, clock, sleep
        self._ingress_address = ingress_address
        self._node: Node | None = None
        self._ranged = asyncio.Event()
        self._reported_at: datetime | None = None
        self._look = asyncio.Event()

    @property
    def node(self) -> Node | None:
        """As the API has it; None: not yet, or not any more."""
        return self._node

    @property
    def labels(self) -> Mapping[str, str] | None:
        """Of the node as the API has it; None: not known."""
        return labels_of(self._node) if self._node is not None else None

    @property
    def taints(self) -> Sequence[Taint]:
        return self._node["spec"].get("taints", ()) if self._node is not None else ()

    async def pod_cidr(self) -> str:
        await self._ranged.wait()
        assert self._node is not None
        return self._node["spec"]["podCIDR"]

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep(self._renew, lambda: self._sleep(RENEW_SECONDS)))
            group.create_task(self._keep(self._report, self._until_looked_for))

    async def _follow(self) -> None:
        selector = f"metadata.name={self.facts.name}"
        events = remembering(self._memory, self._client, NODE, field_selector=selector)
        async with aclosing(events):
            async for event in events:
                if event.type == "DELETED":
                    self._node = None
                elif event.object is not None:
                    self._node = event.object
                    self.look()
                    if event.object["spec"].get("podCIDR"):
                        self._ranged.set()
                elif self._node is None:
                    await self._register()

    async def _register(self) -> None:
        node: Node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.facts.name, "labels": labels(self.facts)},
            "spec": {},
        }
        try:
            await self._client.create(NODE, node)
            log.info("node registered", extra={"fields": {"node": self.facts.name}})
        except AlreadyExists:
            return
        except GitwardError as error:
            log.warning(
                "node not registered", extra={"fields": {"node": self.facts.name, "error": str(error)}}
            )

    def look(self) -> None:
        """The node's state has changed: told at once."""
        self._look.set()

    async def _until_looked_for(self) -> None:
        self._look.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._look.wait()

    async def _keep(self, work: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except GitwardError as error:
                log.info(
                    "node state not told", extra={"fields": {"node": self.facts.name, "error": str(error)}}
                )
            await pause()

    async def _report(self) -> None:
        """The status, when it has changed (also by others: a node that was taken for lost) or is old."""
        node = self._node
        if node is None:
            await self._register()
            return
        now, name = self._clock(), self.facts.name
        if wanted := self._missing_meta(node):
            await self._client.patch(NODE, "", name, {"metadata": wanted})
        known = node.get("status") or NodeStatus()
        status = node_status(self.facts, known, self._problem(), now, self._pressures())
        old = self._reported_at is None or (now - self._reported_at).total_seconds() >= STATUS_SECONDS
        if old or _without_heartbeats(status) != _without_heartbeats(known):
            self._node = await self._client.patch(NODE, "", name, {"status": status}, subresource="status")
            self._reported_at = now

    def _missing_meta(self, node: Node) -> Mapping[str, object]:
        """Labels and annotations that the node does not bear as it should; None: to be removed."""
        missing: dict[str, object] = {}
        if any(labels_of(node).get(key) != value for key, value in labels(self.facts).items()):
            missing["labels"] = labels(self.facts)
        address = self._ingress_address()
        if address is not None and annotations_of(node).get(INGRESS_ADDRESS, "") != address:
            missing["annotations"] = {INGRESS_ADDRESS: address or None}
        return missing

    async def _renew(self) -> None:
        name, now = self.facts.name, micro_timestamp(self._clock())
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
        try:
            await self._client.patch(LEASE, LEASE_NAMESPACE, name, {"spec": spec})
        except NotFound:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
                "spec": {**spec, "acquireTime": now},
            }
            await self._client.create(LEASE, cast(Lease, lease))
