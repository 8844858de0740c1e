"""GET of one object and of lists.

Source: Kubernetes API concepts; for what a resourceVersion means there "Semantics for get and list".
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from aiohttp import web

from gitops.api.authorize import authorize
from gitops.api.context import CLOCK, STORE, STREAMING, USER, Target
from gitops.api.pages import PAGES, Page, page_after, position_in
from gitops.api.represent import encode_one, encode_slices, wanted
from gitops.api.status import ContinueExpired, not_found
from gitops.entry import Captured
from gitops.kinds import selectors
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import BadRequest, Expired, Invalid, TooLarge
from gitops.kinds.objects import KubeObject, labels_of
from gitops.kinds.selectors import FieldRequirements, Requirements
from gitops.store.contract import Position, Revision, Scope, Store, position
from gitops.store.feed import expired
from gitops.view import View

GZIP_FROM_BYTES: Final = 128 << 10  # As kube-apiserver.
DIGITS_MAX: Final = 19
WHOLE_OBJECTS_MAX: Final = 500  # A longer list is sent in slices; kubectl asks for pages of so many.


class Selection(NamedTuple):
    """What of a collection is wanted; `texts` are the selectors as they were given."""

    labels: Requirements
    fields: FieldRequirements
    texts: tuple[str, str]

    def matches(self, obj: KubeObject) -> bool:
        return self.labels.matches(labels_of(obj)) and self.fields.matches(obj)


def selection_of(request: web.Request, target: Target) -> Selection:
    """Raises BadRequest for a selector that cannot be read, or names a field that the kind does not offer."""
    texts = (request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))
    fields = selectors.parse_fields(texts[1])
    if target.also is not None:
        fields = fields.renamed(target.also.fields)
    fields.check(target.kind.field_selectors)
    return Selection(selectors.parse(texts[0]), fields, texts)


def select(view: View, target: Target, selection: Selection) -> Sequence[KubeObject]:
    """What is selected now, in key order; by an index where the field selector names one. Opened one by one."""
    kind, fields = target.kind, selection.fields
    namespace = target.namespace or fields.value_of("metadata.namespace")
    name, node = fields.value_of("metadata.name"), fields.value_of("spec.nodeName")
    if name is not None and (namespace or not kind.namespaced):
        found = view.object(kind.key(namespace or "", name))
        return (found,) if found is not None and selection.matches(found) else ()
    by_node = node if node and kind is POD else None
    objects: Captured[KubeObject] = view.captured(kind, namespace, node=by_node)
    if selection.labels:
        objects = objects.labelled(selection.labels.matches)
    if not selection.fields:
        return objects
    return objects.where(lambda obj: _lies_in(obj, namespace) and selection.fields.matches(obj))


def _lies_in(obj: KubeObject, namespace: str | None) -> bool:
    return not namespace or obj["metadata"].get("namespace") == namespace


async def select_then(
    store: Store, target: Target, selection: Selection, at: Position
) -> tuple[KubeObject, ...]:
    """What was selected when `at` was new. Expired: watches do not begin so far back either."""
    kind, revision = target.kind, Revision(at >> 16)
    if revision < store.floors.window:
        raise expired(at, store.floors.window)
    namespace = target.namespace or selection.fields.value_of("metadata.namespace")
    objects = await store.list(Scope(kind.group, kind.kind, namespace or None), at=revision)
    return tuple(obj for obj in objects if selection.matches(obj))


async def get(request: web.Request, target: Target) -> web.StreamResponse:
    """One object (or its status: the same object)."""
    view = request.app[STORE].view()
    authorize(view, request[USER], "get", target)
    check_version(view, request.query.get("resourceVersion", ""))
    found = view.object(target.kind.key(target.namespace, target.name))
    if found is None:
        raise not_found(target)
    how, now, include = wanted(request), request.app[CLOCK](), request.query.get("includeObject", "")
    return web.Response(body=encode_one(found, target, how, now, include), content_type="application/json")


async def list_(request: web.Request, target: Target) -> web.StreamResponse:
    """A collection, in pages if the client gives a `limit`."""
    view, now = request.app[STORE].view(), request.app[CLOCK]()
    selection = selection_of(request, target)
    authorize(view, request[USER], "list", target, selection.fields)
    how = wanted(request)
    page = await _page(request, view, target, selection)
    meta: dict[str, object] = {"resourceVersion": str(page.position)}
    if page.token:
        meta["continue"] = page.token
        if not any(selection.texts):
            meta["remainingItemCount"] = page.remaining
    include = request.query.get("includeObject", "")
    slices = encode_slices(page.objects, target, how, meta, now, include)
    if len(page.objects) > WHOLE_OBJECTS_MAX:
        return await _streamed(request, slices)
    return await _answer(request, b"".join([part async for part in slices]))


def check_version(view: View, text: str) -> Position | None:
    """The resourceVersion that a client names, None where it leaves the choice to us; TooLarge for a future one."""
    if text in ("", "0"):
        return None
    if not _is_number(text):
        raise BadRequest(f"invalid resource version {text[:40]!r}")
    asked = Position(int(text))
    if asked >> 16 > view.revision:
        raise TooLarge(f"Too large resource version: {asked}, current: {position(view.revision)}")
    return asked


async def _page(request: web.Request, view: View, target: Target, selection: Selection) -> Page:
    query, now = request.query, request.app[CLOCK]()
    limit, token = whole_number(query.get("limit", "0"), "limit"), query.get("continue", "")
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    newest = position(view.revision)
    if query.get("sendInitialEvents"):
        raise Invalid("sendInitialEvents is forbidden for list")
    if match and (
        token or not version or match not in ("Exact", "NotOlderThan") or (match, version) == ("Exact", "0")
    ):
        raise Invalid("resourceVersionMatch: Forbidden: it goes with a resourceVersion, without continue")
    question = (target.kind.resource, target.namespace, *selection.texts)
    if token:

        def whole() -> Page:
            return Page(select(view, target, selection), newest, "", 0)

        try:
            return request.app[PAGES].next(question, token, limit, now, whole)
        except (
            ContinueExpired
        ) as error:  # It is not kept any more, or never was, but perhaps the store has it.
            if (place := position_in(question, token)) is None:
                raise
            try:
                then = await select_then(request.app[STORE], target, selection, place[0])
            except (Expired, TooLarge):
                raise error from None
            return page_after(question, then, *place, limit)
    asked = check_version(view, version)
    if match == "Exact" and asked is not None and asked >> 16 < view.revision:
        then = await select_then(request.app[STORE], target, selection, asked)
        return page_after(question, then, asked, "", limit)
    return request.app[PAGES].first(question, select(view, target, selection), newest, limit, now)


def whole_number(text: str, name: str) -> int:
    if not _is_number(text):
        raise BadRequest(f"{name}: found {text[:40]!r}, wanted a whole number")
    return int(text)


def _is_number(text: str) -> bool:
    """Of at most 64 bits: Python reads no number of thousands of digits, and nobody means one."""
    return text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX


async def _streamed(request: web.Request, slices: AsyncIterator[bytes]) -> web.StreamResponse:
    """As `_answer`, slice by slice as the client takes them: the whole is never in memory."""
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Vary": "Accept, Accept-Encoding"}
    )
    packer = None
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        packer = zlib.compressobj(level=1, wbits=31)
        response.headers["Content-Encoding"] = "gzip"
    response.enable_chunked_encoding()
    request[STREAMING] = True
    await response.prepare(request)
    async for part in slices:
        shown = await asyncio.to_thread(packer.compress, part) if packer else part
        if shown:
            await response.write(shown)
    await response.write_eof(packer.flush() if packer else b"")
    return response


async def _answer(request: web.Request, body: bytes) -> web.Response:
    """Compressed, on another thread, where the client takes it and it is worth the while."""
    headers = {"Vary": "Accept, Accept-Encoding"}
    if len(body) > GZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = await asyncio.to_thread(_gzip, body)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type="application/json", headers=headers)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(
        level=1, wbits=31
    )  # 31: with a gzip header. Level 1: speed matters more than size.
    return packer.compress(body) + packer.flush()
