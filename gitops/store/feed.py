"""What was published: the live view, the recent past, and those who follow it. One for each backend; the loop's own.

A watch is one road in three stretches: batches from disk (`older`), the recent ones in memory, then live. The step from
the second to the third is synchronous, so nothing is missed and nothing comes twice.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Final

from gitops.entry import Packed
from gitops.kinds.errors import Expired, TooLarge, Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Batch, Change, Position, Revision, Scope, position
from gitops.view import View, node_of

RECENT_CHANGES_MAX: Final = 512  # Kept as dicts, for watches that resume: a store on disk has the older ones.
PENDING_CHANGES_MAX: Final = 4_096  # A watcher that has this many ahead of it is cut at the next batch.

Topic = tuple[str, ...]
Older = Callable[[Position, tuple[Scope, ...]], Awaitable[tuple[Batch, ...]]]

log = logging.getLogger(__name__)


class Watcher:
    """One open watch: what waits for it, and whether it was cut."""

    def __init__(self, scopes: tuple[Scope, ...]) -> None:
        self.scopes = scopes
        self.waiting: deque[Batch] = deque()
        self.pending_changes = 0
        self.cut: Expired | Unavailable | None = None
        self.news = asyncio.Event()

    def offer(self, batch: Batch) -> None:
        """A large batch alone cuts nobody: only what waits already counts."""
        if self.pending_changes >= PENDING_CHANGES_MAX:
            self.end(Expired(f"the watch fell {self.pending_changes} changes behind: list again"))
            return
        self.waiting.append(batch)
        self.pending_changes += len(batch.changes)
        self.news.set()

    def end(self, reason: Expired | Unavailable) -> None:
        self.cut = reason
        self.waiting.clear()
        self.news.set()

    def take(self) -> Batch:
        batch = self.waiting.popleft()
        self.pending_changes -= len(batch.changes)
        return batch


class Feed:
    """The published state. `publish` is the only way in; batches come in the order of their revisions."""

    def __init__(self, view: View, *, recent_changes_max: int = RECENT_CHANGES_MAX) -> None:
        self.view = view
        self._recent_changes_max = recent_changes_max
        self._recent: deque[Batch] = deque()
        self._recent_changes = 0
        self.floor = view.revision  # Memory holds every change after this one.
        self.window = Revision(0)  # A watch may begin here, and not before.
        self._watchers: dict[Topic, dict[Watcher, None]] = {}
        self._watched: Counter[Topic] = Counter()  # How many scopes concern a kind.
        self._subscribers: dict[object, Callable[[Batch], None]] = {}
        self._closed = False

    def publish(self, batch: Batch, packed: Sequence[Packed | None] = ()) -> None:
        """Show one whole transaction to everyone: view, subscribers, watchers, in this order. `packed`: its bodies."""
        for change, body in zip_longest(batch.changes, packed):
            self.view.apply(change, body)
        self.view.advance(batch.revision)
        self._keep(batch)
        for published in tuple(self._subscribers.values()):
            self._tell(published, batch)
        interested: dict[Watcher, list[Change]] = {}
        for change in batch.changes:
            if change.key[:2] not in self._watched:
                continue
            for watcher in self._interested(change):
                interested.setdefault(watcher, []).append(change)
        for watcher, changes in interested.items():
            watcher.offer(Batch(batch.revision, tuple(changes)))

    def undone(self, at: Revision) -> dict[Key, KubeObject | None]:
        """What each object that changed after a revision was then. Only for what memory still holds."""
        before: dict[Key, KubeObject | None] = {}
        for batch in self._recent:
            if batch.revision > at:
                for change in batch.changes:
                    before.setdefault(change.key, change.before)
        return before

    def subscribe(self, published: Callable[[Batch], None]) -> Callable[[], None]:
        """See `Store.subscribe`."""
        token = object()
        self._subscribers[token] = published
        return lambda: self._subscribers.pop(token, None) and None

    async def watch(
        self, scopes: tuple[Scope, ...], after: Position, bookmark_seconds: float | None, older: Older
    ) -> AsyncGenerator[Batch, None]:
        """See `Store.watch`. `older` reads the next batches after a position that memory no longer holds;
        it raises Expired where the past is gone, and gives at least one batch (perhaps without changes) otherwise."""
        if after >> 16 > self.view.revision:
            raise TooLarge(
                f"resource version {after} is in the future: the newest is {position(self.view.revision)}"
            )
        after = max(after, position(0))  # Nothing was ever written in revision 0.
        if after < position(self.window):
            raise expired(after, self.window)
        while after < position(self.floor):
            for batch in await older(after, scopes):
                after = position(batch.revision)
                if batch.changes:
                    yield batch
        watcher = Watcher(scopes)
        backlog = [*self._since(after, scopes)]
        self._add(watcher)
        try:
            for batch in backlog:
                yield batch
            while True:
                yield await self._next(watcher, bookmark_seconds)
        finally:
            self._remove(watcher)

    def close(self) -> None:
        """End every watch: the store is going."""
        self._closed = True
        for watchers in tuple(self._watchers.values()):
            for watcher in watchers:
                watcher.end(Unavailable("the store was closed: watch again"))

    async def _next(self, watcher: Watcher, bookmark_seconds: float | None) -> Batch:
        if not watcher.waiting and not watcher.cut:
            watcher.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(bookmark_seconds):
                    await watcher.news.wait()
        if watcher.cut:
            raise watcher.cut
        return watcher.take() if watcher.waiting else Batch(self.view.revision, ())

    def _since(self, after: Position, scopes: tuple[Scope, ...]) -> Iterator[Batch]:
        for batch in self._recent:
            if position(batch.revision) > after:
                changes = tuple(c for c in batch.changes if c.position > after and concerns(scopes, c))
                if changes:
                    yield Batch(batch.revision, changes)

    def _keep(self, batch: Batch) -> None:
        self._recent.append(batch)
        self._recent_changes += len(batch.changes)
        while self._recent_changes > self._recent_changes_max:
            gone = self._recent.popleft()
            self._recent_changes -= len(gone.changes)
            self.floor = gone.revision

    def _tell(self, published: Callable[[Batch], None], batch: Batch) -> None:
        try:
            published(batch)
        except Exception:  # The top of a loop: one subscriber's bug must not stop the store.
            log.exception("a subscriber failed", extra={"fields": {"revision": batch.revision}})

    def _add(self, watcher: Watcher) -> None:
        if self._closed:
            watcher.end(Unavailable("the store was closed: watch again"))
        for scope in watcher.scopes:
            self._watched[scope[:2]] += 1
            self._watchers.setdefault(_topic(scope), {})[watcher] = None

    def _remove(self, watcher: Watcher) -> None:
        for scope in watcher.scopes:
            self._watched[scope[:2]] -= 1
            if not self._watched[scope[:2]]:
                del self._watched[scope[:2]]
        for topic in {_topic(scope) for scope in watcher.scopes}:
            watchers = self._watchers[topic]
            watchers.pop(watcher, None)
            if not watchers:
                del self._watchers[topic]

    def _interested(self, change: Change) -> dict[Watcher, None]:
        """By topic, so that an event costs only those whom it concerns; then what the topic left open is asked."""
        near: dict[Watcher, None] = {}
        for topic in _topics(change):
            if (found := self._watchers.get(topic)) is not None:
                near.update(found)
        return {watcher: None for watcher in near if concerns(watcher.scopes, change)}


def concerns(scopes: tuple[Scope, ...], change: Change) -> bool:
    """Whether a change falls into any of the scopes, before it or after."""
    return any(_within(scope, change) for scope in scopes)


def holds(scope: Scope, key: Key, obj: KubeObject) -> bool:
    """Whether an object lies in a scope."""
    return _names(scope, key) and (scope.field is None or scope.field[1] == node_of(obj))


def expired(after: Position, floor: Revision) -> Expired:
    """What a resource version below the floor is answered with."""
    return Expired(f"resource version {after} is too old, history begins after {position(floor)}: list again")


def check_reach(at: Revision, floor: Revision, newest: Revision) -> None:
    """Whether a revision can be asked for. Raises Expired and TooLarge."""
    if at < floor:
        raise Expired(f"revision {at} is too old: the oldest that is still known is {floor}")
    if at > newest:
        raise TooLarge(f"revision {at} is in the future: the newest is {newest}")


def _within(scope: Scope, change: Change) -> bool:
    return _names(scope, change.key) and (scope.field is None or scope.field[1] in _nodes(change))


def _names(scope: Scope, key: Key) -> bool:
    return (
        (scope.group, scope.kind) == (key.group, key.kind)
        and scope.namespace in (None, key.namespace)
        and scope.name in (None, key.name)
    )


def _nodes(change: Change) -> list[str]:
    """The values of spec.nodeName that a change touches: a move concerns both."""
    return [node_of(obj) for obj in (change.before, change.after) if obj]


def _topic(scope: Scope) -> Topic:
    """The narrowest topic that holds all of a scope."""
    if scope.name is not None:
        return (scope.group, scope.kind, "name", scope.name)
    if scope.field is not None:
        return (scope.group, scope.kind, *scope.field)
    if scope.namespace is not None:
        return (scope.group, scope.kind, "namespace", scope.namespace)
    return (scope.group, scope.kind)


def _topics(change: Change) -> Iterator[Topic]:
    group, kind, namespace, name = change.key
    yield (group, kind)
    yield (group, kind, "namespace", namespace)
    yield (group, kind, "name", name)
    for node in _nodes(change):
        yield (group, kind, "spec.nodeName", node)
