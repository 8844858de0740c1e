"""Writes of one object: create, replace, patch. Each is one transaction, decided on the newest state.

What a write makes of an object is `gitops.admission`'s business, who may make it `authorize.py`'s and, for what git
states, `gitops.admission.ownership`'s. Source: Kubernetes API concepts; apiserver/pkg/endpoints/handlers.
"""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from gitops.admission import admit_create, admit_update, is_released, refuse_create, refuse_update
from gitops.api.authorize import authorize
from gitops.api.bodies import object_of
from gitops.api.context import CLOCK, CLUSTER, MINT, STORE, TARGET, USER, Target
from gitops.api.nodes import node_of
from gitops.api.patching import change_of
from gitops.api.restriction import created, restricted
from gitops.api.status import already_exists, conflict, not_found
from gitops.api.validation import checked
from gitops.api.writes import Asked, answer, asked_of, carry_out, transaction
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import Reader
from gitops.store.contract import ABSENT, Delete, Position, Put, Txn

Change = Callable[[KubeObject], KubeObject]
RENAMED: Final = "a patch cannot change what an object is called"


async def create(request: web.Request, target: Target) -> web.StreamResponse:
    """POST to a collection: 201 and the stored object; 409 if it exists."""
    view, user, asked = request.app[STORE].view(), request[USER], asked_of(request, target)
    authorize(view, user, "create", target)
    body, twice = await object_of(request, target)
    meta = body["metadata"]
    request[TARGET] = target = target._replace(name=meta.get("name", ""))
    # Now that the name is known. One that is still to be made is never a node's own.
    authorize(view, user, "create", target._replace(name=target.name or f"{meta.get('generateName', '')}*"))
    if meta.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    now, app, told = request.app[CLOCK](), request.app, tuple[str, ...]()
    body = target.taken(body, None)
    if asked.by_person:
        body, told = checked(target.kind, body, asked.mode, twice)
    if (node := node_of(user)) is not None:
        body = created(view, node, target.kind, body)

    def build(reader: Reader) -> Txn:
        obj = admit_create(
            reader, target.kind, body, now=now, mint=app[MINT], manager=asked.manager, settings=app[CLUSTER]
        )
        if reader.object(key_of(obj)) is not None:
            raise already_exists(target, key_of(obj).name)
        if asked.by_person:
            refuse_create(reader, target.kind, obj)
        return transaction(request, target, Put(obj, expect=ABSENT))

    stored = await carry_out(request, target, build, dry_run=asked.dry_run)
    assert stored is not None  # A put always leaves an object.
    return answer(target.shown(stored), status=201, warnings=told)


async def update(request: web.Request, target: Target) -> web.StreamResponse:
    """PUT of an object or its status. A resourceVersion in the body is a precondition."""
    authorize(request.app[STORE].view(), request[USER], "update", target)
    body, twice = await object_of(request, target)
    return await _replace(request, target, lambda old: target.taken(body, old), twice)


async def patch(request: web.Request, target: Target) -> web.StreamResponse:
    """A JSON, merge or strategic merge patch of an object or its status."""
    authorize(request.app[STORE].view(), request[USER], "patch", target)
    change, twice = await change_of(request, target.wire)

    def changed(old: KubeObject) -> KubeObject:
        new = target.taken(change(target.shown(old)), old)
        if key_of(new) != key_of(old):
            raise conflict(target, RENAMED)
        return new

    return await _replace(request, target, changed, twice)


async def _replace(
    request: web.Request, target: Target, changed: Change, twice: tuple[str, ...]
) -> web.StreamResponse:
    asked, seen, told = asked_of(request, target), list[KubeObject](), list[str]()

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            raise not_found(target)
        new = changed(old)
        if asked.by_person and not target.subresource:
            new, told[:] = checked(target.kind, new, asked.mode, twice, old)
        obj = replaced(request, reader, target, old, new, asked)
        seen[:] = [obj]
        return transaction(request, target, put_of(obj, old))

    stored = await carry_out(request, target, build, dry_run=asked.dry_run)
    return answer(target.shown(stored or seen[0]), warnings=told)


def replaced(
    request: web.Request, reader: Reader, target: Target, old: KubeObject, new: KubeObject, asked: Asked
) -> KubeObject:
    """The object to store in place of `old`, its precondition checked, by whoever may write what differs."""
    found = old["metadata"].get("resourceVersion", "")
    if new["metadata"].get("resourceVersion", "") not in ("", found):
        raise conflict(target)
    if (node := node_of(request[USER])) is not None:
        new = restricted(node, target.kind, old, new, target.subresource)
    now, subresource = request.app[CLOCK](), target.subresource or None
    obj: KubeObject = admit_update(
        reader, target.kind, old, new, now=now, manager=asked.manager, subresource=subresource,
        settings=request.app[CLUSTER],
    )  # fmt: skip
    if asked.by_person:
        refuse_update(reader, target.kind, old, obj, subresource)
    return obj


def put_of(obj: KubeObject, old: KubeObject) -> Put | Delete:
    """What stores a changed object; its removal, if that was its last bond."""
    expect = Position(int(old["metadata"].get("resourceVersion", "0")))
    return Delete(key_of(obj), expect) if is_released(obj) else Put(obj, expect)
