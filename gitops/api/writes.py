"""What all writes have in common: how they are asked for, how they are carried out, and how they are answered."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from aiohttp import web

from gitops.api.context import REQUEST_ID, STORE, USER, Target, User
from gitops.api.nodes import is_node
from gitops.api.represent import encode
from gitops.api.status import conflict
from gitops.api.validation import Mode, mode_of, warned
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.node import NODE
from gitops.kinds.errors import Conflict, Invalid
from gitops.kinds.objects import KubeObject
from gitops.reconcile import Reader
from gitops.store.contract import Delete, Put, Txn

LEASE_PATIENCE_MS: Final = 250  # Heartbeats of many nodes share one fsync.
MANAGER_CHARACTERS_MAX: Final = 128
_TRUE: Final = ("true", "1")


class Asked(NamedTuple):
    """How a write was asked for.

    Attributes:
        by_person: rules about what git owns hold; nodes report what is so, whatever git says.
        manager: whom `managedFields` names; None: nobody.
        named: whether the client itself named the manager.
        force: server-side apply takes fields that others own.
    """

    by_person: bool
    manager: str | None
    named: bool
    dry_run: bool
    mode: Mode
    force: bool


def asked_of(request: web.Request, target: Target) -> Asked:
    """From the query. Raises Invalid for a value that is none."""
    query, user = request.query, request[USER]
    given = query.get("fieldManager", "")
    if len(given) > MANAGER_CHARACTERS_MAX or not given.isprintable():
        raise Invalid(f"fieldManager: wanted at most {MANAGER_CHARACTERS_MAX} printable characters")
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0][:MANAGER_CHARACTERS_MAX]
    return Asked(
        by_person=not is_node(user),
        manager=None if _is_report(user, target) else given or agent,
        named=bool(given),
        dry_run=dry_run(query.getall("dryRun", [])),
        mode=mode_of(request),
        force=query.get("force", "") in _TRUE,
    )


def dry_run(asked: Iterable[object]) -> bool:
    """Whether everything is to be done but storing it."""
    values = [value for value in asked if value != ""]
    for value in values:
        if value != "All":
            raise Invalid(f'dryRun: Unsupported value: "{value}": supported values: "All"')
    return bool(values)


def _is_report(user: User, target: Target) -> bool:
    """What a node tells of itself and its pods, all the time: nobody else writes that, so no owner need be recorded."""
    return is_node(user) and (bool(target.subresource) or target.kind is not NODE)


async def carry_out(
    request: web.Request, target: Target, build: Callable[[Reader], Txn], *, dry_run: bool
) -> KubeObject | None:
    """Commit what `build` decides on the newest state; the object as it is then, None if it is gone.

    Shielded: a client that leaves must not leave us in doubt whether its write happened.
    """
    if dry_run:
        ops = build(request.app[STORE].view()).ops
        return ops[0].obj if ops and isinstance(ops[0], Put) else None
    try:
        committed = await asyncio.shield(request.app[STORE].transact(build))
    except Conflict as error:
        if str(error).startswith(("Operation cannot", "Apply failed")):
            raise
        raise conflict(target) from error
    return next(iter(committed.objects), None)


def transaction(request: web.Request, target: Target, *ops: Put | Delete) -> Txn:
    patience_ms = LEASE_PATIENCE_MS if target.kind is LEASE else 0
    cause = f"request {request[REQUEST_ID]}"
    return Txn(ops, actor=request[USER].name, cause=cause, patience_ms=patience_ms)


def answer(obj: KubeObject, *, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    headers = warned(warnings)
    return web.Response(body=encode(obj), content_type="application/json", status=status, headers=headers)
