"""A SOPS file as a list of leaves: the path of each, its text for the MAC, and whether the file's rule encrypts it.

Needs no key. It evaluates the file's own regular expressions, which are hostile input: in the master it runs only in
the parser's child, under limits. Source: getsops/sops sops.go (`TreeBranch.walkBranch`, `shouldBeEncrypted`).
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gitops.kinds.yaml import Json, Scalars
from gitops.kinds.yaml.scalars import BOOLEANS_OF_1_2, float_text, integer_text, plain_scalar

DEFAULT_SUFFIX: Final = "_unencrypted"
RULES: Final = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex")
COMMENT_RULES: Final = ("unencrypted_comment_regex", "encrypted_comment_regex")
_DATE: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|[ \t]+)(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(.*))?\Z"
)


class Leaf(NamedTuple):
    """A scalar. `path` holds keys and list indices; `text` is as SOPS feeds it to the MAC, or the ENC[…] text."""

    document: int
    path: tuple[str | int, ...]
    text: str
    encrypted: bool


class Sealed(NamedTuple):
    """An encrypted file without its keys: the `sops` block of the first document, and all leaves in file order."""

    metadata: dict[str, Any]
    leaves: tuple[Leaf, ...]


def _mac_text(text: str) -> Json:
    """A plain scalar as go-yaml v3 types it and SOPS writes it: `yes` is text, `012` is 10, a date is RFC 3339."""
    value = plain_scalar(text, BOOLEANS_OF_1_2, _number_text)
    if isinstance(value, bool):
        return "True" if value else "False"
    return value


def _number_text(text: str) -> str:
    date = _date_text(text)
    if date is not None:
        return date
    plain = text.replace("_", "")
    whole = integer_text(plain)
    if whole is not None:
        return str(whole)
    number = float_text(plain)
    if number is None:
        return text
    shortest = format(Decimal(repr(number)), "f")  # Go's FormatFloat(f, 'f', -1, 64).
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


def is_sealed(values: list[Json]) -> bool:
    """Whether a file's documents (as kubectl reads them) are a SOPS file: any has a top-level `sops` block."""
    return any(isinstance(value, dict) and isinstance(value.get("sops"), dict) for value in values)


def take_apart(values: list[Json], mac_values: list[Json]) -> Sealed:
    """The leaves of a file's documents, given as kubectl reads them and as `SOPS` does. ValueError: it is none."""
    if not isinstance(values[0], dict) or not isinstance(values[0].get("sops"), dict):
        raise ValueError("the first document of an encrypted file has the `sops` block, here it has none")
    metadata = values[0]["sops"]
    is_encrypted = _rule(metadata)
    leaves: list[Leaf] = []
    for index, value in enumerate(mac_values):
        if not isinstance(value, dict):
            raise ValueError("a document of an encrypted file is a mapping")
        if "<<" in value:
            raise ValueError("merge keys ('<<') are not supported in an encrypted file")
        for key, child in value.items():
            if key != "sops":
                leaves.extend(_leaves(index, (key,), child, is_encrypted))
    return Sealed(metadata, tuple(leaves))


def _leaves(
    document: int,
    path: tuple[str | int, ...],
    value: Json,
    is_encrypted: Callable[[tuple[str | int, ...]], bool],
) -> Iterator[Leaf]:
    """Depth first, in file order; recursion is bounded by the loader's limit on depth. Null leaves are left out."""
    if isinstance(value, dict):
        if "<<" in value:
            raise ValueError("merge keys ('<<') are not supported in an encrypted file")
        for key, child in value.items():
            yield from _leaves(document, (*path, key), child, is_encrypted)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(document, (*path, index), child, is_encrypted)
    elif value is not None:
        yield Leaf(document, path, str(value), is_encrypted(path))


def _rule(metadata: dict[str, Any]) -> Callable[[tuple[str | int, ...]], bool]:
    """Which paths are encrypted: any key on the way may match. At most one rule; the default is a suffix."""
    for name in COMMENT_RULES:
        if metadata.get(name):
            raise ValueError(f"sops.{name} is not supported")
    given = [(name, metadata[name]) for name in RULES if metadata.get(name)]
    if len(given) > 1:
        raise ValueError(f"sops: only one of {' and '.join(name for name, _ in given)} can hold")
    name, argument = given[0] if given else ("unencrypted_suffix", DEFAULT_SUFFIX)
    if not isinstance(argument, str):
        raise ValueError(f"sops.{name} is not a text")
    wanted = not name.startswith("unencrypted")
    matches = _matcher(name, argument)
    return lambda path: any(isinstance(key, str) and matches(key) for key in path) is wanted


def _matcher(name: str, argument: str) -> Callable[[str], bool]:
    if name.endswith("_suffix"):
        return lambda key: key.endswith(argument)
    try:
        pattern = re.compile(argument)
    except re.error as error:
        raise ValueError(f"sops.{name}: {argument!r} is no regular expression: {error}") from error
    return lambda key: pattern.search(key) is not None
