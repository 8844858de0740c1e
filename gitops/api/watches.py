"""Watches: JSON lines of what is there, then of what changes.

Source: Kubernetes API concepts, "Efficient detection of changes".

An object that stops matching the selectors is told as DELETED, one that starts to as ADDED.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

import orjson
from aiohttp import web

from gitops.api.authorize import authorize
from gitops.api.context import CLOCK, SETTINGS, STORE, STREAMING, USER, Target
from gitops.api.reads import Selection, check_version, select, selection_of, whole_number
from gitops.api.represent import SEALED, Representation, encode_one, wanted
from gitops.api.status import status_of
from gitops.kinds.errors import Expired, GitwardError, Invalid
from gitops.kinds.objects import KubeObject, with_meta
from gitops.kinds.selectors import FieldRequirement, FieldRequirements
from gitops.store.contract import Batch, Change, Position, Scope, position
from gitops.view import View

CACHED_FRAMES_MAX: Final = 1_024
WRITE_BYTES: Final = 256 << 10  # Initial events are written in pieces of about this size.


class Frames:
    """Encoded events, shared by all watches of the same thing: one encoding for each, however many watch."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[int, str, str, Representation], bytes] = OrderedDict()

    def encode(self, kind_of_event: str, at: int, obj: KubeObject, view: "_Seen") -> bytes:
        """One line. Not kept are tables, which tell ages, and opened secrets, which shall not lie around."""
        if view.how is Representation.TABLE or obj["kind"] in SEALED:
            return _line(kind_of_event, obj, view)
        key = (at, kind_of_event, view.target.wire.api_version, view.how)
        line = self._frames.get(key)
        if line is None:
            line = self._frames[key] = _line(kind_of_event, obj, view)
            if len(self._frames) > CACHED_FRAMES_MAX:
                self._frames.popitem(last=False)
        return line


FRAMES: Final = web.AppKey("frames", Frames)


class _Seen(NamedTuple):
    """How one watch wants to see things."""

    target: Target
    how: Representation
    include: str
    app: web.Application


async def watch(request: web.Request, target: Target) -> web.StreamResponse:
    """A list with `watch=true`: answers until the timeout, the client's leaving, or a gap (410 in an ERROR event)."""
    view = request.app[STORE].view()
    selection = selection_of(request, target)
    if target.name:
        selection = selection._replace(fields=_named(selection, target.name))
        target = target._replace(name="")
    authorize(view, request[USER], "watch", target, selection.fields)
    seen = _Seen(target, wanted(request), request.query.get("includeObject", ""), request.app)
    after, initial = _start(request, view, target, selection)
    seconds = _seconds(request)
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    )
    response.enable_chunked_encoding()
    request[STREAMING] = True
    await response.prepare(request)
    try:
        async with asyncio.timeout(seconds):
            if initial is not None:
                await _tell_initial(response, initial, after, request, seen)
            await _tell_changes(response, after, request, seen, selection)
    except TimeoutError:
        pass  # As asked for. The client watches again.
    except GitwardError as error:
        await response.write(_error_line(error))
    await response.write_eof()
    return response


def _named(selection: Selection, name: str) -> FieldRequirements:
    return FieldRequirements((*selection.fields.all, FieldRequirement("metadata.name", True, name)))


def _start(
    request: web.Request, view: View, target: Target, selection: Selection
) -> tuple[Position, Sequence[KubeObject] | None]:
    """After which position changes are told, and what is told first (None: nothing)."""
    query = request.query
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    bookmarks = "sendInitialEvents" in query
    if bookmarks != bool(match) or (match and match != "NotOlderThan"):
        raise Invalid(
            "sendInitialEvents: Forbidden: it goes with resourceVersionMatch=NotOlderThan, and only on a watch"
        )
    asked = check_version(view, version)
    newest = position(view.revision)
    if query.get("sendInitialEvents") == "true" or (asked is None and not bookmarks):
        return newest, select(view, target, selection)
    return (newest if asked is None else asked), None


async def _tell_initial(
    response: web.StreamResponse,
    objects: Sequence[KubeObject],
    at: Position,
    request: web.Request,
    seen: _Seen,
) -> None:
    lines: list[bytes] = []
    size_bytes = 0
    for obj in objects:
        lines.append(_line("ADDED", obj, seen))
        size_bytes += len(lines[-1])
        if size_bytes > WRITE_BYTES:
            await response.write(b"".join(lines))
            lines, size_bytes = [], 0
    if request.query.get("sendInitialEvents") == "true" and _bookmarks(request):
        lines.append(_bookmark(seen, at, {"k8s.io/initial-events-end": "true"}))
    if lines:
        await response.write(b"".join(lines))


async def _tell_changes(
    response: web.StreamResponse, after: Position, request: web.Request, seen: _Seen, selection: Selection
) -> None:
    store, frames = request.app[STORE], request.app[FRAMES]
    every = request.app[SETTINGS].bookmark_seconds
    async with aclosing(
        store.watch((_scope(seen.target, selection),), after, bookmark_seconds=every)
    ) as batches:
        async for batch in batches:
            # A right may end while the watch is open: a pod that used this secret leaves the node.
            authorize(store.view(), request[USER], "watch", seen.target, selection.fields)
            if batch.changes:
                lines = list(_lines(batch, frames, seen, selection))
                if lines:
                    await response.write(b"".join(lines))
            elif _bookmarks(request):
                await response.write(_bookmark(seen, position(batch.revision), {}))


def _scope(target: Target, selection: Selection) -> Scope:
    """The narrowest topic that holds all that is selected."""
    fields, kind = selection.fields, target.kind
    node = fields.value_of("spec.nodeName")
    return Scope(
        kind.group,
        kind.kind,
        target.namespace or fields.value_of("metadata.namespace"),
        fields.value_of("metadata.name"),
        ("spec.nodeName", node) if node else None,
    )


def _lines(batch: Batch, frames: Frames, seen: _Seen, selection: Selection) -> Iterator[bytes]:
    for change in batch.changes:
        told = _told(change, selection)
        if told is not None:
            yield frames.encode(told[0], change.position, told[1], seen)


def _told(change: Change, selection: Selection) -> tuple[str, KubeObject] | None:
    """Which event a change is for this watch. DELETED carries the last content that matched, and the new version."""
    before = change.before if change.before is not None and selection.matches(change.before) else None
    after = change.after if change.after is not None and selection.matches(change.after) else None
    if after is not None:
        return ("ADDED" if before is None else "MODIFIED"), after
    if before is not None:
        return "DELETED", with_meta(before, resourceVersion=str(change.position))
    return None


def _line(kind_of_event: str, obj: KubeObject, seen: _Seen) -> bytes:
    shown = encode_one(obj, seen.target, seen.how, seen.app[CLOCK](), seen.include)
    return b"".join((b'{"type":"', kind_of_event.encode(), b'","object":', shown, b"}\n"))


def _bookmark(seen: _Seen, at: Position, annotations: dict[str, str]) -> bytes:
    kind = seen.target.wire
    meta: dict[str, object] = {"resourceVersion": str(at)}
    if annotations:
        meta["annotations"] = annotations
    shown: dict[str, object] = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
    if seen.how is not Representation.OBJECT:
        shown |= {"kind": seen.how.value, "apiVersion": "meta.k8s.io/v1"}
    if seen.how is Representation.TABLE:
        shown |= {"columnDefinitions": [], "rows": []}
    return orjson.dumps({"type": "BOOKMARK", "object": shown}) + b"\n"


def _error_line(error: GitwardError) -> bytes:
    status = status_of(error)
    if isinstance(error, Expired):
        status["message"] = f"too old resource version: {error}"
    return orjson.dumps({"type": "ERROR", "object": status}) + b"\n"


def _bookmarks(request: web.Request) -> bool:
    return request.query.get("allowWatchBookmarks", "") in ("true", "1")


def _seconds(request: web.Request) -> float:
    asked = whole_number(request.query.get("timeoutSeconds", "0"), "timeoutSeconds")
    return asked or request.app[SETTINGS].watch_seconds
