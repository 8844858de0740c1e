"""One file's text into JSON trees. Pure. In the master it runs in the parser's child only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gitops.kinds.errors import GitwardError
from gitops.kinds.yaml import Bomb, Document, Json, Unreadable, lines_of, load, load_objects, nearest_line
from gitops.sync.secrets.embedded import Embedded, embedded_in, embedded_of_json, embedded_to_json
from gitops.sync.secrets.formats import marked_format, read
from gitops.sync.secrets.leaves import (
    Sealed,
    is_sealed,
    mac_values,
    sealed_of_json,
    sealed_to_json,
    take_apart,
)
from gitops.sync.secrets.places import BadField


class Failure(NamedTuple):
    """Why a file cannot be read, and the line to look at. `is_bomb`: whoever else reads it comes to harm."""

    line: int
    what: str
    is_bomb: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds. `sealed`: it is encrypted, `documents` are as they lie there; `failure`: there are none.
    `embedded`: encrypted files that lie in its Secrets."""

    documents: tuple[Document, ...] = ()
    sealed: Sealed | None = None
    failure: Failure | None = None
    embedded: tuple[Embedded, ...] = ()


def parse(content: bytes) -> Parsed:
    """Never raises for what a text may hold."""
    documents: list[Document] = []
    try:
        documents = load_objects(content)
        if not is_sealed([document.value for document in documents]):
            return Parsed(tuple(documents), embedded=embedded_in(documents))
        documents = load(content)
        sealed = take_apart([document.value for document in documents], mac_values(content))
        return Parsed(tuple(documents), sealed)
    except Unreadable as error:
        return Parsed(failure=Failure(error.line, error.what, isinstance(error, Bomb)))
    except BadField as error:
        return Parsed(failure=Failure(line_of_field(error, documents, content), str(error)))
    except ValueError as error:
        return Parsed(failure=Failure(1, str(error)))


def parse_input(content: bytes) -> Parsed:
    """A file that a renderer is to read, whatever it is: whether it is a bomb, and what of it is encrypted."""
    form = marked_format(content)
    if form is not None:
        try:
            return Parsed(sealed=read(content, form).sealed)
        except (GitwardError, ValueError):
            pass  # Then it is no such file, and what is in it does not open.
    found = parse(content)
    return found if found.failure and found.failure.is_bomb else Parsed()


def parse_rendered(content: bytes) -> Parsed:
    """What a renderer put out: objects, encrypted ones among others. Lines are those of the output."""
    try:
        found = load_objects(content)
        documents = tuple(Document(_unwrapped(one.value), one.line, index) for index, one in enumerate(found))
        return Parsed(documents, embedded=embedded_in(documents))
    except Unreadable as error:
        return Parsed(failure=Failure(1, f"line {error.line} of what was rendered: {error.what}"))
    except BadField as error:
        return Parsed(failure=Failure(1, str(error)))


def _unwrapped(value: Json) -> Json:
    """Kustomize breaks long base64 into lines."""
    if (
        not isinstance(value, dict)
        or value.get("kind") != "Secret"
        or not isinstance(value.get("data"), dict)
    ):
        return value
    data = {
        name: "".join(text.split()) if isinstance(text, str) else text for name, text in value["data"].items()
    }
    return {**value, "data": data}


def line_of_field(error: BadField, documents: Sequence[Document], content: bytes) -> int:
    """Where the field that an error is about stands."""
    document = documents[error.document]
    path = ".".join(part for part in (document.path, error.field) if part)
    return nearest_line(lines_of(content, document.index), path) or document.line


def field_lines(content: bytes, index: int) -> dict[str, int]:
    """Field path -> line in document `index`."""
    return lines_of(content, index)


def to_json(parsed: Parsed) -> dict[str, Any]:
    """How a result travels; `of_json` is the inverse."""
    return {
        "documents": [[one.value, one.line, one.index, one.path] for one in parsed.documents],
        "sealed": sealed_to_json(parsed.sealed) if parsed.sealed else None,
        "failure": list(parsed.failure) if parsed.failure else None,
        "embedded": [embedded_to_json(one) for one in parsed.embedded],
    }


def of_json(answer: dict[str, Any]) -> Parsed:
    """KeyError, TypeError, ValueError: nothing that `to_json` made."""
    documents = tuple(
        Document(value, int(line), int(index), str(path)) for value, line, index, path in answer["documents"]
    )
    failure = answer["failure"]
    return Parsed(
        documents,
        sealed_of_json(*answer["sealed"]) if answer["sealed"] else None,
        Failure(int(failure[0]), str(failure[1]), bool(failure[2])) if failure else None,
        tuple(embedded_of_json(one) for one in answer["embedded"]),
    )
