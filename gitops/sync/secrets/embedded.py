"""SOPS files as values of a Secret: what kustomize's secretGenerator makes of an encrypted file. Needs no key.

As Flux does it: an entry of `data` that is base64 of an encrypted file is replaced by the file in the clear, in the
format that the entry's key says. Source: fluxcd/kustomize-controller internal/decryptor.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gitops.kinds.errors import GitwardError
from gitops.kinds.yaml import Document, Json, Unreadable
from gitops.sync.secrets.formats import BINARY_KEY, Format, format_of, marked_format, read
from gitops.sync.secrets.leaves import Sealed, sealed_of_json, sealed_to_json
from gitops.sync.secrets.places import BadField


class Embedded(NamedTuple):
    """One such entry. `document`: its position in the file; `values`: the inner file's documents."""

    document: int
    key: str
    form: Format  # In which it is to be written.
    values: list[Json]
    sealed: Sealed


def embedded_in(documents: Sequence[Document]) -> tuple[Embedded, ...]:
    """All of a file's. BadField: an entry that has the marks of an encrypted file and is none."""
    return tuple(found for position, one in enumerate(documents) for found in _of(position, one.value))


def _of(position: int, value: Json) -> Iterator[Embedded]:
    if (
        not isinstance(value, dict)
        or value.get("kind") != "Secret"
        or not isinstance(value.get("data"), dict)
    ):
        return
    for key, text in value["data"].items():
        content = _decoded(text)
        form = marked_format(content)
        if form is None:
            continue
        field = f"data.{key}"
        try:
            tree = read(content, form)
        except Unreadable as error:
            raise BadField(position, field, f"{field}, line {error.line} within: {error.what}") from error
        except (GitwardError, ValueError) as error:
            raise BadField(position, field, f"{field}: {error}") from error
        yield Embedded(position, key, _wanted(key, form, tree.values), tree.values, tree.sealed)


def _decoded(text: Json) -> bytes:
    """Nothing where it is no base64: that is for the kind to say."""
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _wanted(key: str, form: Format, values: list[Json]) -> Format:
    wanted = format_of(key)
    if wanted is Format.BINARY and list(values[0]) != [BINARY_KEY]:
        return form
    return wanted


def embedded_to_json(one: Embedded) -> list[Any]:
    """How it travels from the parser's child; `embedded_of_json` is the inverse."""
    return [one.document, one.key, one.form, one.values, *sealed_to_json(one.sealed)]


def embedded_of_json(answer: Sequence[Any]) -> Embedded:
    """KeyError, TypeError, ValueError: nothing that `embedded_to_json` made."""
    document, key, form, values, metadata, leaves = answer
    if not isinstance(values, list) or not values:
        raise TypeError(type(values))
    return Embedded(int(document), str(key), Format(form), values, sealed_of_json(metadata, leaves))
