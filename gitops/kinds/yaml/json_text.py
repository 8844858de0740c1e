"""A text that starts with `{` is JSON first, as for kubectl: libyaml does not take all of it (surrogate pairs, `/`)."""

import json
from typing import NoReturn

import orjson

from gitops.kinds.yaml.scalars import number
from gitops.kinds.yaml.text import DEPTH_MAX, Document, Json, Unreadable, too_large


class _DuplicateKeyError(ValueError):
    """Two equal keys in one JSON object; the YAML reader, which knows lines, tells it."""


def json_documents(text: str, file: str) -> list[Document] | None:
    """A stream of JSON objects. None: the YAML reader shall try, or tell the error with its line."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_pairs, parse_int=number, parse_float=number, parse_constant=_no_constant
    )
    documents: list[Document] = []
    at, line = _skip_space(text, 0), 1
    try:
        while at < len(text):
            line = text.count("\n", 0, at) + 1
            value, end = decoder.raw_decode(text, at)
            too_large(end - at, file, line)
            _check_depth(value, file, line)
            orjson.dumps(value)  # Half a surrogate pair is no text.
            documents.append(Document(value, line, len(documents)))
            at = _skip_space(text, end)
    except RecursionError as error:
        raise Unreadable(file, line, f"nested deeper than {DEPTH_MAX} levels") from error
    except (ValueError, TypeError):  # json's, our own hooks', and orjson's, whose errors are TypeErrors.
        return None
    return documents


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _DuplicateKeyError
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)  # NaN and Infinity.


def _check_depth(value: Json, file: str, line: int) -> None:
    level, depth = [value], 0
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > DEPTH_MAX:
            raise Unreadable(file, line, f"nested deeper than {DEPTH_MAX} levels")
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
