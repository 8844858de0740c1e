"""SOPS' file formats beside manifests: dotenv, binary and JSON, each as documents like YAML's. Needs no key.

A dotenv file is one mapping, where a comment line is a leaf under a key that begins with `#`; a binary file is the one
mapping `{data: …}`. Source: getsops/sops stores/{dotenv,json,yaml,flatten.go}.
"""

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, assert_never

from gitops.kinds.yaml import Json, load
from gitops.sync.secrets.leaves import BLOCK, Leaf, Sealed, is_sealed, leaves_of, mac_values, take_apart
from gitops.sync.secrets.places import BadField
from gitops.sync.secrets.rules import rule_of
from gitops.sync.secrets.text import dump

PREFIX: Final = "sops_"
BINARY_KEY: Final = "data"
_STEP: Final = re.compile(r"__(list|map)_")
_DOTENV_LISTS_MAX: Final = 255  # Of recipients and groups.


class Format(StrEnum):
    """What a file's ending says, as for SOPS: what it does not know is binary."""

    YAML = "yaml"
    JSON = "json"
    DOTENV = "dotenv"
    INI = "ini"
    BINARY = "binary"


_ENDINGS: Final = {".yaml": Format.YAML, ".yml": Format.YAML, ".json": Format.JSON, ".dockerconfigjson": Format.JSON,
                   ".env": Format.DOTENV, ".ini": Format.INI}  # fmt: skip


class Tree(NamedTuple):
    """A file taken apart. `values`: its documents without the `sops` blocks, values as they lie in the file."""

    values: list[Json]
    sealed: Sealed


def format_of(name: str) -> Format:
    """By the ending of a file's name or a Secret's key."""
    return next((found for ending, found in _ENDINGS.items() if name.endswith(ending)), Format.BINARY)


def marked_format(content: bytes) -> Format | None:
    """Which encrypted file this is, by the marks that Flux looks for. None: it is none."""
    if b'"mac": "ENC[' in content:
        return Format.JSON
    if b"sops_mac=ENC[" in content:
        return Format.DOTENV
    if b"mac: ENC[" in content:
        return Format.YAML
    return Format.INI if b"[sops]" in content and b"ENC[" in content else None


def read(content: bytes, form: Format) -> Tree:
    """An encrypted file without its keys. BadField and Unreadable say why it is none."""
    if form is Format.DOTENV:
        return _read_dotenv(content)
    if form is Format.INI:
        raise BadField(0, "", "SOPS' INI format is not supported")
    values = [document.value for document in load(content)]
    if not is_sealed(values):
        raise BadField(0, "", "the file is not encrypted: it has no `sops` block")
    sealed = take_apart(values, mac_values(content))
    return Tree([without_block(value) for value in values], sealed)


def without_block(value: Json) -> Json:
    return {key: child for key, child in value.items() if key != BLOCK}


def written(values: Sequence[Json], form: Format) -> bytes:
    """Documents in the clear, as a file. Texts may be bytes, which only a binary file can hold as they are."""
    match form:
        case Format.BINARY:
            content = values[0].get(BINARY_KEY) if isinstance(values[0], dict) else None
            if not isinstance(content, str | bytes):
                raise BadField(
                    0, "", "the encrypted file holds no binary data: give it the ending of its format"
                )
            return content if isinstance(content, bytes) else content.encode()
        case Format.DOTENV:
            return _dotenv_lines(values[0])
        case Format.JSON:
            return (json.dumps(values[0], indent="\t", ensure_ascii=False, default=_text_of) + "\n").encode()
        case Format.YAML:
            return dump([_texts(value) for value in values]).encode()
        case Format.INI:
            raise BadField(0, "", "SOPS' INI format is not supported")
    assert_never(form)


def _text_of(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(type(value))
    return value.decode()


def _texts(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _texts(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_texts(child) for child in value]
    return value.decode() if isinstance(value, bytes) else value


# Dotenv


def dotenv_values(text: str) -> dict[str, str]:
    """`KEY=VALUE` lines, their `\\n` made line breaks; comments under `#` and their line. BadField: another line."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if line.startswith("#"):
            values[f"#{number}"] = line[1:]
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise BadField(0, "", f"line {number}: found {line.partition('=')[0][:40]!r}, wanted KEY=VALUE")
        values[key] = value.replace("\\n", "\n")
    return values


def dotenv_leaves(values: dict[str, str], metadata: dict[str, Any]) -> list[Leaf]:
    """The leaves of a dotenv file under the rule of its metadata."""
    rule = rule_of(metadata)
    texts = {key: value for key, value in values.items() if not key.startswith("#")}
    found = {leaf.path[0]: leaf for leaf in leaves_of([texts], rule)}
    return [
        found[key] if key in found else Leaf(0, (key,), value, rule((), value), "comment")
        for key, value in values.items()
    ]


def _read_dotenv(content: bytes) -> Tree:
    values, flat = dict[str, Json](), dict[str, str]()
    for key, value in dotenv_values(content.decode()).items():
        if key.startswith(PREFIX):
            flat[key.removeprefix(PREFIX)] = value
        else:
            values[key] = value
    if "mac" not in flat:
        raise BadField(0, "", "the file is not encrypted: it has no sops_mac")
    metadata = _unflattened(flat)
    try:
        return Tree([values], Sealed(metadata, tuple(dotenv_leaves(values, metadata))))
    except ValueError as error:
        raise BadField(0, "", str(error)) from error


def _dotenv_lines(values: dict[str, Any]) -> bytes:
    lines = []
    for key, value in values.items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        shown = text.replace("\n", "\\n")
        lines.append(f"#{shown}" if key.startswith("#") else f"{key}={shown}")
    return "".join(f"{line}\n" for line in lines).encode()


def dotenv_block(metadata: dict[str, Any]) -> bytes:
    """A `sops` block as lines at the end of a dotenv file, sorted as SOPS does."""
    flat = dict(sorted(_flattened(metadata).items()))
    return _dotenv_lines({f"{PREFIX}{key}": value for key, value in flat.items()})


def _flattened(metadata: dict[str, Any]) -> dict[str, str]:
    """`age: [{recipient: x}]` is `age__list_0__map_recipient=x`."""
    flat: dict[str, str] = {}

    def walk(name: str, value: Json) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                walk(f"{name}__map_{key}" if name else key, child)
        elif isinstance(value, list):
            for index, child in enumerate(value):
                walk(f"{name}__list_{index}", child)
        elif value is not None:
            flat[name] = str(value).lower() if isinstance(value, bool) else str(value)

    walk("", metadata)
    return flat


def _unflattened(flat: dict[str, str]) -> dict[str, Any]:
    """The inverse of `_flattened`. BadField: list indices that are none."""
    root: dict[str, Any] = {}
    for name, text in flat.items():
        top, *steps = _STEP.split(name)
        keys: list[str | int] = [top]
        for kind, key in zip(steps[::2], steps[1::2], strict=True):
            keys.append(_index(name, key) if kind == "list" else key)
        value: Json = {"true": True, "false": False}.get(text, text)
        if name == "shamir_threshold" and text.isdecimal():
            value = int(text[:4])
        _place(root, keys, value)
    return root


def _index(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 3 or int(text) > _DOTENV_LISTS_MAX:
        raise BadField(0, "", f"{PREFIX}{name[:60]}: {text[:10]!r} is no index")
    return int(text)


def _place(root: dict[str, Any], keys: list[str | int], value: Json) -> None:
    at: Any = root
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        child: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(key, int) and isinstance(at, list):
            while len(at) <= key:
                at.append({})
            if following is None or not at[key]:
                at[key] = child
            at = at[key]
        elif isinstance(key, str) and isinstance(at, dict):
            at = at.setdefault(key, child)
        else:
            raise BadField(0, "", "the sops_… lines contradict each other")
