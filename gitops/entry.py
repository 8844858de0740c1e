"""One object as a view holds it: always packed, where a store packs it, and a dict while it is hot.

A dict of a pod takes 20 times the memory of its packed body. So a bounded number of objects are dicts, and what is
evicted is chosen at random: by age, one scan over a little more than there is room for would find nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, NewType, cast, overload

import orjson

from gitops.filing import Term
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, T

Revision = NewType("Revision", int)  # Number of a transaction; strictly increasing; gaps are allowed.
Position = NewType("Position", int)  # revision << 16 | index in the transaction: the wire's resourceVersion.

Labels = frozenset[tuple[str, str]]

HOT_OBJECTS_MAX: Final = 2_048  # Pods that share their template: some 4 KB each.

# A full-period generator modulo 2**32 (Numerical Recipes): repeatable, and all that choosing a victim asks for.
_FACTOR: Final = 1_664_525
_STEP: Final = 1_013_904_223


class Opener:
    """Makes objects of packed bodies. One for all bodies that were packed alike.

    Attributes:
        sample: an entry that it opened lately: what it opens next shares equal parts with that one while it is hot.
        alike: whether its bodies resemble each other, so that sharing is worth the trouble.
    """

    __slots__ = ("sample",)
    alike = False

    def __init__(self) -> None:
        self.sample: Entry | None = None

    def open(self, key: Key, at: Position, body: bytes) -> KubeObject:
        """The object, with its resourceVersion; nobody else holds it yet."""
        raise NotImplementedError


class Packed(NamedTuple):
    """The body of an object as its store keeps it, and what opens it."""

    body: bytes
    opener: Opener


class Entry:
    """One object at one position. Neither hot nor packed: a tombstone, which keeps a deletion in mind.

    Attributes:
        hot: the object, None while it is only packed; `HotEntries.open` gives it in either case.
        packed: None: the store keeps no bodies, and the entry stays hot.
        slot: where it stands among the hot ones, -1: nowhere.
    """

    __slots__ = ("body", "hot", "key", "labels", "opener", "position", "slot", "terms", "text", "time", "uid")

    def __init__(self, key: Key, position: Position, time: datetime, text: str = "") -> None:
        self.key, self.position, self.time = key, position, time
        self.text, self.uid = text or key.text, ""
        self.terms: tuple[Term, ...] = ()
        self.labels: Labels = frozenset()
        self.hot: KubeObject | None = None
        self.body: bytes | None = None
        self.opener: Opener | None = None
        self.slot = -1

    @property
    def gone(self) -> bool:
        return self.hot is None and self.body is None


class HotEntries:
    """The entries that are dicts at present, at most so many. A view and its forks have one together."""

    def __init__(self, objects_max: int = HOT_OBJECTS_MAX) -> None:
        self._max = objects_max
        self._entries: list[Entry] = []
        self._random = 0

    def open(self, entry: Entry) -> KubeObject:
        """The object of an entry, which is hot from now on."""
        found = entry.hot
        if found is None:
            assert entry.body is not None, f"{entry.key} is gone"
            assert entry.opener is not None, f"{entry.key} cannot be opened"
            opener = entry.opener
            found = opener.open(entry.key, entry.position, entry.body)
            like = opener.sample.hot if opener.alike and opener.sample else None
            if like is not None:
                found = cast("KubeObject", share(found, like))
            self.keep(entry, found)
        return found

    def each(self, entries: Iterable[Entry]) -> Iterator[KubeObject]:
        """The objects, each opened when it is asked for: a long list is never in memory as a whole."""
        for entry in entries:
            found = entry.hot
            yield found if found is not None else self.open(entry)

    def keep(self, entry: Entry, obj: KubeObject) -> None:
        """Make an entry hot. One that has no packed body takes nobody's place, since it cannot be opened again."""
        entry.hot = obj
        if entry.opener is None:
            return
        entry.opener.sample = entry
        if len(self._entries) < self._max:
            entry.slot = len(self._entries)
            self._entries.append(entry)
            return
        self._random = (self._random * _FACTOR + _STEP) & 0xFFFFFFFF
        slot = (self._random >> 8) % self._max  # The low bits of such a generator have short periods.
        victim, self._entries[slot] = self._entries[slot], entry
        entry.slot = slot
        victim.hot, victim.slot = None, -1

    def drop(self, entry: Entry) -> None:
        """An entry that was replaced or deleted gives its place back. A fork that still has it opens it again."""
        slot = entry.slot
        if slot < 0:
            return
        last = self._entries.pop()
        if last is not entry:
            self._entries[slot], last.slot = last, slot
        entry.hot, entry.slot = None, -1


class Captured(Sequence[T]):
    """Objects as they are at one moment, each opened when it is looked at and let go of again: a list of a large kind
    costs a pointer for each, and makes nothing hot that nobody reconciles."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> "Captured[T]": ...
    def __getitem__(self, place: int | slice) -> "T | Captured[T]":
        if isinstance(place, slice):
            return Captured(self._entries[place])
        return cast("T", _opened(self._entries[place]))

    def __iter__(self) -> Iterator[T]:
        return (cast("T", _opened(entry)) for entry in self._entries)

    def labelled(self, matches: Callable[[Mapping[str, str]], bool]) -> "Captured[T]":
        """Those whose labels match; none is opened."""
        verdicts: dict[Labels, bool] = {}
        for entry in self._entries:
            if entry.labels not in verdicts:
                verdicts[entry.labels] = matches(dict(entry.labels))
        return Captured([entry for entry in self._entries if verdicts[entry.labels]])

    def where(self, matches: Callable[[T], bool]) -> "Captured[T]":
        """Those that match. Each is opened, one after the other."""
        return Captured([entry for entry in self._entries if matches(cast("T", _opened(entry)))])


def _opened(entry: Entry) -> KubeObject:
    if entry.hot is not None:
        return entry.hot
    assert entry.body is not None, f"{entry.key} is gone"
    assert entry.opener is not None, f"{entry.key} cannot be opened"
    return entry.opener.open(entry.key, entry.position, entry.body)


def share(new: Any, like: Any) -> Any:
    """`new`, a JSON tree that nobody else holds yet, with the parts that equal those of `like` replaced by them.

    Equal is what is the same JSON: to Python, True is 1 as well.
    """
    if new == like:
        return like if type(new) is str or orjson.dumps(new) == orjson.dumps(like) else new
    if type(new) is dict and type(like) is dict:
        for name, value in new.items():
            if type(value) in _SHARED and name in like:
                new[name] = share(value, like[name])
    elif type(new) is list and type(like) is list:
        for index, (value, other) in enumerate(zip(new, like, strict=False)):
            if type(value) in _SHARED:
                new[index] = share(value, other)
    return new


_SHARED: Final = (dict, list, str)  # Small numbers and the constants are one object as they are.
