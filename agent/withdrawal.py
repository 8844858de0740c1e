"""Before a pod gets SIGTERM, the other nodes say that they send nothing new to it.

The agents know of each other by the master alone: it is asked once for all pods that go at about the same time, asks
every node over that node's own connection, and nothing is stored. A node answers when its rules and its proxy have left
the addresses out. Where that cannot be found out (the master is away, a node is not connected or too slow), they get a
second, which is what they need as a rule.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from gitops.client import Client, Handler, of_bytes
from gitops.kinds.errors import BadRequest, GitwardError, Unavailable

OTHERS_SECONDS: Final = 1.0
GATHER_SECONDS: Final = 0.02  # A roll and a drain end many pods at once.
ADDRESSES_MAX: Final = 256  # A node has a /24.
ANSWER_SECONDS_MAX: Final = 5.0
SAID: Final = b"{}"

Ask = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""Given addresses of pods: which nodes have not said in time that they left them out. Raises GitwardError."""


class Offering(Protocol):
    """As `agent.proxies.NodeNetwork`."""

    async def unoffered(self, addresses: Collection[str]) -> object: ...


class OtherNodes:
    """`left_out(address)` returns once the others have left the address out, or had `OTHERS_SECONDS` to do it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._gathering: tuple[set[str], asyncio.Task[None]] | None = None

    async def left_out(self, address: str) -> None:
        if self._gathering is None:
            addresses: set[str] = set()
            self._gathering = (addresses, asyncio.create_task(self._settle(addresses)))
        addresses, settled = self._gathering
        addresses.add(address)
        await asyncio.shield(settled)  # One that gives up must not end it for the others.

    async def _settle(self, addresses: set[str]) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        self._gathering = None
        begin = monotonic()
        try:
            late = bool(await self._ask(sorted(addresses)))
        except GitwardError:
            late = True
        if late:
            await asyncio.sleep(max(OTHERS_SECONDS - (monotonic() - begin), 0.0))


async def a_second(_address: str) -> None:
    """For a node that can ask nobody."""
    await asyncio.sleep(OTHERS_SECONDS)


def asking_master(client: Client, node: str) -> Ask:
    """By way of the master, as this node."""

    async def ask(addresses: Sequence[str]) -> Sequence[str]:
        body = {"addresses": list(addresses)}
        path = f"/gitward/v1/nodes/{node}/withdrawn"
        answer = await client.request("POST", path, body=body, patience_seconds=ANSWER_SECONDS_MAX)
        late = answer.get("late")
        if not isinstance(late, list):
            raise Unavailable("the master gave an answer without `late`")
        return late

    return ask


def withdrawn_handler(network: Callable[[], Offering | None]) -> Handler:
    """The method `withdrawn` of the way back: `{"addresses"}`; the answer comes when nothing new is sent there."""

    async def withdrawn(params: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        addresses = params.get("addresses")
        if not isinstance(addresses, list) or len(addresses) > ADDRESSES_MAX:
            raise BadRequest(f"addresses: wanted a list of at most {ADDRESSES_MAX}")
        offering = network()
        if offering is None:
            raise Unavailable("the node's network is not known yet")
        await offering.unoffered(frozenset(map(str, addresses)))
        yield SAID

    return of_bytes(withdrawn)
