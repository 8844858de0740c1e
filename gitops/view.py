"""The view: every object of the store in memory, with the indexes that controllers read.

One type serves production (applied at publish), lagging followers, the simulator and plans (a fork). It is no snapshot
by itself: a reconcile is synchronous, so nothing changes under it; what must wait in between takes a fork.
Not for the past: older revisions live in the store's history.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from sys import intern
from typing import Any, Final, NamedTuple, cast

from gitops.entry import Captured, Entry, HotEntries, Labels, Packed
from gitops.entry import Position as Position
from gitops.entry import Revision as Revision
from gitops.filing import Filing, Term, dependent_term, filing_of, kind_term, node_term, owner_term, terms_of
from gitops.filing import node_of as node_of
from gitops.kinds import selectors
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, T, labels_of, uid
from gitops.kinds.selectors import LabelSelector

FILINGS_MAX: Final = 1_024  # Ways to file an object that are remembered, some 400 bytes each.
TOUCHED_MAX: Final = 8_192  # Keys of the last changes, for those who keep sums. Further back they count anew.
_FILING: Final = (
    "uid",
    "labels",
    "ownerReferences",
)  # Metadata that `terms_of` and the groups of labels go by.


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


class View:
    """All of `Reader`, and the two ways in: `apply` (a change) and `advance` (a revision is complete)."""

    def __init__(self) -> None:
        self._revision = Revision(0)
        self._entries: dict[Key, Entry] = {}
        self._tombstones: dict[Key, Position] = {}
        self._hot = HotEntries()
        self._kinds: dict[str, set[str]] = {}  # Group -> kinds ever seen in it.
        self._uids: dict[str, Key] = {}
        self._index: dict[Term, dict[str, Entry]] = {}  # Term -> key text -> entry.
        self._unsorted: set[Term] = set()  # Terms that are not in key order since the last insertion.
        self._groups: dict[Term, dict[Labels, dict[str, Entry]]] = {}  # Equal label sets share a group.
        # What is equal is one object: each term and label set as its first user made it.
        self._terms: dict[Term, Term] = {}
        self._filings: dict[Filing, tuple[Term, ...]] = {}
        self._labels: dict[Labels, Labels] = {}
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
        if entry is None:
            return None
        return entry.hot if entry.hot is not None or entry.gone else self._hot.open(entry)

    def list(self, kind: Kind[T], namespace: str | None = None) -> Iterator[T]:
        """In key order. `namespace=None`: all namespaces."""
        return self._typed(kind, self._members(kind_term(kind.group, kind.kind, namespace)))

    def list_group(self, group: str, namespace: str | None = None) -> Iterator[KubeObject]:
        """Every object of every kind of an API group, in key order. `namespace=None`: all namespaces."""
        kinds = sorted(self._kinds.get(group, ()), key=lambda kind: f"{kind}/")
        terms = [kind_term(group, kind, namespace) for kind in kinds]
        return self._hot.each([entry for term in terms for entry in self._members(term)])

    def list_namespace(self, namespace: str) -> Iterator[KubeObject]:
        """Every live object in a namespace, declared records left out; by group and kind, then in key order."""
        kinds = [
            (group, kind) for group, kinds in self._kinds.items() for kind in kinds if group != DECLARED_GROUP
        ]
        terms = [kind_term(group, kind, namespace) for group, kind in sorted(kinds)]
        return self._hot.each([entry for term in terms for entry in self._members(term)])

    def owned_by(self, kind: Kind[T], owner_uid: str) -> Iterator[T]:
        """Those whose controller reference has this uid, in key order."""
        return self._typed(kind, self._members(owner_term(kind.group, kind.kind, owner_uid)))

    def dependents(self, owner_uid: str) -> Iterator[KubeObject]:
        """Objects of any kind with any owner reference of this uid, in key order."""
        return self._hot.each(self._members(dependent_term(owner_uid)))

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
        groups = self._groups.get(kind_term(kind.group, kind.kind, namespace), {})
        found = [labels for labels in groups if selectors.matches(selector, dict(labels))]
        return self._typed(kind, [entry for labels in found for entry in groups[labels].values()])

    def on_node(self, kind: Kind[T], node: str) -> Iterator[T]:
        """Pods with this spec.nodeName ('': without one), in key order."""
        return self._typed(kind, self._members(node_term(kind.group, kind.kind, node)))

    def captured(
        self, kind: Kind[T], namespace: str | None = None, *, node: str | None = None
    ) -> Captured[T]:
        """As `list`, or as `on_node`, for those who read on while the view goes on."""
        if node is not None:
            return Captured(self._members(node_term(kind.group, kind.kind, node)))
        return Captured(self._members(kind_term(kind.group, kind.kind, namespace)))

    def touched(self, since: int) -> tuple[int, Sequence[Key] | None]:
        """See `Reader.touched`."""
        missed = self._touches - since
        if since < 0 or not 0 <= missed <= len(self._touched):
            return self._touches, None
        return self._touches, [self._touched[place] for place in range(-missed, 0)]

    def recorded(self, kind: Kind[T], key: Key) -> datetime | None:
        """When the store recorded the last change of an object: ages are measured from here."""
        entry = self._entries.get(key)
        return entry.time if entry and not entry.gone else None

    # The ways in.

    def apply(self, change: Change, packed: Packed | None = None, *, cold: bool = False) -> bool:
        """Take in one change unless what we hold is as new: it may come again, or late. Returns whether it was news.

        Args:
            packed: the body of `change.after` as the store keeps it: then the dict may be let go and made again.
            cold: let it go at once: nobody has asked for it yet.
        """
        held = self._entries.get(change.key)
        if change.position >> 16 <= self._revision or (held and held.position >= change.position):
            return False
        self._touched.append(change.key)
        self._touches += 1
        if held:
            entry = Entry(held.key, change.position, change.time, held.text)
        else:
            group, kind, namespace, name = change.key
            entry = Entry(
                Key(intern(group), intern(kind), intern(namespace), name), change.position, change.time
            )
        if held and change.after is not None and _is_filed_alike(held, change):
            entry.uid, entry.terms, entry.labels = held.uid, held.terms, held.labels
        elif change.after is not None:
            entry.uid = uid(change.after)
            entry.terms = self._terms_of(filing_of(entry.key, change.after))
            labels = frozenset(labels_of(change.after).items())
            entry.labels = self._labels.setdefault(labels, labels)
        if held:
            self._forget(held, entry)
        self._entries[entry.key] = entry
        if change.after is None:
            self._tombstones[entry.key] = entry.position
            return True
        if self._tombstones:
            self._tombstones.pop(entry.key, None)
        if packed:
            entry.body, entry.opener = packed
        if not (packed and cold):
            self._hot.keep(entry, change.after)
        self._remember(entry)
        return True

    def advance(self, revision: int) -> None:
        """Every change up to `revision` has come: none of them is news any more, and their tombstones go."""
        self._revision = Revision(max(self._revision, revision))
        if not self._tombstones:
            return
        passed = [key for key, at in self._tombstones.items() if at >> 16 <= self._revision]
        for key in passed:
            del self._tombstones[key]
            del self._entries[key]

    def fork(self) -> "View":
        """A view of its own on the same thread, equal to this one now. Objects are shared, the indexes copied."""
        other = View()
        other._revision = self._revision
        other._entries = self._entries.copy()
        other._tombstones = self._tombstones.copy()
        other._hot = self._hot
        other._terms, other._labels = self._terms.copy(), self._labels.copy()
        other._kinds = {group: kinds.copy() for group, kinds in self._kinds.items()}
        other._uids = self._uids.copy()
        other._index = {term: members.copy() for term, members in self._index.items()}
        other._unsorted = self._unsorted.copy()
        other._touched, other._touches = self._touched.copy(), self._touches
        for place, groups in self._groups.items():
            other._groups[place] = {labels: members.copy() for labels, members in groups.items()}
        return other

    # The indexes.

    def _members(self, term: Term) -> Sequence[Entry]:
        """A copy, since a caller may apply changes while it iterates. Sorted when first asked after an insertion."""
        members = self._index.get(term)
        if members is None:
            return []
        if term in self._unsorted:
            members = self._index[term] = {text: members[text] for text in sorted(members)}
            self._unsorted.discard(term)
        return [*members.values()]

    def _typed(self, _: Kind[T], found: Sequence[Entry]) -> Iterator[T]:
        return cast("Iterator[T]", self._hot.each(found))  # The index is by kind, so all of them are T.

    def _remember(self, entry: Entry) -> None:
        text, key = entry.text, entry.key
        self._kinds.setdefault(key.group, set()).add(key.kind)
        if entry.uid:
            self._uids[entry.uid] = key
        for term in entry.terms:
            members = self._index.setdefault(term, {})
            if members and text not in members and text < next(reversed(members)):
                self._unsorted.add(term)
            members[text] = entry
        groups = self._groups.setdefault(entry.terms[1], {})
        groups.setdefault(entry.labels, {})[text] = entry

    def _terms_of(self, filing: Filing) -> tuple[Term, ...]:
        """Where an object is filed. What is filed alike shares one answer."""
        found = self._filings.get(filing)
        if found is None:
            if len(self._filings) >= FILINGS_MAX:
                self._filings.clear()
            found = tuple([self._terms.setdefault(term, term) for term in terms_of(filing)])
            self._filings[filing] = found
        return found

    def _forget(self, held: Entry, new: Entry) -> None:
        """Take what we held out of every place where the new entry will not stand; there it is replaced in place."""
        if held.gone:
            return
        text = held.text
        for term in held.terms if held.terms is not new.terms else ():
            if term not in new.terms:
                del self._index[term][text]
                if not self._index[term]:
                    del self._index[term]
                    self._terms.pop(term, None)  # What is filed so again may still share it.
                    self._unsorted.discard(term)
        if held.labels != new.labels or not new.terms:
            groups = self._groups[held.terms[1]]
            del groups[held.labels][text]
            if not groups[held.labels]:
                del groups[held.labels]
                self._labels.pop(held.labels, None)  # Elsewhere it may still be in use: it is equal, not one.
        if held.uid != new.uid:
            self._uids.pop(held.uid, None)
        self._hot.drop(held)


def _is_filed_alike(held: Entry, change: Change) -> bool:
    """Most changes are of a status: nothing by which an object is filed differs from what we hold."""
    if change.before is None or held.hot is not change.before:
        return False
    before, after = cast("dict[str, Any]", change.before), cast("dict[str, Any]", change.after)
    if before.get("spec") is not after.get("spec"):
        return False
    old, new = before["metadata"], after["metadata"]
    return all(old.get(name) is new.get(name) for name in _FILING)
