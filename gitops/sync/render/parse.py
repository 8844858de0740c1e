"""One file's text into JSON trees. Pure. In the master it runs in the parser's child only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gitops.kinds.yaml import Document, Unreadable, lines_of, load, load_objects
from gitops.sync.secrets.leaves import SOPS, Leaf, Sealed, is_sealed, take_apart


class Failure(NamedTuple):
    """Why a file cannot be read, and the line to look at."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file holds. `sealed`: it is encrypted, `documents` are as they lie there; `failure`: there are none."""

    documents: tuple[Document, ...] = ()
    sealed: Sealed | None = None
    failure: Failure | None = None


def parse(content: bytes) -> Parsed:
    """Never raises for what a text may hold."""
    try:
        documents = load_objects(content)
        if not is_sealed([document.value for document in documents]):
            return Parsed(tuple(documents))
        whole = load(content)
        mac_values = [document.value for document in load(content, scalars=SOPS)]
        return Parsed(tuple(whole), take_apart([document.value for document in whole], mac_values))
    except Unreadable as error:
        return Parsed(failure=Failure(error.line, error.what))
    except ValueError as error:
        return Parsed(failure=Failure(1, str(error)))


def field_lines(content: bytes, index: int) -> dict[str, int]:
    """Field path -> line in document `index`."""
    return lines_of(content, index)


def to_json(parsed: Parsed) -> dict[str, Any]:
    """How a result travels; `of_json` is the inverse."""
    return {
        "documents": [[one.value, one.line, one.index, one.path] for one in parsed.documents],
        "sealed": [parsed.sealed.metadata, [list(leaf) for leaf in parsed.sealed.leaves]]
        if parsed.sealed
        else None,
        "failure": list(parsed.failure) if parsed.failure else None,
    }


def of_json(answer: dict[str, Any]) -> Parsed:
    """KeyError, TypeError, ValueError: nothing that `to_json` made."""
    documents = tuple(
        Document(value, int(line), int(index), str(path)) for value, line, index, path in answer["documents"]
    )
    failure = answer["failure"]
    return Parsed(
        documents,
        _sealed(*answer["sealed"]) if answer["sealed"] else None,
        Failure(int(failure[0]), str(failure[1])) if failure else None,
    )


def _sealed(metadata: Any, leaves: Sequence[Any]) -> Sealed:
    if not isinstance(metadata, dict):
        raise TypeError(type(metadata))
    return Sealed(
        metadata,
        tuple(
            Leaf(int(document), tuple(path), str(text), bool(encrypted))
            for document, path, text, encrypted in leaves
        ),
    )
