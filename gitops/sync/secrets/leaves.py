"""A SOPS file as a list of leaves: the path of each, its text for the MAC, and whether the file's rule encrypts it.

Needs no key. It evaluates the file's own regular expressions, which are hostile input: in the master it runs only in
the parser's child, under limits. Source: getsops/sops sops.go (`TreeBranch.walkBranch`), stores/yaml, stores/json.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gitops.kinds.yaml import Json, Scalars, load
from gitops.kinds.yaml.scalars import (
    BOOLEANS_OF_1_2,
    INT64_MAX,
    INT64_MIN,
    float_text,
    integer_text,
    plain_scalar,
)
from gitops.sync.secrets.places import BadField, Path, shown
from gitops.sync.secrets.rules import RULES, Rule, is_comment_text, rule_of

BLOCK: Final = "sops"
_DATE: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|[ \t]+)(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(.*))?\Z"
)


class Leaf(NamedTuple):
    """A scalar. `path` holds keys and list indices; `text` is as SOPS feeds it to the MAC, or the ENC[…] text; `kind`
    is SOPS' type of a clear one."""

    document: int
    path: Path
    text: str
    encrypted: bool
    kind: str = "str"


class Sealed(NamedTuple):
    """An encrypted file without its keys: the `sops` block of the first document, and all leaves in file order."""

    metadata: dict[str, Any]
    leaves: tuple[Leaf, ...]


class Whole(str):
    """The MAC's text of an integer."""

    __slots__ = ()
    kind = "int"


class Fraction(str):
    """Of a float."""

    __slots__ = ()
    kind = "float"


class Moment(str):
    """Of a date or time."""

    __slots__ = ()
    kind = "time"


class Truth(str):
    """Of a boolean."""

    __slots__ = ()
    kind = "bool"


def _mac_text(text: str) -> Json:
    """A plain scalar as go-yaml v3 types it and SOPS writes it: `yes` is text, `012` is 10, a date is RFC 3339."""
    value = plain_scalar(text, BOOLEANS_OF_1_2, _number_text)
    if isinstance(value, bool):
        return Truth("True" if value else "False")
    return value


def _number_text(text: str) -> str:
    date = _date_text(text)
    if date is not None:
        return Moment(date)
    plain = text.replace("_", "")
    whole = integer_text(plain)
    if whole is not None:
        return Whole(whole)
    number = float_text(plain)
    return text if number is None else Fraction(_float_text(number))


def _float_text(number: float) -> str:
    """Go's FormatFloat(f, 'f', -1, 64)."""
    shortest = format(Decimal(repr(number)), "f")
    return shortest.rstrip("0").rstrip(".") if "." in shortest else shortest


def _date_text(text: str) -> str | None:
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, _, zone = match.groups()
    padded = f"{year}-{int(month):02}-{int(day):02}T{int(hour or 0):02}:{int(minute or 0):02}:{int(second or 0):02}"
    zone = (zone or "").strip() or "Z"
    try:
        moment = datetime.fromisoformat(padded + zone)
    except ValueError:
        return None
    return padded + ("Z" if not moment.utcoffset() else zone)


SOPS: Final = Scalars(_mac_text, merge=False)


def mac_values(text: str | bytes) -> list[Json]:
    """The documents of a YAML or JSON text with every scalar as SOPS feeds it to the MAC."""
    characters = text if isinstance(text, str) else text.decode(errors="replace")
    if characters.lstrip("\ufeff \t\r\n").startswith("{"):
        try:
            return [
                json.loads(
                    characters.removeprefix("\ufeff"), parse_int=_json_number, parse_float=_json_number
                )
            ]
        except (ValueError, RecursionError):
            pass  # Flow YAML, or the error is for the YAML reader to tell.
    return [document.value for document in load(text, "", SOPS)]


def _json_number(text: str) -> str:
    number = int(text) if len(text) < 20 and text.lstrip("-").isdigit() else None
    if number is not None and INT64_MIN <= number <= INT64_MAX:
        return Whole(number)
    return Fraction(_float_text(float(text)))


def is_sealed(values: Sequence[Json]) -> bool:
    """Whether a file's documents (as kubectl reads them) are a SOPS file: any has a top-level `sops` block."""
    return any(isinstance(value, dict) and isinstance(value.get(BLOCK), dict) for value in values)


def take_apart(values: Sequence[Json], in_mac: Sequence[Json]) -> Sealed:
    """The leaves of a file's documents, given as kubectl reads them and as `mac_values` does. BadField: it is none."""
    if not isinstance(values[0], dict) or not isinstance(values[0].get(BLOCK), dict):
        raise BadField(
            0, "", "the first document of an encrypted file has the `sops` block, here it has none"
        )
    metadata = values[0][BLOCK]
    try:
        rule = rule_of(metadata)
    except ValueError as error:
        named = next((name for name in RULES if metadata.get(name)), "")
        raise BadField(0, f"{BLOCK}.{named}".rstrip("."), str(error)) from error
    return Sealed(metadata, tuple(leaves_of(in_mac, rule)))


def leaves_of(in_mac: Sequence[Json], rule: Rule) -> Iterator[Leaf]:
    """Every scalar outside the `sops` blocks, in file order."""
    for index, value in enumerate(in_mac):
        if not isinstance(value, dict):
            raise BadField(index, "", "a document of an encrypted file is a mapping")
        yield from _leaves(index, (), {key: child for key, child in value.items() if key != BLOCK}, rule)


def _leaves(document: int, path: Path, value: Json, rule: Rule) -> Iterator[Leaf]:
    """Depth first, in file order; recursion is bounded by the loader's limit on depth. Null leaves are left out."""
    if isinstance(value, dict):
        if "<<" in value:
            raise BadField(
                document, shown((*path, "<<")), "merge keys ('<<') are not supported in an encrypted file"
            )
        for key, child in value.items():
            yield from _leaves(document, (*path, key), child, rule)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(document, (*path, index), child, rule)
    elif value is not None:
        text = str(value)
        kind = "bool" if isinstance(value, bool) else getattr(value, "kind", "str")
        encrypted = rule(path, text) or (isinstance(path[-1], int) and is_comment_text(text))
        yield Leaf(document, path, text, encrypted, kind)


def sealed_to_json(sealed: Sealed) -> list[Any]:
    """How it travels from the parser's child; `sealed_of_json` is the inverse."""
    return [sealed.metadata, [list(leaf) for leaf in sealed.leaves]]


def sealed_of_json(metadata: Any, leaves: Sequence[Any]) -> Sealed:
    """KeyError, TypeError, ValueError: nothing that `sealed_to_json` made."""
    if not isinstance(metadata, dict):
        raise TypeError(type(metadata))
    return Sealed(
        metadata,
        tuple(
            Leaf(int(document), tuple(path), str(text), bool(encrypted), str(kind))
            for document, path, text, encrypted, kind in leaves
        ),
    )
