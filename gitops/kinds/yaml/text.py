"""From bytes to libyaml's events: the errors, the limits and the one place that calls PyYAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import yaml
from yaml._yaml import CParser

from gitops.kinds.errors import BadRequest

DOCUMENT_CHARACTERS_MAX: Final = 3_000_000  # Kubernetes' own limit on a request body is 3 MiB.
DEPTH_MAX: Final = 100
REPAIRS_MAX: Final = 100  # Scalars of a text; each costs reading it once more.
READ_AGAIN_CHARACTERS_MAX: Final = 5_000_000  # By all of them together: a second or two.
_UNKNOWN_ESCAPE: Final = "found unknown escape character"  # libyaml's words.
_MERGE_MARKER: Final = re.compile(
    r"^(?:<{7}|>{7}) ", re.MULTILINE
)  # What git leaves in a file of both sides.

Json = Any  # What JSON can hold; the border where it enters.


class Unreadable(BadRequest):
    """A text that cannot be read: `file:line: what is wrong`."""

    def __init__(self, file: str, line: int, what: str) -> None:
        super().__init__(f"{file}:{line}: {what}")
        self.file, self.line, self.what = file, line, what


class Bomb(Unreadable):
    """A text whose aliases stand for far more than it shows. Other readers would take all of memory for it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document, or one item of a `List`.

    Attributes:
        value: JSON; anything, since a text may hold what is no object.
        line: where it begins, from 1.
        index: its document's number in the text, from 0, as `position_of` wants it.
        path: its path within that document ("items[2]"); "" for a whole document.
    """

    value: Json
    line: int
    index: int
    path: str = ""


def decoded(text: str | bytes, file: str) -> str:
    """UTF-8, with or without a byte order mark."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise Unreadable(file, line, "not UTF-8 text") from error


def check_sizes(text: str, file: str) -> None:
    """Before libyaml sees it: a line that starts with `---` always ends a document, so its size is known."""
    if len(text) <= DOCUMENT_CHARACTERS_MAX:
        return
    start = 0
    while start < len(text):
        end = text.find("\n---", start)
        end = len(text) if end < 0 else end + 1
        too_large(end - start, file, text.count("\n", 0, start) + 1)
        start = end


def too_large(characters: int, file: str, line: int) -> None:
    """Raises if a document is."""
    if characters > DOCUMENT_CHARACTERS_MAX:
        what = f"a document of {characters} characters, at most {DOCUMENT_CHARACTERS_MAX} are read"
        raise Unreadable(file, line, what)


def read_events(text: str, file: str) -> Iterator[Any]:
    """libyaml's events, its errors made ours.

    `"\\'"` is no escape of YAML's, but one of the reader that kubectl has, and of Kubernetes' own examples: where
    libyaml stumbles over it the scalar is told without the backslash. Lines stay what they are.
    """
    told = 0
    for repairs in range(REPAIRS_MAX + 1):
        try:
            for event in islice(
                _events(text, file), told, None
            ):  # What came before the scalar is the same again.
                told += 1
                yield event
            return
        except _UnknownEscape as error:
            repaired = _without_escaped_quotes(text, error.at)
            if repaired is None or repairs == REPAIRS_MAX or repairs * len(text) > READ_AGAIN_CHARACTERS_MAX:
                raise Unreadable(file, error.line, error.what) from error
            text = repaired


class _UnknownEscape(Unreadable):
    """`at`: the index of its backslash."""

    def __init__(self, file: str, line: int, what: str, at: int) -> None:
        super().__init__(file, line, what)
        self.at = at


def _without_escaped_quotes(text: str, at: int) -> str | None:
    """The text with each `\\'` from there to the end of the scalar as `'`; None: something else stands at `at`."""
    if text[at : at + 2] != "\\'":
        return None
    parts, position = [text[:at]], at
    while position < len(text) and text[position] != '"':
        pair = text[position : position + 2]
        step = 2 if pair[0] == "\\" else 1
        parts.append("'" if pair == "\\'" else pair[:step])
        position += step
    return "".join([*parts, text[position:]])


def _events(text: str, file: str) -> Iterator[Any]:
    try:
        parser = CParser(text)
        while (event := parser.get_event()) is not None:
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        line = min(mark.line, text.count("\n")) + 1 if mark else 1  # libyaml's end has a line of its own.
        what = ", ".join(parts) or "not YAML"
        if (marker := _MERGE_MARKER.search(text)) is not None:
            line, what = text.count("\n", 0, marker.start()) + 1, f"a merge conflict left open: {what}"
        elif mark and error.problem == _UNKNOWN_ESCAPE:
            raise _UnknownEscape(file, line, what, mark.index) from error
        raise Unreadable(file, line, what) from error
    except yaml.reader.ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        raise Unreadable(file, line, f"not YAML: {error.reason}") from error
    except UnicodeEncodeError as error:
        raise Unreadable(file, 1, "not UTF-8 text") from error


def line_of(event: Any) -> int:
    """From 1."""
    return int(event.start_mark.line) + 1
