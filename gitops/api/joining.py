"""Letting machines in: the cluster's CA for whoever asks, a node's certificate for a token, a new one before it ends.

The master makes the Node and writes on it which machine bears the name: the hash of the key that joined. From then on a
certificate counts only while the Node says the same (`nodes.refuse_other_machine`), so deleting the Node ends it.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import orjson
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops.admission import Mint, admit_create, admit_delete, admit_update
from gitops.api import tokens
from gitops.api.certificates import LEAF_LIFE, Authority, key_of_request
from gitops.api.context import CLOCK, CLUSTER, MINT, REQUEST_ID, STORE, USER
from gitops.api.nodes import MACHINE, node_of
from gitops.client.joining import JoinToken
from gitops.kinds.core.config import SECRET, Secret
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthorized
from gitops.kinds.objects import annotations_of, timestamp, with_meta
from gitops.reconcile import Reader
from gitops.store.contract import ABSENT, Position, Put, Txn

log = logging.getLogger(__name__)

ACTOR: Final = "join"
MACHINE_CHARACTERS: Final = 32
NODE_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
BODY_MAX_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What lets nodes in. Ranges in CIDR notation, of the whole cluster; `life` of a node's certificate."""

    authority: Authority
    pod_cidr: str
    service_cidr: str
    life: timedelta = LEAF_LIFE


DOORKEEPER: Final = web.AppKey[Doorkeeper | None]("doorkeeper")


class _Renewal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    request: str


class _Join(_Renewal):
    token: str
    name: str = Field(pattern=NODE_NAME)


B = TypeVar("B", bound=_Renewal)


async def ca(request: web.Request) -> web.Response:
    """`GET /gitward/v1/ca`: for anyone. Only the hash in a token makes it worth believing."""
    return web.json_response({"ca": _doorkeeper(request).authority.cert.decode()})


async def join(request: web.Request) -> web.Response:
    """`POST /gitward/v1/join`: a token and a certificate request for a certificate.

    401: no such token, expired, used up, for another name. 409: another machine bears the name. May be repeated with
    the same key, whatever became of the first answer.
    """
    door, told = _doorkeeper(request), await _body(request, _Join)
    token, machine = _token(told.token), machine_of(told.request.encode())
    app, now = request.app, request.app[CLOCK]()

    def build(reader: Reader) -> Txn:
        secret = reader.get(SECRET, tokens.token_key(token.id))
        if secret is None or not tokens.is_token(secret, token):
            raise Unauthorized("the join token is not known: it was revoked, or is of another cluster")
        if now >= tokens.expires_at(secret):
            raise Unauthorized(
                f"the join token has expired at {timestamp(tokens.expires_at(secret))}: make a new one by "
                "`gitward token create`"
            )
        if tokens.node_name_of(secret) not in ("", told.name):
            raise Unauthorized(
                f"the join token is for node {tokens.node_name_of(secret)}, not for {told.name}"
            )
        node = reader.get(NODE, NODE.key("", told.name))
        if (
            node is not None
            and annotations_of(node).get(MACHINE) == machine
            and machine in tokens.used_by(secret)
        ):
            return Txn((), actor=ACTOR, cause=f"request {request[REQUEST_ID]}")
        if tokens.uses_left(secret) == 0:
            raise Unauthorized("the join token is used up: make a new one by `gitward token create`")
        if node is not None and is_taken(node):
            raise Conflict(
                f"another machine is node {told.name}: delete that node first (`gitward node delete {told.name}`), "
                "or join under another name by --node-name"
            )
        used = tokens.with_use(secret, machine)
        ops = (_node(reader, node, told.name, machine, request), Put(used, expect=_position(secret)))
        return Txn(ops, actor=ACTOR, cause=f"request {request[REQUEST_ID]}")

    await app[STORE].transact(build)
    cert = door.authority.node_on_request(told.name, machine, told.request.encode(), now=now, life=door.life)
    log.info("node joined", extra={"fields": {"node": told.name, "token": token.id, "machine": machine}})
    answer = {
        "certificate": cert.decode(),
        "podCIDR": door.pod_cidr,
        "serviceCIDR": door.service_cidr,
    }
    return web.json_response(answer)


async def renew(request: web.Request) -> web.Response:
    """`POST /gitward/v1/nodes/{node}/certificate`: a new certificate for the node that asks, with a new key or not."""
    name, user = request.match_info["node"], request[USER]
    if node_of(user) != name:
        raise Forbidden(
            f'nodes "{name}" is forbidden: User "{user.name}" cannot renew the certificate of this node'
        )
    told = await _body(request, _Renewal)
    node = request.app[STORE].view().get(NODE, NODE.key("", name))
    machine = annotations_of(node).get(MACHINE, "") if node is not None else ""
    door = _doorkeeper(request)
    cert = door.authority.node_on_request(
        name, machine, told.request.encode(), now=request.app[CLOCK](), life=door.life
    )
    log.info("certificate renewed", extra={"fields": {"node": name}})
    return web.json_response({"certificate": cert.decode()})


async def leave(request: web.Request) -> web.Response:
    """`POST /gitward/v1/nodes/{node}/leave`: the Node goes at its own word, and its certificate with it.

    Plain deletion is not a node's right: it comes back by a token alone, with labels and taints that others give it.
    """
    name, user = request.match_info["node"], request[USER]
    if node_of(user) != name:
        raise Forbidden(f'nodes "{name}" is forbidden: User "{user.name}" cannot leave for this node')
    now = request.app[CLOCK]()

    def build(reader: Reader) -> Txn:
        node = reader.get(NODE, NODE.key("", name))
        if node is None or not annotations_of(node).get(MACHINE):
            raise Forbidden(f"node {name} did not join: it is the master's own")
        op = admit_delete(NODE, node, now=now)
        return Txn((op,) if op is not None else (), actor=user.name, cause=f"request {request[REQUEST_ID]}")

    await request.app[STORE].transact(build)
    log.info("node left", extra={"fields": {"node": name}})
    return web.json_response({})


def is_taken(node: Node) -> bool:
    """Whether a machine bears the name. A Node that somebody only wrote down, to give it labels, is free."""
    if annotations_of(node).get(MACHINE):
        return True
    info = (node.get("status") or {}).get("nodeInfo")
    return bool(info)


def machine_of(request: bytes) -> str:
    """Which machine a certificate request comes from: the hash of its key. Raises BadRequest."""
    key = key_of_request(request).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(key).hexdigest()[:MACHINE_CHARACTERS]


def _node(reader: Reader, node: Node | None, name: str, machine: str, request: web.Request) -> Put:
    app, now = request.app, request.app[CLOCK]()
    mint: Mint = app[MINT]
    if node is None:
        body: Node = {
            "apiVersion": NODE.api_version,
            "kind": NODE.kind,
            "metadata": {"name": name, "annotations": {MACHINE: machine}},
            "spec": {},
        }
        made = admit_create(reader, NODE, body, now=now, mint=mint, manager=ACTOR, settings=app[CLUSTER])
        return Put(made, expect=ABSENT)
    told = with_meta(node, annotations={**annotations_of(node), MACHINE: machine})
    changed = admit_update(reader, NODE, node, told, now=now, manager=ACTOR, settings=app[CLUSTER])
    return Put(changed, expect=_position(node))


def _position(obj: Node | Secret) -> Position:
    return Position(int(obj["metadata"].get("resourceVersion", "0")))


def _token(text: str) -> JoinToken:
    try:
        return JoinToken.of(text)
    except BadRequest as error:
        raise Unauthorized(str(error)) from None


def _doorkeeper(request: web.Request) -> Doorkeeper:
    door = request.app[DOORKEEPER]
    if door is None:
        raise NotFound("this server lets no nodes in")
    return door


async def _body(request: web.Request, shape: type[B]) -> B:
    """Raises BadRequest with the places that are wrong, and never with what was sent: a token is in it."""
    if (request.content_length or 0) > BODY_MAX_BYTES:
        raise BadRequest(f"the request is larger than {BODY_MAX_BYTES} bytes")
    content = await request.read()
    try:
        return shape.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError:
        raise BadRequest("found no JSON object in the request") from None
    except ValidationError as error:
        places = ", ".join(".".join(map(str, one["loc"])) or "the body" for one in error.errors())
        raise BadRequest(f"not as wanted in the request: {places}") from None
