"""An object as a client wants to see it: itself, a row of a table, or its metadata alone; one at a time or as a list.

The only place that opens `Sensitive` leaves, and only those of Secrets and ConfigMaps: whoever calls has authorised.
Source: Kubernetes API concepts, "Receiving resources as Tables", "Alternate representations".
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson
from aiohttp import web

from gitops.api.context import Target
from gitops.kinds.kind import Column, Kind
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive

SLICE_OBJECTS: Final = (
    200  # Encoded between two turns of the loop: a long list must not hold up small requests.
)
SEALED: Final = frozenset({"Secret", "ConfigMap"})  # The kinds whose leaves may be `Sensitive`.
_PLAIN_COLUMNS: Final = (Column("Name", format="name"), Column("Created At"))


class Representation(StrEnum):
    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


def wanted(request: web.Request) -> Representation:
    """The first entry of the Accept header that we know, parameters included; 406 if there is none."""
    accept = request.headers.get("Accept", "") or "*/*"
    for entry in accept.split(","):
        found = _representation(entry)
        if found is not None:
            return found
    raise web.HTTPNotAcceptable(text="only the following media types are accepted: application/json")


def encode(obj: KubeObject) -> bytes:
    """The object itself, the values of a Secret or ConfigMap opened."""
    return orjson.dumps(obj, default=_reveal if obj["kind"] in SEALED else None)


def encode_one(
    obj: KubeObject, target: Target, how: Representation, now: datetime, include: str = ""
) -> bytes:
    """As a whole answer, or the `object` of a watch event."""
    if how is Representation.OBJECT:
        return encode(target.shown(obj))
    if how is Representation.METADATA:
        return orjson.dumps(_metadata_of(obj))
    meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
    return b"".join((_table_head(target.kind, meta), _row(obj, target, now, include), b"]}"))


async def encode_list(
    objects: Sequence[KubeObject],
    target: Target,
    how: Representation,
    meta: Mapping[str, object],
    now: datetime,
    include: str = "",
) -> bytes:
    """A whole list that is known to be short, as one body."""
    return b"".join([part async for part in encode_slices(objects, target, how, meta, now, include)])


async def encode_slices(
    objects: Sequence[KubeObject],
    target: Target,
    how: Representation,
    meta: Mapping[str, object],
    now: datetime,
    include: str = "",
) -> AsyncIterator[bytes]:
    """A list in slices: other requests get their turn in between. Joined they are the body."""
    kind = target.wire
    if how is Representation.TABLE:
        head = _table_head(target.kind, meta)
    elif how is Representation.METADATA:
        head = _list_head("meta.k8s.io/v1", "PartialObjectMetadataList", meta)
    else:
        head = _list_head(kind.api_version, f"{kind.kind}List", meta)
    yield head
    for start in range(0, len(objects), SLICE_OBJECTS):
        if start:
            await asyncio.sleep(0)
            yield b","
        yield b",".join(_encoded(objects[start : start + SLICE_OBJECTS], target, how, now, include))
    yield b"]}"


def _encoded(
    objects: Sequence[KubeObject], target: Target, how: Representation, now: datetime, include: str
) -> Iterator[bytes]:
    for obj in objects:
        if how is Representation.TABLE:
            yield _row(obj, target, now, include)
        elif how is Representation.METADATA:
            yield orjson.dumps(_metadata_of(obj))
        else:
            yield encode(target.shown(obj))


def _representation(entry: str) -> Representation | None:
    media, *rest = (part.strip() for part in entry.split(";"))
    if media not in ("application/json", "application/*", "*/*"):
        return None
    params = dict(part.partition("=")[::2] for part in rest)
    params.pop("q", None)
    params.pop("charset", None)
    if not params:
        return Representation.OBJECT
    if (
        params.keys() != {"as", "v", "g"}
        or params["g"] != "meta.k8s.io"
        or params["v"] not in ("v1", "v1beta1")
    ):
        return None
    shape = params["as"].removesuffix("List")
    return Representation(shape) if shape in ("Table", "PartialObjectMetadata") else None


def _list_head(api_version: str, kind: str, meta: Mapping[str, object]) -> bytes:
    return orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": meta})[:-1] + b',"items":['


def _table_head(kind: Kind[Any], meta: Mapping[str, object]) -> bytes:
    columns = [column._asdict() for column in kind.columns or _PLAIN_COLUMNS]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns}
    return orjson.dumps(head)[:-1] + b',"rows":['


def _row(obj: KubeObject, target: Target, now: datetime, include: str) -> bytes:
    meta, kind = obj["metadata"], target.kind
    cells = kind.cells(obj, now) if kind.cells else (meta.get("name"), meta.get("creationTimestamp"))
    row: dict[str, object] = {"cells": cells}
    if include != "None":
        shown = encode(target.shown(obj)) if include == "Object" else orjson.dumps(_metadata_of(obj))
        row["object"] = orjson.Fragment(shown)
    if (phase := _finished(obj)) is not None:
        row["conditions"] = [{"type": "Completed", "status": "True", "reason": phase}]
    return orjson.dumps(row)


def _finished(obj: KubeObject) -> str | None:
    """The phase of a pod that has ended: kubectl can leave such rows out."""
    status: Any = obj.get("status")
    phase = status.get("phase") if obj["kind"] == "Pod" and isinstance(status, Mapping) else None
    return phase if phase in ("Succeeded", "Failed") else None


def _metadata_of(obj: KubeObject) -> dict[str, object]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _reveal(leaf: object) -> str:
    if isinstance(leaf, Sensitive):
        return leaf.reveal().decode()
    raise TypeError(f"{type(leaf).__name__} is not JSON")
