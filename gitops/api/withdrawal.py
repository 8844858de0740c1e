"""A node whose pods go asks whether the other nodes have left their addresses out; nothing of it is stored."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops.api.context import STORE, USER
from gitops.api.hub import HUB, AgentHub
from gitops.api.nodes import node_of
from gitops.kinds.core.node import NODE, Node, node_condition
from gitops.kinds.errors import BadRequest, Forbidden, GitwardError, TooLarge, Unavailable
from gitops.reconcile import Reader

log = logging.getLogger(__name__)

METHOD: Final = "withdrawn"
WAIT_SECONDS: Final = 1.5  # A pod gets SIGTERM two seconds after it left its services at the latest.
OPEN_MAX: Final = 8  # Of one node at once: each is a request to every other.
ADDRESSES_MAX: Final = 256
BODY_MAX_BYTES: Final = 16 << 10


class Asking:
    """How many such requests each node has open."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()


ASKING: Final = web.AppKey("asking", Asking)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: list[IPv4Address] = Field(max_length=ADDRESSES_MAX)


async def withdrawn(request: web.Request) -> web.Response:
    """`POST /gitward/v1/nodes/{node}/withdrawn` of `{"addresses"}`: 200 `{"late"}`, the nodes that have not said in
    `WAIT_SECONDS` that they send nothing new there. 403: another node, or addresses that are not its pods'."""
    name, user = request.match_info["node"], request[USER]
    if node_of(user) != name:
        raise Forbidden(f'nodes "{name}" is forbidden: User "{user.name}" cannot ask for this node')
    view = request.app[STORE].view()
    addresses = await _addresses(request, view, name)
    asking = request.app[ASKING].open
    if asking[name] >= OPEN_MAX:
        raise Unavailable(f"node {name}: {OPEN_MAX} such requests are open already")
    asking[name] += 1
    try:
        late = await _late(request.app[HUB], _others(view, name), addresses)
    finally:
        asking[name] -= 1
    return web.json_response({"late": late})


async def _addresses(request: web.Request, view: Reader, name: str) -> list[str]:
    content = await request.content.read(BODY_MAX_BYTES + 1)
    if len(content) > BODY_MAX_BYTES:
        raise TooLarge(f"the request body is longer than {BODY_MAX_BYTES} bytes")
    try:
        told = _Body.model_validate_json(content)
    except ValidationError as error:
        raise BadRequest(
            f"wanted a JSON object with addresses, at most {ADDRESSES_MAX} of IPv4: {error.error_count()} errors"
        ) from None
    node = view.get(NODE, NODE.key("", name))
    own = node["spec"].get("podCIDR", "") if node is not None else ""
    if strange := [one for one in told.addresses if not own or one not in IPv4Network(own)]:
        raise Forbidden(f"{strange[0]} is no address of a pod of node {name}")
    return [str(one) for one in told.addresses]


def _others(view: Reader, name: str) -> list[str]:
    """Those that are up: what a lost node does is not waited for."""
    return [
        other
        for node in view.list(NODE)
        if (other := node["metadata"].get("name", "")) != name and _is_up(node)
    ]


def _is_up(node: Node) -> bool:
    ready = node_condition(node, "Ready")
    return ready is not None and ready["status"] == "True"


async def _late(hub: AgentHub, nodes: Sequence[str], addresses: Sequence[str]) -> list[str]:
    said = await asyncio.gather(*(_has_said(hub, node, addresses) for node in nodes))
    return [node for node, has in zip(nodes, said, strict=True) if not has]


async def _has_said(hub: AgentHub, node: str, addresses: Sequence[str]) -> bool:
    try:
        async with (
            asyncio.timeout(WAIT_SECONDS),
            aclosing(hub.ask(node, METHOD, {"addresses": addresses}, scope=METHOD)) as answer,
        ):
            async for _ in answer:
                return True
    except (TimeoutError, GitwardError) as error:
        log.debug("a node does not say", extra={"fields": {"node": node, "error": repr(error)}})
    return False
