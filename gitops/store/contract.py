"""The state store's contract: a multi-version map of objects with etcd's semantics.

Visible means durable: a transaction is decided on the loop, persisted on one thread, and published after its fsync.
Backends are imported by module (`store.memory`, `store.sqlite`), only by composition roots and tests.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from gitops.kinds.errors import GitwardError
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.reconcile import Reader
from gitops.view import Change as Change
from gitops.view import Position as Position
from gitops.view import Revision as Revision
from gitops.view import View
from gitops.view import position as position

ABSENT: Final = Position(0)
OPS_MAX: Final = 65_535  # An index has 16 bits, and 0xFFFF means "everything of that revision".


class StoreUnusable(GitwardError):
    """The data directory cannot be opened as it is (in use, newer, wrong key); the message says what to do."""


@dataclass(frozen=True, slots=True)
class Put:
    """An object as it shall be, whole; its resourceVersion is ignored and stamped anew.

    Attributes:
        expect: None: whatever is there; ABSENT: must not exist; else exactly this position.
        touch: a new revision even if nothing differs; otherwise an equal put writes nothing.
    """

    obj: KubeObject
    expect: Position | None = None
    touch: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Removal of a key; deleting what is absent writes nothing unless `expect` says otherwise."""

    key: Key
    expect: Position | None = None


class SourceCommit(NamedTuple):
    """A commit of a source, recorded with the transaction that declared it."""

    source: str
    commit: str
    revision: int = 0  # Filled in by the store.
    time: datetime | None = None  # Filled in by the store.


@dataclass(frozen=True, slots=True)
class Txn:
    """One transaction: one op per key, at most OPS_MAX; all preconditions hold and all writes appear, or `Conflict`.

    Attributes:
        actor: who (a user, `controller/replicaset`, `system:node:n1`); kept with the revision.
        cause: why (commit id, controller name, request id); kept with the revision.
        checks: preconditions on objects that are only read.
        epoch: the leader's fencing number; None: no leader needed (API, agents).
        patience_ms: may wait that long for company before its fsync (leases: 250).
    """

    ops: tuple[Put | Delete, ...]
    actor: str
    cause: str
    checks: tuple[tuple[Key, Position], ...] = ()
    epoch: int | None = None
    source: SourceCommit | None = None
    patience_ms: int = 0


class Committed(NamedTuple):
    """The outcome: stamped objects, one per op (None for a delete). Nothing written: the present revision."""

    revision: Revision
    objects: tuple[KubeObject | None, ...]


class Scope(NamedTuple):
    """What a watch or list concerns. None: any. `field`: ("spec.nodeName", "n1"), the only declared field so far."""

    group: str
    kind: str
    namespace: str | None = None
    name: str | None = None
    field: tuple[str, str] | None = None


class Floors(NamedTuple):
    """How far back a store reaches. What lies at these revisions can still be asked for, what lies before cannot.

    Attributes:
        window: for resource versions: watches, continue tokens, lists at an exact version.
        history: for `list` and `get` at a revision; Lease and Event have none but the window.
    """

    window: Revision
    history: Revision


class Batch(NamedTuple):
    """Whole transactions only. No changes: a bookmark ("you have seen everything up to here")."""

    revision: Revision
    changes: tuple[Change, ...]


class Store(Protocol):
    """Errors: Conflict, Fenced, Expired, TooLarge, Unavailable (nothing happened; if the message says that this is not
    known, the disk hangs: read again)."""

    async def commit(self, txn: Txn) -> Committed:
        """Returns when durable and visible to every reader of this process. Conflict names key, found and expected."""
        ...

    async def transact(self, build: Callable[[Reader], Txn]) -> Committed:
        """As commit, with `build` (pure, may run again) given the newest decided state."""
        ...

    def view(self) -> View:
        """The live view; only the event loop's thread may touch it."""
        ...

    @property
    def epoch(self) -> int:
        """The fencing number of the present leader: a transaction that states another one is Fenced."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the last write was refused by the disk; None once one has succeeded again. For `/readyz` and status."""
        ...

    @property
    def floors(self) -> Floors: ...

    async def list(self, scope: Scope, *, at: Revision) -> tuple[KubeObject, ...]:
        """The objects as they were when a revision was the newest, in key order. Expired: below the floor of history;
        TooLarge: in the future."""
        ...

    async def get(self, key: Key, *, at: Revision) -> KubeObject | None:
        """One object as it was; None: it was not there. Errors as `list`."""
        ...

    async def revision_of(self, source: str, commit: str) -> Revision | None:
        """The revision that declared a commit (the last one, if it was declared twice); None: it never was."""
        ...

    def watch(
        self, scopes: tuple[Scope, ...], after: Position, *, bookmark_seconds: float | None = None
    ) -> AsyncGenerator[Batch, None]:
        """Every later change exactly once and in order. `after` below the window: Expired; in the future: TooLarge
        (both from the first step). A watcher that falls too far behind is cut with Expired, never silently skipped.

        `bookmark_seconds`: how long nothing may come before an empty Batch says up to where all was seen. Objects come
        whole, before and after: selectors are the caller's. Leave it by `contextlib.aclosing` or by cancellation.
        """
        ...

    def subscribe(self, published: Callable[[Batch], None]) -> Callable[[], None]:
        """Call `published` on the loop for every batch, in order, right after the view has it. Returns the unsubscribe.
        For the runner, which lives on the same loop; everyone else watches."""
        ...

    async def commits(self, source: str) -> tuple[SourceCommit, ...]:
        """Newest first."""
        ...

    async def close(self) -> None: ...
