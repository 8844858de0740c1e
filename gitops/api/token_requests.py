"""The subresource `token` of service accounts: a new token, bound to a pod, Secret or node where one is named.

A node gets tokens for the pods that run on it alone, and for the audiences that they name.
Source: Kubernetes, TokenRequest v1; registry/core/serviceaccount/storage/token.go; plug-in NodeRestriction, 1.35.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

from gitops.admission.refusal import forbidden, invalid
from gitops.api.authorize import authorize
from gitops.api.bodies import check_depth, media_of, read_json, read_protobuf
from gitops.api.context import CLOCK, MINT, STORE, TOKEN_KEYS, USER, Target
from gitops.api.jwt import ISSUER
from gitops.api.nodes import node_of
from gitops.api.protobuf import MEDIA
from gitops.api.service_accounts import BOUND, claims_of
from gitops.api.status import conflict, not_found
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service_account import SERVICE_ACCOUNT
from gitops.kinds.core.volume_checks import TOKEN_SECONDS_MAX, TOKEN_SECONDS_MIN
from gitops.kinds.errors import BadRequest, NotFound
from gitops.kinds.kind import Problem
from gitops.kinds.objects import KubeObject, timestamp, uid
from gitops.kinds.reviews import AUTHENTICATION, TOKEN_REQUEST
from gitops.reconcile import Reader

SECONDS: Final = 3_600  # Of a request that says nothing.
KIND: Final = "TokenRequest"


class _Asked(NamedTuple):
    """`bound`: kind, name and uid ('': any) of what the token is to live with."""

    audiences: tuple[str, ...]
    seconds: int
    bound: tuple[str, str, str] | None


async def create_token(request: web.Request, target: Target) -> web.StreamResponse:
    """POST …/serviceaccounts/NAME/token: 201 and the TokenRequest with its token. Nothing is stored."""
    view, user, now = request.app[STORE].view(), request[USER], request.app[CLOCK]()
    authorize(view, user, "create", target)
    asked = _checked(target, await _body(request))
    account = view.get(SERVICE_ACCOUNT, SERVICE_ACCOUNT.key(target.namespace, target.name))
    if account is None:
        raise not_found(target)
    bound = _bound(view, target, asked)
    if (node := node_of(user)) is not None:
        _refuse_node(node, target, bound.get("pod"), asked.audiences)
    claims = claims_of(
        account,
        bound,
        audiences=asked.audiences,
        seconds=asked.seconds,
        now=now,
        token_id=request.app[MINT].uid(),
    )
    token = await asyncio.to_thread(request.app[TOKEN_KEYS].sign, claims)
    spec: dict[str, Any] = {"audiences": asked.audiences, "expirationSeconds": asked.seconds}
    if asked.bound is not None:
        kind, name, _ = asked.bound
        spec["boundObjectRef"] = {
            "kind": kind,
            "apiVersion": "v1",
            "name": name,
            "uid": uid(bound[kind.lower()]),
        }
    expires = timestamp(now + timedelta(seconds=asked.seconds))
    answer = {
        "kind": KIND,
        "apiVersion": AUTHENTICATION,
        "metadata": {"name": target.name, "namespace": target.namespace, "creationTimestamp": timestamp(now)},
        "spec": spec,
        # To the one who asked, over TLS: this is the one place where a token is sent.
        "status": {"token": token.reveal().decode(), "expirationTimestamp": expires},
    }
    headers = {"Cache-Control": "no-store"}
    return web.Response(
        body=orjson.dumps(answer), content_type="application/json", status=201, headers=headers
    )


async def _body(request: web.Request) -> Mapping[str, Any]:
    if media_of(request) == MEDIA:
        found: Any = await read_protobuf(request, AUTHENTICATION, KIND)
    else:
        found, _ = await read_json(request)
    check_depth(found)
    if not isinstance(found, dict) or found.get("kind", KIND) != KIND:
        raise BadRequest("found no TokenRequest in the body")
    return found


def _checked(target: Target, body: Mapping[str, Any]) -> _Asked:
    """Raises Invalid, in Kubernetes' words."""
    spec = body.get("spec") or {}
    if not isinstance(spec, Mapping):
        raise BadRequest("spec: wanted a map")
    seconds, audiences = spec.get("expirationSeconds"), spec.get("audiences") or [ISSUER]
    seconds = SECONDS if seconds is None else seconds
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise BadRequest("spec.expirationSeconds: wanted a number")
    if not isinstance(audiences, list) or not all(isinstance(one, str) and one for one in audiences):
        raise BadRequest("spec.audiences: wanted texts")
    if problems := list(_problems(seconds)):
        raise invalid(TOKEN_REQUEST, target.name, problems)
    return _Asked(tuple(dict.fromkeys(audiences)), seconds, _reference(spec.get("boundObjectRef")))


def _problems(seconds: int) -> Iterator[Problem]:
    field = "spec.expirationSeconds"
    if seconds < TOKEN_SECONDS_MIN:
        yield Problem(field, f"Invalid value: {seconds}: may not specify a duration less than 10 minutes")
    if seconds > TOKEN_SECONDS_MAX:
        yield Problem(field, f"Invalid value: {seconds}: may not specify a duration larger than 2^32 seconds")


def _reference(found: object) -> tuple[str, str, str] | None:
    if not found:
        return None
    if not isinstance(found, Mapping):
        raise BadRequest("spec.boundObjectRef: wanted a map")
    kind, name = str(found.get("kind") or ""), str(found.get("name") or "")
    if kind.lower() not in BOUND or found.get("apiVersion", "v1") not in ("", "v1") or kind != kind.title():
        raise BadRequest(f"cannot bind token to object of type {found.get('apiVersion')}, Kind={kind}")
    return kind, name, str(found.get("uid") or "")


def _bound(view: Reader, target: Target, asked: _Asked) -> dict[str, KubeObject]:
    """What the token is bound to; beside a pod its node. Raises NotFound, Conflict, Forbidden."""
    if asked.bound is None:
        return {}
    kind, name, wanted = asked.bound
    served = BOUND[kind.lower()]
    found: Any = view.get(served, served.key(target.namespace, name))
    if found is None:
        raise NotFound(f'{served.plural} "{name}" not found')
    if wanted and wanted != uid(found):
        why = f"the UID in the bound object reference ({wanted}) does not match the UID in record"
        raise conflict(target, f"{why}. The object might have been deleted and then recreated")
    bound = {kind.lower(): found}
    if served is not POD:
        return bound
    if found["spec"].get("serviceAccountName", "") != target.name:
        why = f"cannot bind token for serviceaccount {target.name!r} to pod running with different serviceaccount name."
        raise forbidden(SERVICE_ACCOUNT, target.name, why)
    node = view.get(NODE, NODE.key("", found["spec"].get("nodeName", "")))
    return {"node": node, **bound} if node is not None else bound


def _refuse_node(node: str, target: Target, pod: Any, audiences: Sequence[str]) -> None:
    """Raises Forbidden unless the token is for a pod of this node and audiences that the pod names."""
    if pod is None:
        raise forbidden(SERVICE_ACCOUNT, target.name, "node requested token not bound to a pod")
    if pod["spec"].get("nodeName", "") != node:
        raise forbidden(
            SERVICE_ACCOUNT, target.name, "node requested token bound to a pod scheduled on a different node"
        )
    for audience in audiences:
        if audience not in audiences_of(pod):
            why = f"audience {audience!r} not found in pod spec volume"
            raise forbidden(SERVICE_ACCOUNT, target.name, why)


def audiences_of(pod: Any) -> frozenset[str]:
    """Those of the tokens that a pod mounts."""
    projected = (volume.get("projected") or {} for volume in pod["spec"].get("volumes") or ())
    sources = (source for one in projected for source in one.get("sources") or ())
    tokens = (one for source in sources if (one := source.get("serviceAccountToken")) is not None)
    return frozenset(one.get("audience") or ISSUER for one in tokens)
