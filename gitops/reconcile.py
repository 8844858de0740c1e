"""The vocabulary of the core: what a controller may ask (`Reader`), answers (`Writes`), and is woken by (`Trigger`).

Everything that implements a `reconcile` is pure: no I/O, clock or randomness; `now`, ids and the view are arguments.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

from gitops.kinds.errors import GitwardError
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, T
from gitops.kinds.selectors import LabelSelector


class Reader(Protocol):
    """The store at one revision. Every answer is read-only and shared; objects carry their resourceVersion.

    It has no coroutine: a reconcile is synchronous, so the live view is a snapshot for it.
    """

    @property
    def revision(self) -> int: ...

    def get(self, kind: Kind[T], key: Key) -> T | None:
        """The object at `key` (which alone decides; `kind` gives the type), None if there is none."""
        ...

    def object(self, key: Key) -> KubeObject | None:
        """As `get`, where the kind is not known beforehand."""
        ...

    def list(self, kind: Kind[T], namespace: str | None = None) -> Iterator[T]:
        """In key order. `namespace=None`: all namespaces."""
        ...

    def list_group(self, group: str, namespace: str | None = None) -> Iterator[KubeObject]:
        """Every object of every kind of an API group (the declared records, for instance), in key order."""
        ...

    def list_namespace(self, namespace: str) -> Iterator[KubeObject]:
        """Every live object in a namespace, declared records left out."""
        ...

    def owned_by(self, kind: Kind[T], owner_uid: str) -> Iterator[T]:
        """Those whose controller reference has this uid."""
        ...

    def dependents(self, owner_uid: str) -> Iterator[KubeObject]:
        """Objects of any kind with any owner reference of this uid."""
        ...

    def by_uid(self, uid: str) -> KubeObject | None: ...

    def select(self, kind: Kind[T], namespace: str, selector: LabelSelector | None) -> Iterator[T]:
        """Those whose labels match. None selects nothing, an empty selector everything."""
        ...

    def on_node(self, kind: Kind[T], node: str) -> Iterator[T]:
        """Pods with this spec.nodeName; '': those without a node."""
        ...

    def touched(self, since: int) -> tuple[int, Sequence[Key] | None]:
        """What to ask with next time, and the keys that changed since then, in order, repeats included.

        None: that is too long ago, or this is another view: look at everything. Start with -1. Marks are a view's own.
        For those who keep sums over many objects, which they bring up to date instead of counting anew.
        """
        ...

    def recorded(self, kind: Kind[T], key: Key) -> datetime | None:
        """When the store recorded an object's last change: ages are measured from here, never from its own clock."""
        ...


class EventNote(NamedTuple):
    """An Event to be recorded about an object. The runner gives it name and time and counts repetitions.

    `created`: index into `Writes.create`: the final name of that object stands for `{name}` in the message.
    """

    about: KubeObject
    type: Literal["Normal", "Warning"]
    reason: str  # CamelCase, as Kubernetes' own: ScalingReplicaSet, FailedScheduling.
    message: str
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Writes:
    """What a reconcile wants written: one transaction, or none of it.

    The runner adds preconditions: the reconciled object is as the view showed it, and so is each updated or deleted one
    (by the resourceVersion it carries). Creates and deletes also touch the reconciled object, so two reconciles of one
    object cannot both act.

    Attributes:
        create: without uid and resourceVersion; with `generateName` the runner completes the name.
        update: whole objects, made from those that the view gave.
        delete: keys; as an API delete does, so pods end gracefully and finalizers are honoured. What is also in
            `update` is changed first.
        remove: as `delete` with no grace: for pods whose node will never say that they have stopped.
        status: the reconciled object with its new status (or metadata); None: unchanged.
        after_seconds: when to look again though nothing happened; None: not at all.
    """

    create: tuple[KubeObject, ...] = ()
    update: tuple[KubeObject, ...] = ()
    delete: tuple[Key, ...] = ()
    remove: tuple[Key, ...] = ()
    status: KubeObject | None = None
    events: tuple[EventNote, ...] = ()
    after_seconds: float | None = None

    def __bool__(self) -> bool:
        """Whether anything is to be written: a settled object gives a false value."""
        return bool(self.create or self.update or self.delete or self.remove or self.status or self.events)


NOTHING: Final = Writes()
# How a message begins that stands for many: all of one reason about one object are one Event that counts.
COMBINED: Final = "(combined from similar events): "


class Trigger(NamedTuple):
    """`keys` names the objects to reconcile when an object of `group`/`kind` changes (kind None: any of the group;
    group None: any at all). Pure; asked for the object before and after the change: a lost owner hears of it, too.
    Where only the status changed, it is asked once."""

    group: str | None
    kind: str | None
    keys: Callable[[Reader, KubeObject], Iterable[Key]]


class Controller(NamedTuple):
    """A name, a pure reconcile, and what wakes it. `resync` lists every key for the timer that looks at all.

    Attributes:
        failed: what to write about an error that no retry cures (an admission refused the writes, for instance).
        serial: one transaction in flight at a time: for those that share out what they see free (the scheduler, CIDRs)
            and so must see their last write before they decide the next.
        together: decides many keys at once, in the order that it returns; each becomes a transaction of its own, all in
            flight together. With `serial`: the next ones only when the outcome of all of these is known.
    """

    name: str
    reconcile: Callable[[Reader, Key, datetime], Writes]
    triggers: tuple[Trigger, ...]
    resync: Callable[[Reader], Iterable[Key]]
    failed: Callable[[Reader, Key, GitwardError, datetime], Writes] | None = None
    serial: bool = False
    together: Callable[[Reader, Sequence[Key], datetime], Sequence[tuple[Key, Writes]]] | None = None
