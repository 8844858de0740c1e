"""`/openapi/v3`: one document for each group version, enough for `kubectl explain` and its validation before writes.

The schemas are the official ones that `gitops.kinds` checks objects with; prose is left out there. Of the paths only
the PATCH operations are told: from them kubectl learns that validation is the server's and which patches it takes.
Source: Kubernetes, "OpenAPI V3". `/openapi/v2` is not served: clients take its absence.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import orjson
from aiohttp import web

from gitops.api.discovery import by_group
from gitops.api.patching import patch_types
from gitops.kinds import schema
from gitops.kinds.kind import Kind

_SCHEMAS: Final = "#/components/schemas/"
_CLOSED: Final = ("additionalProperties", False)


async def index(_: web.Request) -> web.Response:
    """`/openapi/v3`"""
    paths = {
        path: {
            "serverRelativeURL": f"/openapi/v3/{path}?hash={hashlib.sha256(document(path)).hexdigest()[:32].upper()}"
        }
        for path in _paths()
    }
    return web.Response(body=orjson.dumps({"paths": paths}), content_type="application/json")


async def group_version(request: web.Request) -> web.Response:
    """`/openapi/v3/apis/apps/v1`"""
    path = request.match_info["path"]
    if path not in _paths():
        raise web.HTTPNotFound(text="404 page not found")
    headers = {"Cache-Control": "public, immutable, max-age=31536000"} if "hash" in request.query else {}
    return web.Response(body=document(path), content_type="application/json", headers=headers)


@cache
def document(path: str) -> bytes:
    """The OpenAPI document of one group version, such as `apis/apps/v1`."""
    kinds = _paths()[path]
    tops = [_top(kind) for kind in kinds]
    components: dict[str, Any] = {name: dict(found) for name, found in tops}
    for _, found in tops:
        _add_references(found, components)
    return orjson.dumps(
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.35.0"},
            "paths": dict(_operation(path, kind, name) for kind, (name, _) in zip(kinds, tops, strict=True)),
            "components": {"schemas": {name: _as_openapi(found) for name, found in components.items()}},
        }
    )


@cache
def _paths() -> Mapping[str, tuple[Kind[Any], ...]]:
    found: dict[str, list[Kind[Any]]] = {}
    for group, kinds in by_group().items():
        for kind in kinds:
            found.setdefault(f"{'apis' if group else 'api'}/{kind.api_version}", []).append(kind)
    return {path: tuple(kinds) for path, kinds in found.items()}


def _top(kind: Kind[Any]) -> tuple[str, Mapping[str, Any]]:
    """The name and schema of a kind; one without official schema is free JSON beneath its metadata."""
    name = schema.definition_name(kind.group, kind.version, kind.kind)
    gvk = [{"group": kind.group, "version": kind.version, "kind": kind.kind}]
    if name is not None:
        return name, {**schema.definitions()[name], "x-kubernetes-group-version-kind": gvk}
    group = ".".join(reversed(kind.group.split(".")))
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    fields = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    top = {"type": "object", "properties": {**fields, "spec": free, "status": free}}
    return f"{group}.{kind.version}.{kind.kind}", {**top, "x-kubernetes-group-version-kind": gvk}


def _add_references(node: object, components: dict[str, Any]) -> None:
    """Everything that a schema refers to, and what that refers to."""
    for name in set(_references(node)):
        if name not in components:
            components[name] = schema.definitions()[name]
            _add_references(components[name], components)


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str):
                yield value.rpartition("/")[2]
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _as_openapi(node: Any) -> Any:  # Any JSON.
    """JSON Schema as OpenAPI 3.0 writes it: other places of references, one type only, closed maps as they are."""
    if isinstance(node, list):
        return [_as_openapi(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    if isinstance(reference := node.get("$ref"), str):
        rest = {name: value for name, value in node.items() if name != "$ref"}
        return {**rest, "allOf": [{"$ref": _SCHEMAS + reference.rpartition("/")[2]}]}
    found = {name: _as_openapi(value) for name, value in node.items() if (name, value) != _CLOSED}
    if isinstance(types := found.get("type"), list):
        del found["type"]
        found["oneOf"] = [{"type": one} for one in types]
    return found


def _operation(path: str, kind: Kind[Any], name: str) -> tuple[str, dict[str, Any]]:
    place = "/namespaces/{namespace}" if kind.namespaced else ""
    content = {media: {"schema": {"type": "object"}} for media in patch_types(kind)}
    answer = {
        "200": {"content": {"application/json": {"schema": {"$ref": _SCHEMAS + name}}}, "description": "OK"}
    }
    operation = {
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "x-kubernetes-action": "patch",
        "parameters": [
            {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}},
            {"name": "dryRun", "in": "query", "schema": {"type": "string"}},
            {"name": "fieldManager", "in": "query", "schema": {"type": "string"}},
            {"name": "force", "in": "query", "schema": {"type": "boolean"}},
        ],
        "requestBody": {"content": content},
        "responses": answer,
    }
    return f"/{path}{place}/{kind.plural}/{{name}}", {"patch": operation}
