"""Request bodies: JSON, taken as what the URL says where they do not say themselves.

A body may have no Content-Type and no apiVersion or kind: official clients send such. Source: Kubernetes API concepts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import orjson
from aiohttp import web

from gitops.api.context import Target
from gitops.api.reads import whole_number
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import KubeObject

DEPTH_MAX: Final = 100  # The deepest official object has about forty levels; what walks it is recursive.
_JSON: Final = ("", "application/json", "application/octet-stream", "*/*")
_MERGE_PATCHES: Final = ("application/merge-patch+json", "application/strategic-merge-patch+json")


class DeleteOptions(NamedTuple):
    """What a DELETE asks. The uid and resourceVersion are preconditions, '' where there are none."""

    grace_seconds: int | None
    uid: str
    resource_version: str
    dry_run: bool


async def object_of(request: web.Request, target: Target) -> KubeObject:
    """The object in the body. BadRequest if it is none, or says it is something else than the URL."""
    found = await _json(request, _JSON)
    kind = target.kind
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if found.setdefault(field, wanted) != wanted:
            raise BadRequest(f"the object's {field} ({found[field]}) does not match the URL's ({wanted})")
    meta = found.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise BadRequest("metadata: wanted a map")
    if kind.namespaced and meta.setdefault("namespace", target.namespace) != target.namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if target.name and meta.setdefault("name", target.name) != target.name:
        raise BadRequest("the name of the object does not match the name on the URL")
    return cast(KubeObject, found)


async def merge_patch_of(request: web.Request) -> Mapping[str, Any]:
    """A merge patch. A strategic one is taken as such: its only users so far, agents' statuses, replace whole lists."""
    return await _json(request, _MERGE_PATCHES)


async def delete_options_of(request: web.Request) -> DeleteOptions:
    """From the body, where there is one, and the query."""
    found = await _json(request, _JSON) if request.can_read_body else {}
    if found.get("kind", "DeleteOptions") != "DeleteOptions":
        raise BadRequest(f"found a {found['kind']}, wanted DeleteOptions")
    grace = found.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    preconditions = found.get("preconditions") or {}
    return DeleteOptions(
        None if grace is None else max(_grace(grace), 0),
        str(preconditions.get("uid") or ""),
        str(preconditions.get("resourceVersion") or ""),
        bool(found.get("dryRun")) or "dryRun" in request.query,
    )


def _grace(found: object) -> int:
    if isinstance(found, int):
        return found if found >= 0 else 1  # As Kubernetes: negative means one second.
    return whole_number(str(found), "gracePeriodSeconds")


async def _json(request: web.Request, types: tuple[str, ...]) -> dict[str, Any]:
    media = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media not in types:
        accepted = ", ".join(filter(None, types))
        raise web.HTTPUnsupportedMediaType(
            text=f"the body is of an unknown format ({media}), accepted: {accepted}"
        )
    try:
        found = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRequest("the body is not a JSON object")
    if _is_deep(found):
        raise BadRequest(f"the body is nested deeper than {DEPTH_MAX} levels")
    return found


def _is_deep(value: object) -> bool:
    """Level by level, since going down into it is what must not happen."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [below for node in level for below in _below(node) if isinstance(below, dict | list)]
        if not level:
            return False
    return True


def _below(node: object) -> Iterable[object]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
