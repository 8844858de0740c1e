"""Who a token stands for (TokenReview), and what others need to check our tokens by themselves (OIDC).

Source: Kubernetes, authentication.k8s.io/v1; "Service account issuer discovery"; OpenID Connect Discovery 1.0.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from gitops.api.authorize import authorize
from gitops.api.bodies import check_depth, media_of, read_json, read_protobuf
from gitops.api.context import CLOCK, STORE, TOKEN_KEYS, USER, Target
from gitops.api.jwt import ALGORITHM, ISSUER
from gitops.api.protobuf import MEDIA
from gitops.api.service_accounts import believed
from gitops.kinds.errors import BadRequest, Unauthorized
from gitops.kinds.kind import Kind
from gitops.kinds.reviews import AUTHENTICATION, TOKEN_REVIEW

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
KEYS_PATH: Final = "/openid/v1/jwks"
_KEPT: Final = {"Cache-Control": "public, max-age=3600"}


async def token_review(request: web.Request) -> web.Response:
    """POST /apis/authentication.k8s.io/v1/tokenreviews: 201, whatever comes of it."""
    authorize(request.app[STORE].view(), request[USER], "create", Target(TOKEN_REVIEW, ""))
    spec = (await _body(request, TOKEN_REVIEW)).get("spec") or {}
    token, audiences = spec.get("token") or "", spec.get("audiences") or [ISSUER]
    if not isinstance(token, str) or not isinstance(audiences, list):
        raise BadRequest("spec: wanted a token and audiences")
    try:
        found = believed(
            request.app[TOKEN_KEYS], request.app[STORE].view(), token, request.app[CLOCK](), audiences
        )
    except Unauthorized as error:
        status: Mapping[str, Any] = {"user": {}, "error": str(error)}
    else:
        user = {
            "username": found.user.name,
            "uid": found.uid,
            "groups": sorted(found.user.groups),
            "extra": found.extra,
        }
        status = {"authenticated": True, "user": user, "audiences": found.audiences}
    # The token is not sent back: who asked has it.
    return _answer(TOKEN_REVIEW, {"spec": {"audiences": audiences}, "status": status})


async def configuration(_: web.Request) -> web.Response:
    """Where the keys are, for whoever trusts tokens of this cluster."""
    found = {
        "issuer": ISSUER,
        "jwks_uri": ISSUER + KEYS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
    return web.Response(body=orjson.dumps(found), content_type="application/json", headers=_KEPT)


async def keys(request: web.Request) -> web.Response:
    body = orjson.dumps(request.app[TOKEN_KEYS].jwks())
    return web.Response(body=body, content_type="application/jwk-set+json", headers=_KEPT)


async def _body(request: web.Request, kind: Kind[Any]) -> Mapping[str, Any]:
    if media_of(request) == MEDIA:
        found: Any = await read_protobuf(request, AUTHENTICATION, kind.kind)
    else:
        found, _ = await read_json(request)
    check_depth(found)
    if not isinstance(found, dict) or found.get("kind", kind.kind) != kind.kind:
        raise BadRequest(f"found no {kind.kind} in the body")
    if not isinstance(found.get("spec") or {}, dict):
        raise BadRequest("spec: wanted a map")
    return found


def _answer(kind: Kind[Any], found: Mapping[str, Any]) -> web.Response:
    body = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {}, **found}
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(body), content_type="application/json", status=201, headers=headers)
