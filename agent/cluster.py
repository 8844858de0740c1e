"""What the node's proxies need of the cluster: services, endpoint slices, ingresses and their certificates, followed.

Each change is handed over whole; changes that come together are handed over once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, cast

from agent.memory import Memory, remembering
from agent.pods.sources import Sources
from agent.proxies import ClusterState
from agent.volumes.references import Reference
from gitops.client import Client
from gitops.kinds.core.config import Secret
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.core.service import SERVICE, Service
from gitops.kinds.discovery import ENDPOINT_SLICE, EndpointSlice
from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.networking import INGRESS, Ingress
from gitops.kinds.objects import KubeObject, T, is_going, key_of

log = logging.getLogger(__name__)

KINDS: Final = 4  # Services, endpoint slices, ingresses, nodes.
TLS_USER: Final = "ingress"  # As whom the certificates of ingresses are asked for: no pod has this uid.


async def follow_one(
    client: Client, kind: Kind[KubeObject], namespace: str, name: str, memory: Memory | None = None
) -> AsyncIterator[KubeObject | None]:
    """One object by name: its present state and every later one; None: there is none."""
    events = remembering(memory, client, kind, namespace, field_selector=f"metadata.name={name}")
    present: KubeObject | None = None
    synced = False
    async with aclosing(events):
        async for event in events:
            if event.type == "SYNCED":
                synced = True
            else:
                present = None if event.type == "DELETED" else event.object
            if synced:
                yield present


def _says_the_same(before: KubeObject, after: KubeObject) -> bool:
    """Of a node only where it is counts here, and it speaks much more often than that changes."""
    if before["kind"] != NODE.kind:
        return False
    one, other = cast(Node, before), cast(Node, after)
    return (one["spec"].get("podCIDR"), _addresses(one), is_going(one)) == (
        other["spec"].get("podCIDR"),
        _addresses(other),
        is_going(other),
    )


def _addresses(node: Node) -> object:
    return (node.get("status") or {}).get("addresses")


class Cluster:
    """`hand_over` gets each state; nothing is handed over before all kinds were listed once."""

    def __init__(
        self,
        client: Client,
        hand_over: Callable[[ClusterState], Awaitable[None]],
        memory: Memory | None = None,
    ) -> None:
        self._client, self._hand_over, self._memory = client, hand_over, memory
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, EndpointSlice] = {}
        self._ingresses: dict[Key, Ingress] = {}
        self._nodes: dict[Key, Node] = {}
        self._synced: set[str] = set()
        self._changed = asyncio.Event()
        self._listed = asyncio.Event()

    def services(self) -> tuple[Service, ...]:
        return tuple(self._services.values())

    def ingresses(self) -> tuple[Ingress, ...]:
        return tuple(self._ingresses.values())

    async def listed(self) -> None:
        """Waits until the services are known: a pod's environment names them."""
        await self._listed.wait()

    async def run(self, group: asyncio.TaskGroup) -> None:
        """For ever."""
        sources = Sources(
            lambda kind, namespace, name: follow_one(self._client, kind, namespace, name),
            lambda _: self._changed.set(),
        )
        group.create_task(self._keep(SERVICE, self._services))
        group.create_task(self._keep(ENDPOINT_SLICE, self._slices))
        group.create_task(self._keep(INGRESS, self._ingresses))
        group.create_task(self._keep(NODE, self._nodes))
        while True:
            await self._changed.wait()
            self._changed.clear()
            if len(self._synced) == KINDS:
                certificates: tuple[Secret, ...] | None = None
                try:
                    certificates = await self._certificates(sources, group)
                except Unavailable as error:
                    # Services and DNS do not wait for them, nor do other nodes.
                    log.warning("certificates not known yet", extra={"fields": {"error": str(error)}})
                    self._changed.set()
                await self._hand_over(
                    ClusterState(
                        tuple(self._services.values()),
                        tuple(self._slices.values()),
                        tuple(self._ingresses.values()) if certificates is not None else None,
                        certificates or (),
                        tuple(self._nodes.values()),
                    )
                )

    async def _keep(self, kind: Kind[T], objects: dict[Key, T]) -> None:
        events = remembering(self._memory, self._client, kind)
        async with aclosing(events):
            async for event in events:
                if event.type == "SYNCED":
                    self._synced.add(kind.kind)
                    if kind.kind == SERVICE.kind:
                        self._listed.set()
                elif event.object is not None and event.type == "DELETED":
                    objects.pop(key_of(event.object), None)
                elif event.object is not None:
                    before = objects.get(key_of(event.object))
                    objects[key_of(event.object)] = event.object
                    if before is not None and _says_the_same(before, event.object):
                        continue
                if kind.kind in self._synced:
                    self._changed.set()

    async def _certificates(self, sources: Sources, group: asyncio.TaskGroup) -> tuple[Secret, ...]:
        """Those of the present ingresses. Waits until each is known or known to be absent: a restarted agent must not
        take a certificate from the proxy because the API has not told it yet. Raises Unavailable."""
        wanted = {
            Reference("Secret", ingress["metadata"].get("namespace", ""), entry["secretName"])
            for ingress in self._ingresses.values()
            for entry in ingress["spec"].get("tls", ())
            if entry.get("secretName")
        }
        sources.use(TLS_USER, wanted, group)
        await sources.known(wanted)
        found = (sources.secret(one.namespace, one.name) for one in wanted)
        return tuple(secret for secret in found if secret is not None)
