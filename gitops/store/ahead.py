"""The newest decided state: the view, with what is decided but not yet durable laid over it.

For the time of one `build` of a transaction. Few objects are on their way to the disk at a time, so a list is the
view's, without those, and then those of them that belong to it: no second index, and no copy of the first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import cast

from gitops.entry import Revision
from gitops.filing import Term, dependent_term, filing_of, kind_term, node_term, owner_term, terms_of
from gitops.kinds import selectors
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, T, key_of, labels_of, uid
from gitops.kinds.selectors import LabelSelector
from gitops.store.contract import Change
from gitops.view import View

Belongs = Callable[[Key, KubeObject], bool]


class Ahead:
    """A Reader of a view and the newest pending change of each key."""

    def __init__(self, view: View, pending: Mapping[Key, Change]) -> None:
        self._view, self._pending = view, pending

    @property
    def revision(self) -> Revision:
        """What is durable: the changes laid over it are newer."""
        return self._view.revision

    def get(self, kind: Kind[T], key: Key) -> T | None:
        return cast("T | None", self.object(key))

    def object(self, key: Key) -> KubeObject | None:
        change = self._pending.get(key)
        return change.after if change else self._view.object(key)

    def list(self, kind: Kind[T], namespace: str | None = None) -> Iterator[T]:
        return self._of(kind, self._view.list(kind, namespace), kind_term(kind.group, kind.kind, namespace))

    def list_group(self, group: str, namespace: str | None = None) -> Iterator[KubeObject]:
        def belongs(key: Key, _: KubeObject) -> bool:
            return key.group == group and namespace in (None, key.namespace)

        return self._merged(self._view.list_group(group, namespace), belongs)

    def list_namespace(self, namespace: str) -> Iterator[KubeObject]:
        def belongs(key: Key, _: KubeObject) -> bool:
            return key.namespace == namespace and key.group != DECLARED_GROUP

        return self._merged(self._view.list_namespace(namespace), belongs)

    def owned_by(self, kind: Kind[T], owner_uid: str) -> Iterator[T]:
        term = owner_term(kind.group, kind.kind, owner_uid)
        return self._of(kind, self._view.owned_by(kind, owner_uid), term)

    def dependents(self, owner_uid: str) -> Iterator[KubeObject]:
        return self._merged(self._view.dependents(owner_uid), _filed_under(dependent_term(owner_uid)))

    def by_uid(self, uid_: str) -> KubeObject | None:
        for change in self._pending.values():
            if change.after is not None and uid(change.after) == uid_:
                return change.after
        found = self._view.by_uid(uid_)
        return found if found is None or key_of(found) not in self._pending else None

    def select(self, kind: Kind[T], namespace: str, selector: LabelSelector | None) -> Iterator[T]:
        inside = _filed_under(kind_term(kind.group, kind.kind, namespace))

        def belongs(key: Key, obj: KubeObject) -> bool:
            return selectors.matches(selector, labels_of(obj)) and inside(key, obj)

        found: Iterator[T] = self._view.select(kind, namespace, selector)
        return cast("Iterator[T]", self._merged(found, belongs))

    def on_node(self, kind: Kind[T], node: str) -> Iterator[T]:
        return self._of(kind, self._view.on_node(kind, node), node_term(kind.group, kind.kind, node))

    def touched(self, since: int) -> tuple[int, Sequence[Key] | None]:
        """Marks are a view's own, and this one lives for one question: look at everything."""
        return since, None

    def recorded(self, kind: Kind[T], key: Key) -> datetime | None:
        change = self._pending.get(key)
        if change is None:
            return self._view.recorded(kind, key)
        return change.time if change.after is not None else None

    def _of(self, _: Kind[T], found: Iterator[T], term: Term) -> Iterator[T]:
        return cast("Iterator[T]", self._merged(found, _filed_under(term)))

    def _merged(self, found: Iterable[KubeObject], belongs: Belongs) -> Iterator[KubeObject]:
        """The order is the view's own if nothing is pending there, else that of the keys' texts."""
        pending = self._pending
        added = [
            change.after
            for key, change in pending.items()
            if change.after is not None and belongs(key, change.after)
        ]
        kept = [obj for obj in found if key_of(obj) not in pending]
        return iter(sorted([*kept, *added], key=_text) if added else kept)


def _text(obj: KubeObject) -> str:
    return key_of(obj).text


def _filed_under(term: Term) -> Belongs:
    return lambda key, obj: term in terms_of(filing_of(key, obj))
