"""Warning Events about what is wrong on this node and lasts: bad Ingress objects, and parts of its network that fail.

Every node finds the same faults in an Ingress; the one that its status names first tells them.

Nothing is told before it has lasted a moment: an Ingress often arrives before its Service. While it lasts its count
rises every few minutes, not at every look.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from agent.ingress import Trouble
from gitops.kinds.core.node import Node
from gitops.kinds.networking import INGRESS_ADDRESS, Ingress
from gitops.kinds.objects import KubeObject, annotations_of, uid

LOOK_SECONDS: Final = 1.0
LASTS: Final = timedelta(seconds=5)
AGAIN: Final = timedelta(minutes=5)
NOT_SERVED: Final = "NotServed"  # What the message names of the Ingress gets no request.
FAILED: Final = "NetworkFailed"  # Of every other part.
REASONS: Final[Mapping[str, str]] = {
    "ingress": "IngressFailed",
    "dns": "DNSFailed",
    "services": "ServicesFailed",
    "rules": "ServicesFailed",
    "health checks": "ServicesFailed",
    "other nodes": "OtherNodesUnreachable",
}


class Troubled(Protocol):
    """What a node's network says of itself."""

    @property
    def problems(self) -> Mapping[str, str]: ...

    @property
    def ingress_problem(self) -> str: ...

    @property
    def troubles(self) -> tuple[Trouble, ...]: ...


class Complaint(NamedTuple):
    about: KubeObject
    reason: str
    message: str


class Complaints:
    """Which complaints to tell now, of those that are found at each look."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, str, str], datetime] = {}

    def due(self, found: Iterable[Complaint], now: datetime) -> list[Complaint]:
        """`found`: all there are now. One that is gone is forgotten."""
        present = {(uid(one.about), one.reason, one.message): one for one in found}
        self._due = {key: self._due.get(key, now + LASTS) for key in present}
        due = [key for key, at in self._due.items() if at <= now]
        self._due.update(dict.fromkeys(due, now + AGAIN))
        return [present[key] for key in due]


def complaints_of(network: Troubled, node: Node, ingresses: Iterable[Ingress]) -> Iterator[Complaint]:
    """Everything that is wrong now."""
    parts = dict(network.problems)
    if network.ingress_problem:
        parts["ingress"] = network.ingress_problem
    for part, why in parts.items():
        yield Complaint(node, REASONS.get(part, FAILED), f"{part}: {why}")
    by_name = {
        (one["metadata"].get("namespace", ""), one["metadata"].get("name", "")): one for one in ingresses
    }
    for trouble in network.troubles:
        ingress = by_name.get(trouble.ingress)
        if ingress is not None and _speaks_for(node, ingress):
            yield Complaint(ingress, NOT_SERVED, trouble.message)


def _speaks_for(node: Node, ingress: Ingress) -> bool:
    """Whether its address comes first in the Ingress's status, which one controller writes for all nodes."""
    balancer = (ingress.get("status") or {}).get("loadBalancer") or {}
    first = next(iter(balancer.get("ingress") or ()), None)
    ours = annotations_of(node).get(INGRESS_ADDRESS)
    return first is not None and ours is not None and first.get("ip") == ours


async def complain(
    network: Troubled,
    node: Callable[[], Node | None],
    ingresses: Callable[[], Iterable[Ingress]],
    tell: Callable[[Complaint], None],
    clock: Callable[[], datetime],
) -> None:
    """For ever. `node`: None while the API has no such node."""
    complaints = Complaints()
    while True:
        if (ours := node()) is not None:
            for one in complaints.due(complaints_of(network, ours, ingresses()), clock()):
                tell(one)
        await asyncio.sleep(LOOK_SECONDS)
