"""Request bodies: JSON, YAML or protobuf, taken as what the URL says where they do not say themselves.

A body may have no Content-Type and no apiVersion or kind: official clients send such. Source: Kubernetes API concepts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import orjson
from aiohttp import web

from gitops.admission import Propagation
from gitops.api import protobuf
from gitops.api.context import USER, Target
from gitops.api.nodes import is_node
from gitops.api.reads import whole_number
from gitops.api.writes import dry_run
from gitops.kinds import yaml
from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.objects import KubeObject
from gitops.kinds.schema import path_text

DEPTH_MAX: Final = 100  # The deepest official object has about forty levels; what walks it is recursive.
_JSON: Final = ("", "application/json", "application/octet-stream", "*/*")
_YAML: Final = ("application/yaml", "application/apply-patch+yaml")
_PROPAGATIONS: Final[tuple[Propagation, ...]] = ("Background", "Foreground", "Orphan")
Json = Any  # A JSON value.


class DeleteOptions(NamedTuple):
    """What a DELETE asks. The uid and resourceVersion are preconditions, '' where there are none."""

    grace_seconds: int | None
    uid: str
    resource_version: str
    dry_run: bool
    propagation: Propagation | None


async def object_of(request: web.Request, target: Target) -> tuple[KubeObject, tuple[str, ...]]:
    """The object in the body, and the paths that it states twice.

    Raises: BadRequest if it is none, or says it is something else than the URL.
    """
    media = media_of(request)
    if media == protobuf.MEDIA:
        return fitted(await read_protobuf(request, target.wire.api_version, target.wire.kind), target), ()
    if media not in (*_JSON, *_YAML):
        raise unsupported(media, (*_JSON, *_YAML[:1], protobuf.MEDIA))
    found, twice = await (read_yaml(request) if media in _YAML else read_json(request))
    return fitted(found, target), twice


def fitted(found: Json, target: Target) -> KubeObject:
    """The object, with what the URL says where it says nothing itself."""
    kind = target.wire
    if not isinstance(found, dict):
        raise BadRequest("the body is not a JSON object")
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if found.setdefault(field, wanted) != wanted:
            raise BadRequest(f"the object's {field} ({found[field]}) does not match the URL's ({wanted})")
    meta = found.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise BadRequest("metadata: wanted a map")
    if kind.namespaced and (meta.get("namespace") or target.namespace) != target.namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if kind.namespaced:
        meta["namespace"] = target.namespace
    if target.name and (meta.get("name") or target.name) != target.name:
        raise BadRequest("the name of the object does not match the name on the URL")
    if target.name:
        meta["name"] = target.name
    return cast(KubeObject, found)


async def delete_options_of(request: web.Request) -> DeleteOptions:
    """From the body, where there is one, and the query."""
    return delete_options(request, await _options_of(request) if request.can_read_body else {})


def delete_options(request: web.Request, found: Json) -> DeleteOptions:
    """From what stands in a body, and the query. Raises BadRequest and Invalid."""
    if not isinstance(found, dict):
        raise BadRequest("the delete options are not a JSON object")
    if found.get("kind", "DeleteOptions") != "DeleteOptions":
        raise BadRequest(f"found a {found['kind']}, wanted DeleteOptions")
    grace = found.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    preconditions, dry = found.get("preconditions") or {}, found.get("dryRun") or []
    if not isinstance(preconditions, dict) or not isinstance(dry, list):
        raise BadRequest("of the delete options preconditions are a map, and dryRun is a list")
    return DeleteOptions(
        None if grace is None else max(_grace(grace), 0),
        str(preconditions.get("uid") or ""),
        str(preconditions.get("resourceVersion") or ""),
        dry_run([*dry, *request.query.getall("dryRun", [])]),
        _propagation(request, found),
    )


async def _options_of(request: web.Request) -> Json:
    media = media_of(request)
    if media == protobuf.MEDIA:
        return await read_protobuf(request, "v1", "DeleteOptions")
    if media not in _JSON:
        raise unsupported(media, (*_JSON, protobuf.MEDIA))
    return (await read_json(request))[0]


async def read_protobuf(request: web.Request, api_version: str, kind: str) -> dict[str, Json]:
    """The object; taken as `kind` where it does not say what it is. It is checked later, as of JSON."""
    return protobuf.decode(await request.read(), api_version, kind)


def _propagation(request: web.Request, found: Mapping[str, Json]) -> Propagation | None:
    asked = found.get("propagationPolicy") or request.query.get("propagationPolicy")
    orphan = found.get("orphanDependents", request.query.get("orphanDependents"))
    if asked is not None and orphan is not None:
        raise Invalid("propagationPolicy: Invalid value: orphanDependents and it cannot be set together")
    if orphan is not None:
        return "Orphan" if orphan in (True, "true", "1") else "Background"
    if asked is None or asked in _PROPAGATIONS:
        return cast("Propagation | None", asked)
    supported = ", ".join(f'"{one}"' for one in _PROPAGATIONS)
    raise Invalid(f'propagationPolicy: Unsupported value: "{asked}": supported values: {supported}')


def _grace(found: object) -> int:
    if isinstance(found, int):
        return found if found >= 0 else 1  # As Kubernetes: negative means one second.
    return whole_number(str(found), "gracePeriodSeconds")


def media_of(request: web.Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def unsupported(media: str, accepted: Iterable[str]) -> web.HTTPException:
    """415, in Kubernetes' words."""
    types = ", ".join(filter(None, accepted))
    return web.HTTPUnsupportedMediaType(
        text=f"the body of the request was in an unknown format ({media}) - accepted media types include: {types}"
    )


async def read_json(request: web.Request) -> tuple[Json, tuple[str, ...]]:
    """The value, and the paths of fields that it states twice (of which the last counts, as in Kubernetes)."""
    text = await request.read() or b"{}"
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    check_depth(found)
    if is_node(request[USER]):  # Agents state nothing twice, and ask often.
        return found, ()
    pairs = json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
    return found, tuple(_repeated(pairs))


async def read_yaml(request: web.Request) -> tuple[Json, tuple[str, ...]]:
    """As `read_json`, of one YAML document. What states a field twice is refused: the reader is a manifest's."""
    text = await request.read()
    if text.lstrip()[:1] == b"{":
        return await read_json(request)
    try:
        documents = yaml.load(text, "body")
    except yaml.Unreadable as error:
        raise BadRequest(f"the body is not YAML: {error}") from error
    if len(documents) != 1:
        raise BadRequest(f"the body holds {len(documents)} documents, wanted one")
    check_depth(documents[0].value)
    return orjson.loads(orjson.dumps(documents[0].value)), ()  # What an alias repeats is no longer shared.


class _Twice(dict[str, Json]):
    """A JSON object that states fields twice."""

    fields: tuple[str, ...] = ()


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    names = [name for name, _ in pairs]
    twice = _Twice(made)
    twice.fields = tuple(name for name in made if names.count(name) > 1)
    return twice


def _repeated(value: Json, at: tuple[str | int, ...] = ()) -> Iterator[str]:
    if isinstance(value, _Twice):
        yield from (path_text([*at, name]) for name in value.fields)
    if isinstance(value, dict):
        for name, below in value.items():
            if isinstance(below, dict | list):
                yield from _repeated(below, (*at, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _repeated(item, (*at, index))


def check_depth(value: object) -> None:
    """Level by level, since going down into it is what must not happen. Raises BadRequest."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [below for node in level for below in _below(node) if isinstance(below, dict | list)]
        if not level:
            return
    raise BadRequest(f"the body is nested deeper than {DEPTH_MAX} levels")


def _below(node: object) -> Iterable[object]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
