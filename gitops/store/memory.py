"""The store in memory: for tests, the simulator and plans. It forgets everything with the process."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Final

from gitops.kinds.errors import Expired, Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import Reader
from gitops.store.contract import Batch, Committed, Floors, Position, Revision, Scope, SourceCommit, Txn
from gitops.store.decide import decide
from gitops.store.feed import Feed, check_reach, holds
from gitops.view import View

CHANGES_MAX: Final = 2_048  # All of the past that there is.
_EPOCH_FIRST: Final = 1


class MemoryStore:
    """The contract without a disk: a transaction is visible as soon as it is decided."""

    def __init__(self, clock: Callable[[], datetime], view: View | None = None) -> None:
        """`view`: what it begins with, and shows from then on: a fork of another store's, for instance."""
        self._clock = clock
        self._feed = Feed(View() if view is None else view, recent_changes_max=CHANGES_MAX)
        self._epoch = _EPOCH_FIRST
        self._commits: dict[str, dict[str, SourceCommit]] = {}  # Source -> commit id -> its latest revision.
        self._closed = False

    @property
    def epoch(self) -> int:
        return self._epoch

    def lead(self) -> int:
        """Another leader from now on: the epoch before it is fenced. Returns the new one."""
        self._epoch += 1
        return self._epoch

    @property
    def problem(self) -> str | None:
        return None

    async def commit(self, txn: Txn) -> Committed:
        return self.commit_now(txn)

    async def transact(self, build: Callable[[Reader], Txn]) -> Committed:
        return self.commit_now(build(self.view()))

    def commit_now(self, txn: Txn) -> Committed:
        """As `commit`, for callers without an event loop, such as the simulator."""
        if self._closed:
            raise Unavailable("the store is closed")
        view, now = self.view(), self._clock()
        decision = decide(txn, view.object, revision=view.revision, epoch=self._epoch, now=now)
        if decision.recorded:
            revision = decision.committed.revision
            if txn.source:
                of_source = self._commits.setdefault(txn.source.source, {})
                of_source.pop(txn.source.commit, None)
                of_source[txn.source.commit] = txn.source._replace(revision=revision, time=now)
            self._feed.publish(Batch(revision, decision.changes))
        return decision.committed

    def view(self) -> View:
        return self._feed.view

    def watch(
        self, scopes: tuple[Scope, ...], after: Position, *, bookmark_seconds: float | None = None
    ) -> AsyncGenerator[Batch, None]:
        return self._feed.watch(scopes, after, bookmark_seconds, _older)

    @property
    def floors(self) -> Floors:
        return Floors(self._feed.floor, self._feed.floor)

    async def list(self, scope: Scope, *, at: Revision) -> tuple[KubeObject, ...]:
        before = self._undone(at)
        now = {key: obj for obj in self.view().list_group(scope.group) if (key := key_of(obj)) not in before}
        then = {**now, **{key: obj for key, obj in before.items() if obj is not None}}
        return tuple(
            then[key] for key in sorted(then, key=lambda key: key.text) if holds(scope, key, then[key])
        )

    async def get(self, key: Key, *, at: Revision) -> KubeObject | None:
        before = self._undone(at)
        return before[key] if key in before else self.view().object(key)

    async def revision_of(self, source: str, commit: str) -> Revision | None:
        found = self._commits.get(source, {}).get(commit)
        return Revision(found.revision) if found else None

    def _undone(self, at: Revision) -> dict[Key, KubeObject | None]:
        check_reach(at, self._feed.floor, self.view().revision)
        return self._feed.undone(at)

    def subscribe(self, published: Callable[[Batch], None]) -> Callable[[], None]:
        return self._feed.subscribe(published)

    async def commits(self, source: str) -> tuple[SourceCommit, ...]:
        return tuple(reversed(self._commits.get(source, {}).values()))

    async def close(self) -> None:
        self._closed = True
        self._feed.close()


async def _older(after: Position, scopes: tuple[Scope, ...]) -> tuple[Batch, ...]:
    raise Expired(f"resource version {after} is too old: list again")
