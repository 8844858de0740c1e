"""The loader: events into JSON values, with an explicit stack. Nothing here recurses, so depth costs no C stack.

Source: sigs.k8s.io/yaml (kubectl 1.35) for what a text means. Stricter than kubectl where it guesses: duplicate keys,
numbers outside int64, infinities and unknown tags are errors. What aliases multiply is counted and bounded.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from yaml import events

from gitops.kinds.yaml.json_text import json_documents
from gitops.kinds.yaml.positions import lines_of
from gitops.kinds.yaml.scalars import BOOLEANS_OF_1_1, number, plain_scalar
from gitops.kinds.yaml.text import (
    DEPTH_MAX,
    Bomb,
    Document,
    Json,
    Unreadable,
    check_sizes,
    decoded,
    line_of,
    read_events,
)

ALIAS_NODES_MAX: Final = 100_000  # Nodes that aliases stand for, all together; a long text counts as several.
COST_CHARACTERS: Final = (
    100  # Every so many characters of a text count as one more node: an alias repeats them.
)


class Scalars(NamedTuple):
    """How plain scalars are read. `merge`: whether `<<` merges, else it is an ordinary key; `strict`: whether duplicate
    keys and numbers without a JSON form are errors."""

    plain: Callable[[str], Json]
    merge: bool = True
    strict: bool = True


def _kubectl(text: str) -> Json:
    return plain_scalar(text, BOOLEANS_OF_1_1, number)


KUBECTL: Final = Scalars(_kubectl)


def load(text: str | bytes, file: str = "<text>", scalars: Scalars = KUBECTL) -> list[Document]:
    """All documents of a text, empty ones left out. Raises `Unreadable`. Equal parts may be one shared value."""
    characters = decoded(text, file)
    if scalars is KUBECTL and characters.lstrip().startswith("{"):
        documents = json_documents(characters, file)
        if documents is not None:
            return documents
    check_sizes(characters, file)
    return list(_Loader(file, scalars).documents(characters))


def load_objects(text: str | bytes, file: str = "<text>") -> list[Document]:
    """As `load`, with `List` kinds replaced by their items (each with its own line)."""
    return [flat for document in load(text, file) for flat in _flattened(document, text)]


def _flattened(document: Document, text: str | bytes) -> Iterator[Document]:
    value = document.value
    if not (
        isinstance(value, dict) and str(value.get("kind", "")).endswith("List") and value.get("apiVersion")
    ):
        yield document
        return
    items = value.get("items")
    if not isinstance(items, list):
        yield document
        return
    lines = lines_of(text, document.index)
    for number_, item in enumerate(items):
        path = f"items[{number_}]"
        yield Document(item, lines.get(path, document.line), document.index, path)


class _Open:
    """A mapping or sequence whose end has not come yet."""

    __slots__ = ("anchor", "cost", "explicit", "height", "key", "merged", "merging", "value")

    def __init__(self, value: Json, anchor: str | None) -> None:
        self.value, self.anchor = value, anchor
        self.cost, self.height = 1, 1
        self.key: str | None = None  # The key whose value comes next.
        self.explicit: dict[str, int] = {}  # key -> line
        self.merged: list[Json] = []
        self.merging = False  # What a merge key `<<` merges comes next.


class _Anchored(NamedTuple):
    value: Json
    cost: int
    height: int


class _Loader:
    """One pass over one text. A node goes from `_add` into the open mapping or sequence on top of the stack."""

    def __init__(self, file: str, scalars: Scalars) -> None:
        self._file, self._scalars = file, scalars
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}  # None: its end has not come yet.
        self._alias_cost = 0
        self._root: Json = None

    def documents(self, text: str) -> Iterator[Document]:
        index, line = -1, 0
        for event in read_events(text, self._file):
            kind = type(event)
            if line == 0 and isinstance(event, events.NodeEvent):
                line = line_of(event)
            if kind is events.ScalarEvent:
                self._scalar(event)
            elif kind is events.MappingStartEvent:
                self._open({}, event)
            elif kind is events.SequenceStartEvent:
                self._open([], event)
            elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
                self._close(event)
            elif kind is events.AliasEvent:
                self._alias(event)
            elif kind is events.DocumentStartEvent:
                index, line, self._root, self._alias_cost = index + 1, 0, None, 0
                self._anchors.clear()
            elif kind is events.DocumentEndEvent and self._root is not None:
                yield Document(self._root, line, index)

    def _fail(self, event: Any, what: str) -> Unreadable:
        return Unreadable(self._file, line_of(event), what)

    def _scalar(self, event: Any) -> None:
        text: str = event.value
        top = self._stack[-1] if self._stack else None
        if self._scalars.merge and text == "<<" and event.implicit[0] and _awaits_key(top):
            assert top is not None
            if "<<" in top.explicit:
                raise self._fail(event, f"a second merge key '<<', the first is in line {top.explicit['<<']}")
            top.explicit["<<"], top.merging = line_of(event), True
            return
        try:
            value = text if event.implicit[1] else self._resolved(event)
        except ValueError as error:
            raise self._fail(event, str(error)) from error
        cost = 1 + len(text) // COST_CHARACTERS
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, cost, 1)
        self._add(event, value, cost, 1)

    def _resolved(self, event: Any) -> Json:
        """A plain scalar or a tagged one. Raises ValueError."""
        tag, text = event.tag, event.value
        if tag is None or tag == "!":
            return self._scalars.plain(text) if event.implicit[0] else text
        if tag == "tag:yaml.org,2002:str":
            return text
        if tag == "tag:yaml.org,2002:binary":
            return _binary(text)
        value = self._scalars.plain(text)
        wanted = _TAGGED.get(tag)
        if wanted is None:
            raise ValueError(f"the tag {tag!r} is not supported")
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ValueError(f"{text!r} does not fit its tag {tag.rpartition(':')[2]!r}")
        return value

    def _open(self, value: Json, event: Any) -> None:
        if len(self._stack) >= DEPTH_MAX:
            raise self._fail(event, f"nested deeper than {DEPTH_MAX} levels")
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self._fail(event, f"the tag {event.tag!r} is not supported")
        if _awaits_key(self._stack[-1] if self._stack else None):
            raise self._fail(
                event,
                "a mapping or list as a key: this looks like a Helm template ('{{ … }}')",
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(value, event.anchor))

    def _close(self, event: Any) -> None:
        done = self._stack.pop()
        if done.merged:
            # Explicit keys win wherever they stand, and of several merged mappings the first.
            for merged in done.merged:
                done.value = {**merged, **done.value}
        if done.anchor is not None:
            self._anchors[done.anchor] = _Anchored(done.value, done.cost, done.height)
        self._add(event, done.value, done.cost, done.height)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self._fail(event, f"the alias *{event.anchor} has no anchor before it")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise self._fail(event, f"the alias *{event.anchor} lies within its own anchor")
        self._alias_cost += anchored.cost
        if self._alias_cost > ALIAS_NODES_MAX:
            raise Bomb(self._file, line_of(event), f"aliases stand for more than {ALIAS_NODES_MAX} nodes")
        if len(self._stack) + anchored.height > DEPTH_MAX:
            raise self._fail(event, f"nested deeper than {DEPTH_MAX} levels, aliases expanded")
        self._add(event, anchored.value, anchored.cost, anchored.height)

    def _add(self, event: Any, value: Json, cost: int, height: int) -> None:
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        top.cost += cost
        if height >= top.height:
            top.height = height + 1
        if type(top.value) is list:
            top.value.append(value)
        elif top.merging:
            self._merge(top, event, value)
        elif top.key is None:
            self._key(top, event, value)
        else:
            top.value[top.key] = value
            top.key = None

    def _key(self, top: _Open, event: Any, value: Json) -> None:
        key = value if type(value) is str else _key_text(value)
        if key is None:
            raise self._fail(event, "a null, mapping or list as a key; a key is a text")
        line = line_of(event)
        if self._scalars.strict and key in top.explicit:
            raise self._fail(event, f"the key {key!r} stands twice, first in line {top.explicit[key]}")
        top.explicit[key] = line
        top.key = key

    def _merge(self, top: _Open, event: Any, value: Json) -> None:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise self._fail(event, "'<<' merges a mapping or a list of mappings, nothing else")
        top.merged.extend(sources)
        top.merging = False


_TAGGED: Final[dict[str, tuple[type, ...]]] = {
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:null": (type(None),),
    "tag:yaml.org,2002:timestamp": (str,),
}


def _awaits_key(top: _Open | None) -> bool:
    return top is not None and type(top.value) is dict and top.key is None and not top.merging


def _key_text(value: Json) -> str | None:
    """As Go prints it: `1:` is "1", `true:` is "true". None: no key."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    return None


def _binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("!!binary is not base64 of UTF-8 text") from error
