"""What nodes are being answered now, watches and ways back among it: ended when the name is no longer their machine's.

A request asks for its rights when it comes; a watch lasts half an hour and a way back for ever. So a Node that is
deleted, or given to another machine, ends at once what its former machine still has open.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from aiohttp import web

from gitops.api.context import STORE, User
from gitops.api.nodes import node_of, refuse_other_machine
from gitops.kinds.core.node import NODE
from gitops.kinds.errors import Unauthorized
from gitops.store.contract import Batch, Store


class _Visit(NamedTuple):
    user: User
    machine: str
    life: asyncio.Timeout


class Visits:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[str, dict[int, _Visit]] = {}  # By node, then by the identity of its timeout.

    @contextmanager
    def lasting(self, user: User, machine: str, life: asyncio.Timeout) -> Iterator[None]:
        """While the block runs, `life` expires as soon as the node's name is not `machine`'s."""
        node = node_of(user)
        if node is None:
            yield
            return
        of_node = self._open.setdefault(node, {})
        of_node[id(life)] = _Visit(user, machine, life)
        try:
            yield
        finally:
            del of_node[id(life)]
            if not of_node and self._open.get(node) is of_node:
                del self._open[node]

    def noted(self, batch: Batch) -> None:
        """To be told of every batch that the store publishes."""
        for change in batch.changes:
            if change.key.kind == NODE.kind and change.key.group == NODE.group:
                self._ask_again(change.key.name)

    def _ask_again(self, node: str) -> None:
        view, now = self._store.view(), asyncio.get_running_loop().time()
        for visit in tuple(self._open.get(node, {}).values()):
            try:
                refuse_other_machine(view, visit.user, visit.machine)
            except Unauthorized:
                if not visit.life.expired():
                    visit.life.reschedule(now)


VISITS: Final = web.AppKey("visits", Visits)


async def follow(app: web.Application) -> AsyncIterator[None]:
    """For as long as the application lasts, hear of every change of a Node."""
    unsubscribe = app[STORE].subscribe(app[VISITS].noted)
    yield
    unsubscribe()
