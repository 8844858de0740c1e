"""Writes: create, replace, patch and delete of one object. Each is one transaction, decided on the newest state.

What a write makes of an object is `gitops.admission`'s business, who may make it `authorize.py`'s.
Source: Kubernetes API concepts; apiserver/pkg/endpoints/handlers.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import orjson
from aiohttp import web

from gitops.admission import admit_create, admit_delete, admit_update, is_released, refuse_if_git_owns
from gitops.admission.merge import merge_patch
from gitops.api.authorize import authorize
from gitops.api.bodies import DeleteOptions, delete_options_of, merge_patch_of, object_of
from gitops.api.context import CLOCK, MINT, REQUEST_ID, STORE, TARGET, USER, Target
from gitops.api.nodes import is_node, node_of
from gitops.api.represent import encode
from gitops.api.restriction import restricted
from gitops.api.status import already_exists, conflict, not_found, success
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Conflict
from gitops.kinds.objects import KubeObject, key_of, uid
from gitops.reconcile import Reader
from gitops.store.contract import ABSENT, Committed, Delete, Position, Put, Txn

LEASE_PATIENCE_MS: Final = 250  # Heartbeats of many nodes share one fsync.


async def create(request: web.Request, target: Target) -> web.StreamResponse:
    """POST to a collection: 201 and the stored object; 409 if it exists."""
    view, user = request.app[STORE].view(), request[USER]
    authorize(view, user, "create", target)
    body = await object_of(request, target)
    meta = body["metadata"]
    request[TARGET] = target = target._replace(name=meta.get("name", ""))
    # Now that the name is known. One that is still to be made is never a node's own.
    authorize(view, user, "create", target._replace(name=target.name or f"{meta.get('generateName', '')}*"))
    now, mint, manager = request.app[CLOCK](), request.app[MINT], _manager(request)

    if (node := node_of(user)) is not None:
        body = restricted(node, target.kind, None, body, "")

    def build(reader: Reader) -> Txn:
        obj = admit_create(reader, target.kind, body, now=now, mint=mint, manager=manager)
        if reader.object(key_of(obj)) is not None:
            raise already_exists(target, key_of(obj).name)
        return _txn(request, target, Put(obj, expect=ABSENT))

    return _answer(await _commit(request, target, build), status=201)


async def update(request: web.Request, target: Target) -> web.StreamResponse:
    """PUT of an object or its status. A resourceVersion in the body is a precondition."""
    authorize(request.app[STORE].view(), request[USER], "update", target)
    body = await object_of(request, target)
    return await _replace(request, target, lambda _: body)


async def patch(request: web.Request, target: Target) -> web.StreamResponse:
    """A JSON merge patch (RFC 7386) of an object or its status."""
    authorize(request.app[STORE].view(), request[USER], "patch", target)
    body = await merge_patch_of(request)
    asks = "resourceVersion" in (body.get("metadata") or {})

    def changed(old: KubeObject) -> KubeObject:
        new: dict[str, Any] = merge_patch(old, body)
        if key_of(cast(KubeObject, new)) != key_of(old):
            raise conflict(target, "a patch cannot change what an object is called")
        if not asks:
            new = {**new, "metadata": {k: v for k, v in new["metadata"].items() if k != "resourceVersion"}}
        return cast(KubeObject, new)

    return await _replace(request, target, changed)


async def delete(request: web.Request, target: Target) -> web.StreamResponse:
    """DELETE of one object: gracefully for pods; the object, or a Status once it is gone."""
    view, user = request.app[STORE].view(), request[USER]
    authorize(view, user, "delete", target)
    options, now = await delete_options_of(request), request.app[CLOCK]()
    seen: list[KubeObject] = []  # The object as the transaction that counts saw it.

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            raise not_found(target)
        _check_preconditions(target, old, options)
        if not is_node(user):  # A node ends what was deleted already, declared or not.
            refuse_if_git_owns(reader, old)
        seen[:] = [old]
        op = (
            None
            if options.dry_run
            else admit_delete(target.kind, old, now=now, grace_seconds=options.grace_seconds)
        )
        return _txn(request, target, *(() if op is None else (op,)))

    committed = await _commit(request, target, build)
    left = next(iter(committed.objects), seen[0])
    if left is None and target.kind is not POD:
        return web.Response(body=orjson.dumps(success(target, uid(seen[0]))), content_type="application/json")
    return web.Response(body=encode(left or seen[0]), content_type="application/json")


async def _replace(
    request: web.Request, target: Target, changed: Callable[[KubeObject], KubeObject]
) -> web.StreamResponse:
    now, manager = request.app[CLOCK](), _manager(request)

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            raise not_found(target)
        new = changed(old)
        if (node := node_of(request[USER])) is not None:
            new = restricted(node, target.kind, old, new, target.subresource)
        asked, found = new["metadata"].get("resourceVersion", ""), old["metadata"].get("resourceVersion", "")
        if asked not in ("", found):
            raise conflict(target)
        subresource = target.subresource or None
        obj = admit_update(reader, target.kind, old, new, now=now, manager=manager, subresource=subresource)
        expect = Position(int(found))
        op = Delete(key_of(obj), expect) if is_released(obj) else Put(obj, expect)
        return _txn(request, target, op)

    committed = await _commit(request, target, build)
    return _answer(committed, status=200)


async def _commit(request: web.Request, target: Target, build: Callable[[Reader], Txn]) -> Committed:
    """Shielded: a client that leaves must not leave us in doubt whether its write happened."""
    try:
        return await asyncio.shield(request.app[STORE].transact(build))
    except Conflict as error:
        if str(error).startswith("Operation cannot"):
            raise
        raise conflict(target) from error


def _txn(request: web.Request, target: Target, *ops: Put | Delete) -> Txn:
    patience_ms = LEASE_PATIENCE_MS if target.kind is LEASE else 0
    cause = f"request {request[REQUEST_ID]}"
    return Txn(ops, actor=request[USER].name, cause=cause, patience_ms=patience_ms)


def _answer(committed: Committed, *, status: int) -> web.Response:
    stored = committed.objects[0]
    assert stored is not None  # A put always leaves an object.
    return web.Response(body=encode(stored), content_type="application/json", status=status)


def _check_preconditions(target: Target, old: KubeObject, options: DeleteOptions) -> None:
    if options.uid and options.uid != uid(old):
        raise conflict(
            target,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid(old)})",
        )
    found = old["metadata"].get("resourceVersion", "")
    if options.resource_version and options.resource_version != found:
        raise conflict(
            target,
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({found})",
        )


def _manager(request: web.Request) -> str:
    """As Kubernetes: the query's `fieldManager`, else the first word of the User-Agent."""
    given = request.query.get("fieldManager", "")
    return given or request.headers.get("User-Agent", "unknown").partition("/")[0][:128]
