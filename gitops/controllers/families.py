"""Which pods each owner has, counted: kept up to date by what a view was touched in, not listed for each change.

A cache and nothing more: what it says is what listing the view's pods would say. An owner of 10,000 pods is looked at
hundreds of times while they start; a look costs what has changed since the last one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from gitops.kinds.core.pod import POD, Pod, is_ready, is_terminal
from gitops.kinds.keys import Key
from gitops.kinds.objects import controller_of, is_going, labels_of
from gitops.reconcile import Reader

LABELS_MIN: Final = (
    1_024  # Label sets of pods that are gone, remembered beside as many as there are pods, twice.
)

Labels = frozenset[tuple[str, str]]


class Fact(NamedTuple):
    """What counting needs of one pod. `active`: neither ended nor being deleted; `stopping`: not ended yet."""

    owner: str  # Uid of its controller, '' for none.
    active: bool
    ready: bool
    stopping: bool
    labels: Labels


@dataclass(slots=True)
class Family:
    """The pods of one owner. `labels`: of all of them, with how many have just these and are active, or are not."""

    active: int = 0
    ready: int = 0
    stopping: int = 0
    labels: Counter[tuple[Labels, bool]] = field(default_factory=Counter)

    def add(self, fact: Fact, sign: int) -> None:
        self.active += sign * fact.active
        self.ready += sign * (fact.active and fact.ready)
        self.stopping += sign * fact.stopping
        self.labels[fact.labels, fact.active] += sign
        if not self.labels[fact.labels, fact.active]:
            del self.labels[fact.labels, fact.active]


class Families:
    """Families by the owner's uid; orphans are a family of their own, under ''."""

    def __init__(self) -> None:
        self._facts: dict[Key, Fact] = {}
        self._families: dict[str, Family] = {}
        self._labels: dict[Labels, Labels] = {}  # Equal label sets are one.
        self._mark = -1

    def of(self, owner_uid: str) -> Family:
        return self._families.get(owner_uid) or Family()

    def follow(self, view: Reader) -> None:
        """Take in what the view was touched in since the last time."""
        self._mark, keys = view.touched(self._mark)
        if keys is None:
            for one in (self._facts, self._families, self._labels):
                one.clear()
            for pod in view.list(POD):
                meta = pod["metadata"]
                self._take(POD.key(meta.get("namespace", ""), meta.get("name", "")), pod)
            return
        for key in _pods(keys):
            self._take(key, view.get(POD, key))
        if len(self._labels) > 2 * len(self._facts) + LABELS_MIN:
            self._labels = {fact.labels: fact.labels for fact in self._facts.values()}

    def _take(self, key: Key, pod: Pod | None) -> None:
        old = self._facts.get(key)
        new = self._fact(pod) if pod is not None else None
        if new == old:
            return
        if old is not None:
            self._count(old, -1)
            del self._facts[key]
        if new is not None:
            self._count(new, 1)
            self._facts[key] = new

    def _count(self, fact: Fact, sign: int) -> None:
        family = self._families.setdefault(fact.owner, Family())
        family.add(fact, sign)
        if not family.labels:
            del self._families[fact.owner]

    def _fact(self, pod: Pod) -> Fact:
        owner, going, ended = controller_of(pod), is_going(pod), is_terminal(pod)
        labels = frozenset(labels_of(pod).items())
        return Fact(
            owner["uid"] if owner else "",
            not going and not ended,
            is_ready(pod),
            going and not ended,
            self._labels.setdefault(labels, labels),
        )


_families: Final[WeakKeyDictionary[object, Families]] = WeakKeyDictionary()


def families_of(view: Reader) -> Families:
    """What the view holds now."""
    families = _families.get(view)
    if families is None:
        families = _families[view] = Families()
    families.follow(view)
    return families


def _pods(keys: Iterable[Key]) -> Iterator[Key]:
    return (key for key in dict.fromkeys(keys) if key.kind == "Pod" and not key.group)
