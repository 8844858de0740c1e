"""YAML texts changed in place: values are replaced where they stand, so that order, style and comments stay.

Gives None where that cannot be done (aliases, a root in flow style): then the caller writes the text anew. Whoever uses
it reads the result again and compares: a text is never trusted to mean what it was meant to.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from yaml import events, tokens
from yaml._yaml import CParser

from gitops.kinds.yaml import Json
from gitops.kinds.yaml.text import read_events
from gitops.sync.secrets.leaves import BLOCK
from gitops.sync.secrets.places import Path
from gitops.sync.secrets.text import dump

_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_NODES: Final = (events.ScalarEvent, events.MappingStartEvent, events.SequenceStartEvent)
OnComment = Callable[[int, Path, str], str]  # Document, mapping, text after `#`: the new text.


class _Span(NamedTuple):
    """A scalar. `indent`: of the lines below it, if it becomes several; -1: within flow style, where it cannot."""

    start: int
    end: int
    indent: int
    is_item: bool


class _Region(NamedTuple):
    """Where comments belong to a mapping or sequence."""

    start: int
    end: int
    column: int
    document: int
    path: Path


@dataclass(slots=True)
class _Open:
    path: Path
    is_list: bool
    flow: bool
    start: int
    column: int
    count: int = 0
    key: Any = None


@dataclass(slots=True)
class _Layout:
    scalars: dict[tuple[int, Path], _Span] = field(default_factory=dict)
    regions: list[_Region] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)  # Of the `sops` keys, with their values.
    ends: list[int] = field(default_factory=list)  # Where something can be added to each document.


def replaced(
    text: str, values: Mapping[tuple[int, Path], str], on_comment: OnComment, block: Json = None
) -> str | None:
    """The text with other values, each given as YAML of one or more lines, without its `sops` blocks, and with `block`
    at the end of each document. A list's item becomes the comment that its value is, if it begins with `#`."""
    layout = _layout(text)
    if layout is None or not values.keys() <= layout.scalars.keys():
        return None
    edits = [*_removed_blocks(text, layout)]
    edits += [_edit(text, layout.scalars[place], value) for place, value in values.items()]
    for start, end, document, path in _comments(text, layout):
        edits.append((start + 1, end, on_comment(document, path, text[start + 1 : end])))
    if block is not None:
        added = dump([{BLOCK: block}])
        edits += [(end, end, added if text[:end].endswith("\n") else f"\n{added}") for end in layout.ends]
    return _applied(text, edits)


def scalar(value: Json, *, flow: bool = False) -> str:
    """A value as YAML: plain, quoted, or a block of lines whose continuation is not indented yet."""
    if flow and isinstance(value, str):
        return dump([[value]]).removeprefix("- ").strip() if _is_simple(value) else _quoted(value)
    return dump([{"k": value}]).removeprefix("k:").lstrip(" ").removesuffix("\n")


def in_flow(text: str) -> Mapping[tuple[int, Path], bool]:
    """Which scalars stand within flow style, where a value must be quoted. Empty where nothing can be replaced."""
    layout = _layout(text)
    return {} if layout is None else {place: span.indent < 0 for place, span in layout.scalars.items()}


def _is_simple(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z][\w.-]*", value) is not None


def _quoted(value: str) -> str:
    """JSON's quotes are YAML's double quotes."""
    return json.dumps(value, ensure_ascii=False)


def _edit(text: str, span: _Span, value: str) -> tuple[int, int, str]:
    if value.startswith("#") and span.is_item:
        return text.rfind("-", 0, span.start), span.end, value
    first, *rest = value.split("\n")
    lines = [first, *(f"{' ' * span.indent}{line[2:]}" if line else "" for line in rest)]
    return span.start, span.end, "\n".join(lines)


def _removed_blocks(text: str, layout: _Layout) -> Iterator[tuple[int, int, str]]:
    for start, end in layout.blocks:
        yield text.rfind("\n", 0, start) + 1, end, ""


def _applied(text: str, edits: list[tuple[int, int, str]]) -> str | None:
    parts, at = [], 0
    for start, end, new in sorted(edits):
        if start < at:
            if end <= at:
                continue  # Within what was removed.
            return None
        parts += [text[at:start], new]
        at = end
    return "".join((*parts, text[at:]))


def _comments(text: str, layout: _Layout) -> Iterator[tuple[int, int, int, Path]]:
    """Start, end, document and mapping of each comment. Comments are what lies between tokens."""
    for gap_start, gap_end in _gaps(text):
        for match in _COMMENT.finditer(text, gap_start, gap_end):
            region = _region_of(text, match.start(), layout)
            if region is not None and not _within_block(match.start(), layout):
                yield match.start(), match.end(), region.document, region.path


def _within_block(at: int, layout: _Layout) -> bool:
    return any(start <= at < end for start, end in layout.blocks)


def _gaps(text: str) -> Iterator[tuple[int, int]]:
    parser = CParser(text)
    at = 0
    while (token := parser.get_token()) is not None:
        start, end = token.start_mark.index, token.end_mark.index
        if start > at:
            yield at, start
        if not isinstance(token, tokens.BlockEndToken):
            at = max(at, end)
    yield at, len(text)


def _region_of(text: str, at: int, layout: _Layout) -> _Region | None:
    line = text.rfind("\n", 0, at) + 1
    trails = text[line:at].strip() != ""
    inside = [
        one for one in layout.regions if one.start <= at < one.end and (trails or one.column <= at - line)
    ]
    return max(inside, key=lambda one: (len(one.path), one.start), default=None)


def _layout(text: str) -> _Layout | None:
    layout = _Layout()
    stack: list[_Open] = []
    document, begun, root_seen = -1, 0, False
    for event in read_events(text, ""):
        kind = type(event)
        if kind is events.DocumentStartEvent:
            begun = event.start_mark.index if document >= 0 else 0
            document, root_seen = document + 1, False
        elif kind is events.DocumentEndEvent:
            if not root_seen:
                document -= 1  # An empty one counts for nobody.
            else:
                layout.ends.append(event.start_mark.index)
        elif kind is events.AliasEvent:
            return None
        elif kind in _NODES:
            if event.anchor is not None or (not stack and not _is_block_mapping(event)):
                return None
            root_seen = True
            _node(event, stack, layout, document, begun, text)
        elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
            _closed(event, stack, layout, document)
    return layout


def _is_block_mapping(event: Any) -> bool:
    """At the margin, as a manifest's root is."""
    is_mapping = type(event) is events.MappingStartEvent
    return is_mapping and not event.flow_style and bool(event.start_mark.column == 0)


def _node(event: Any, stack: list[_Open], layout: _Layout, document: int, begun: int, text: str) -> None:
    top = stack[-1] if stack else None
    if top is not None and not top.is_list and top.key is None:
        top.key = event
        return
    path: Path = ()
    start, column = begun, 0
    flow = getattr(event, "flow_style", False) or (top is not None and top.flow)
    if top is not None and top.is_list:
        path, start, column = (*top.path, top.count), event.start_mark.index, event.start_mark.column
        top.count += 1
    elif top is not None:
        path, start, column = (*top.path, top.key.value), top.key.end_mark.index, event.start_mark.column
    is_scalar = type(event) is events.ScalarEvent  # A name of its own: mypy knows marks that may be None.
    if is_scalar:
        end = event.start_mark.index + len(text[event.start_mark.index : event.end_mark.index].rstrip())
        assert top is not None, "the root is a mapping"
        indent = event.start_mark.column if top.is_list else top.key.start_mark.column + 2
        is_item = top.is_list and not flow
        layout.scalars[document, path] = _Span(event.start_mark.index, end, -1 if flow else indent, is_item)
        _end_block(path, top, event.end_mark.index, layout)
        if not top.is_list:
            top.key = None
        return
    stack.append(_Open(path, type(event) is events.SequenceStartEvent, flow, start, column))


def _closed(event: Any, stack: list[_Open], layout: _Layout, document: int) -> None:
    done = stack.pop()
    end = event.end_mark.index if done.flow else event.start_mark.index
    layout.regions.append(_Region(done.start, end, done.column, document, done.path))
    if stack:
        _end_block(done.path, stack[-1], end, layout)
        if not stack[-1].is_list:
            stack[-1].key = None


def _end_block(path: Path, top: _Open | None, end: int, layout: _Layout) -> None:
    if path == (BLOCK,) and top is not None:
        layout.blocks.append((top.key.start_mark.index, end))
