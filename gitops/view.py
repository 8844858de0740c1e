"""The view: every object of the store in memory, with the indexes that controllers read.

One type serves production (applied at publish), lagging followers, the simulator and plans (a fork). It is no snapshot
by itself: a reconcile is synchronous, so nothing changes under it; what must wait in between takes a fork.
Not for the past: older revisions live in the store's history.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from datetime import datetime
from typing import Final, NamedTuple, NewType, cast

from gitops.kinds import selectors
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, T, controller_of, labels_of, uid
from gitops.kinds.selectors import LabelSelector

Revision = NewType("Revision", int)  # Number of a transaction; strictly increasing; gaps are allowed.
Position = NewType("Position", int)  # revision << 16 | index in the transaction: the wire's resourceVersion.

Term = tuple[str, ...]  # What an index files objects under, such as ("node", "", "Pod", "n1").
Labels = frozenset[tuple[str, str]]

TOUCHED_MAX: Final = 8_192  # Keys of the last changes, for those who keep sums. Further back they count anew.
POD_KIND: Final = ("", "Pod")  # Those without a node are filed too: the scheduler asks for them.

_NO_LABELS: Final[Labels] = frozenset()


def position(revision: int, index: int = 0xFFFF) -> Position:
    """The resourceVersion of one write; by default of "everything of that revision", for lists and bookmarks."""
    return Position(revision << 16 | index)


class Change(NamedTuple):
    """One write as watchers see it. Objects are stamped; `before` is None for a create, `after` for a delete."""

    position: Position
    key: Key
    before: KubeObject | None
    after: KubeObject | None
    time: datetime  # When the store recorded it.


class Entry(NamedTuple):
    """One object as the view holds it. `obj` None: a tombstone, which keeps a deletion until `advance` passes it."""

    obj: KubeObject | None
    position: Position
    time: datetime
    terms: tuple[Term, ...]
    labels: Labels


class View:
    """All of `Reader`, and the two ways in: `apply` (a change) and `advance` (a revision is complete)."""

    def __init__(self) -> None:
        self._revision = Revision(0)
        self._entries: dict[Key, Entry] = {}
        self._tombstones: dict[Key, Position] = {}
        self._kinds: dict[str, set[str]] = {}  # Group -> kinds ever seen in it.
        self._uids: dict[str, Key] = {}
        self._index: dict[Term, dict[str, KubeObject]] = {}  # Term -> key text -> object.
        self._unsorted: set[Term] = (
            set()
        )  # Terms whose members are not in key order since the last insertion.
        self._groups: dict[Term, dict[Labels, dict[str, KubeObject]]] = {}  # Equal label sets share a group.
        self._touched: deque[Key] = deque(maxlen=TOUCHED_MAX)
        self._touches = 0  # How many there have been in all.

    # Reading.

    @property
    def revision(self) -> Revision:
        """Every change up to this one has been applied."""
        return self._revision

    def get(self, kind: Kind[T], key: Key) -> T | None:
        """The object at `key` (which alone decides; `kind` gives the type), None if there is none."""
        return cast("T | None", self.object(key))

    def object(self, key: Key) -> KubeObject | None:
        """As `get`, where the kind is not known beforehand."""
        entry = self._entries.get(key)
        return entry.obj if entry else None

    def list(self, kind: Kind[T], namespace: str | None = None) -> Iterator[T]:
        """In key order. `namespace=None`: all namespaces."""
        return self._typed(kind, self._members(_kind_term(kind.group, kind.kind, namespace)))

    def list_group(self, group: str) -> Iterator[KubeObject]:
        """Every object of every kind of an API group, in key order."""
        kinds = sorted(self._kinds.get(group, ()), key=lambda kind: f"{kind}/")
        return iter([obj for kind in kinds for obj in self._members(_kind_term(group, kind, None))])

    def list_namespace(self, namespace: str) -> Iterator[KubeObject]:
        """Every live object in a namespace, declared records left out; by group and kind, then in key order."""
        kinds = [
            (group, kind) for group, kinds in self._kinds.items() for kind in kinds if group != DECLARED_GROUP
        ]
        terms = [_kind_term(group, kind, namespace) for group, kind in sorted(kinds)]
        return iter([obj for term in terms for obj in self._members(term)])

    def owned_by(self, kind: Kind[T], owner_uid: str) -> Iterator[T]:
        """Those whose controller reference has this uid, in key order."""
        return self._typed(kind, self._members(("owner", kind.group, kind.kind, owner_uid)))

    def dependents(self, owner_uid: str) -> Iterator[KubeObject]:
        """Objects of any kind with any owner reference of this uid, in key order."""
        return iter(self._members(("dependent", owner_uid)))

    def by_uid(self, uid: str) -> KubeObject | None:
        """The object with this uid, None if there is none."""
        key = self._uids.get(uid)
        return self.object(key) if key else None

    def select(self, kind: Kind[T], namespace: str, selector: LabelSelector | None) -> Iterator[T]:
        """Those whose labels match. None selects nothing, an empty selector everything.

        A selector is tried once for each distinct set of labels, whose objects then follow as a whole.
        """
        if selector is None:
            return iter(())
        groups = self._groups.get(_kind_term(kind.group, kind.kind, namespace), {})
        found = [labels for labels in groups if selectors.matches(selector, dict(labels))]
        return self._typed(kind, [obj for labels in found for obj in groups[labels].values()])

    def on_node(self, kind: Kind[T], node: str) -> Iterator[T]:
        """Pods with this spec.nodeName ('': without one), in key order."""
        return self._typed(kind, self._members(("node", kind.group, kind.kind, node)))

    def touched(self, since: int) -> tuple[int, Sequence[Key] | None]:
        """See `Reader.touched`."""
        missed = self._touches - since
        if since < 0 or not 0 <= missed <= len(self._touched):
            return self._touches, None
        return self._touches, [*islice(self._touched, len(self._touched) - missed, None)] if missed else ()

    def recorded(self, kind: Kind[T], key: Key) -> datetime | None:
        """When the store recorded the last change of an object: ages are measured from here."""
        entry = self._entries.get(key)
        return entry.time if entry and entry.obj else None

    # The ways in.

    def apply(self, change: Change) -> bool:
        """Take in one change unless what we hold is as new: it may come again, or late. Returns whether it was news."""
        held = self._entries.get(change.key)
        if change.position >> 16 <= self._revision or (held and held.position >= change.position):
            return False
        terms, labels = _terms(change.key, change.after), _labels(change.after)
        text = change.key.text
        self._touched.append(change.key)
        self._touches += 1
        if held:
            self._forget(text, held, set(terms), labels)
        self._entries[change.key] = Entry(change.after, change.position, change.time, terms, labels)
        if change.after is None:
            self._tombstones[change.key] = change.position
        else:
            self._tombstones.pop(change.key, None)
            self._remember(change.key, text, change.after, terms, labels)
        return True

    def advance(self, revision: int) -> None:
        """Every change up to `revision` has come: none of them is news any more, and their tombstones go."""
        self._revision = Revision(max(self._revision, revision))
        passed = [key for key, at in self._tombstones.items() if at >> 16 <= self._revision]
        for key in passed:
            del self._tombstones[key]
            del self._entries[key]

    def fork(self) -> "View":
        """A view of its own, equal to this one now. Objects are shared, the indexes copied."""
        other = View()
        other._revision = self._revision
        other._entries = self._entries.copy()
        other._tombstones = self._tombstones.copy()
        other._kinds = {group: kinds.copy() for group, kinds in self._kinds.items()}
        other._uids = self._uids.copy()
        other._index = {term: members.copy() for term, members in self._index.items()}
        other._unsorted = self._unsorted.copy()
        other._touched, other._touches = self._touched.copy(), self._touches
        for place, groups in self._groups.items():
            other._groups[place] = {labels: members.copy() for labels, members in groups.items()}
        return other

    # The indexes.

    def _members(self, term: Term) -> Sequence[KubeObject]:
        """A copy, since a caller may apply changes while it iterates. Sorted when first asked after an insertion."""
        members = self._index.get(term)
        if members is None:
            return []
        if term in self._unsorted:
            members = self._index[term] = {text: members[text] for text in sorted(members)}
            self._unsorted.discard(term)
        return [*members.values()]

    @staticmethod
    def _typed(_: Kind[T], found: Sequence[KubeObject]) -> Iterator[T]:
        return iter(cast("Sequence[T]", found))  # The index is by kind, so all of them are T.

    def _remember(
        self, key: Key, text: str, obj: KubeObject, terms: tuple[Term, ...], labels: Labels
    ) -> None:
        self._kinds.setdefault(key.group, set()).add(key.kind)
        if uid(obj):
            self._uids[uid(obj)] = key
        for term in terms:
            members = self._index.setdefault(term, {})
            if text not in members and members:
                self._unsorted.add(term)
            members[text] = obj
        groups = self._groups.setdefault(_kind_term(key.group, key.kind, key.namespace), {})
        groups.setdefault(labels, {})[text] = obj

    def _forget(self, text: str, held: Entry, kept: set[Term], kept_labels: Labels) -> None:
        """Take what we held out of every place where the new object will not stand; there it is replaced in place."""
        if held.obj is None:
            return
        for term in held.terms:
            if term not in kept:
                del self._index[term][text]
                if not self._index[term]:
                    del self._index[term]
                    self._unsorted.discard(term)
        if held.labels != kept_labels or not kept:
            groups = self._groups[held.terms[1]]
            del groups[held.labels][text]
            if not groups[held.labels]:
                del groups[held.labels]
        self._uids.pop(uid(held.obj), None)


def _kind_term(group: str, kind: str, namespace: str | None) -> Term:
    return ("kind", group, kind) if namespace is None else ("kind", group, kind, namespace)


def _terms(key: Key, obj: KubeObject | None) -> tuple[Term, ...]:
    """Where an object is filed. The second is its kind in its namespace, which also names its label groups."""
    if obj is None:
        return ()
    terms = [_kind_term(key.group, key.kind, None), _kind_term(key.group, key.kind, key.namespace)]
    if owners := obj["metadata"].get("ownerReferences"):
        terms += [("dependent", owner) for owner in {owner["uid"]: None for owner in owners}]
        if controller := controller_of(obj):
            terms.append(("owner", key.group, key.kind, controller["uid"]))
    if (node := node_of(obj)) or (key.group, key.kind) == POD_KIND:
        terms.append(("node", key.group, key.kind, node))
    return tuple(terms)


def node_of(obj: KubeObject) -> str:
    """`spec.nodeName`, '' where there is none: the one field that watches may name as a topic."""
    spec = cast("dict[str, object]", obj).get("spec")
    node = spec.get("nodeName") if isinstance(spec, dict) else None
    return node if isinstance(node, str) else ""


def _labels(obj: KubeObject | None) -> Labels:
    return frozenset(labels_of(obj).items()) if obj else _NO_LABELS
