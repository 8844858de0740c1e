"""What a renderer says when it refuses: its own words, shortened, without what they may quote from a Secret. Pure."""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from gitops.kinds.core.config import SEALED_FIELDS
from gitops.kinds.yaml import Json

CHARACTERS_MAX: Final = 1_000
WARNINGS_MAX: Final = 10
SECRET_CHARACTERS_MIN: Final = 4  # Shorter ones would hide ordinary words.
_HIDDEN: Final = "<sensitive>"
_LEVELS: Final = re.compile(r"^(error|Error|ERROR): *")
_WARNING: Final = re.compile(r"^(# )?(warning|WARNING|Warning)[: ]*")
_ADVICE: Final = "Use --debug flag to render out invalid YAML"  # Helm's, which nobody here can follow.
_LEVEL_OF: Final = {"WARN": "warning", "ERROR": "error"}
_LOG: Final = re.compile(r'^level=(WARN|ERROR) msg="(.*)"$')  # Helm's way to say it.


def refusal(errors: bytes, secrets: Iterable[str]) -> str:
    """One line for a message."""
    lines = [line for line in _lines(errors) if line.strip() != _ADVICE and not _WARNING.match(line)]
    first = next((at for at, line in enumerate(lines) if _LEVELS.match(line)), 0)
    text = " ".join(line.strip() for line in lines[first:] if line.strip())
    return _without(_LEVELS.sub("", text), secrets)[:CHARACTERS_MAX] or "no reason given"


def warnings(errors: bytes, secrets: Iterable[str]) -> list[str]:
    """What it warns of, a line each."""
    found = [_WARNING.sub("", line) for line in _lines(errors) if _WARNING.match(line)]
    return [_without(line, secrets)[:CHARACTERS_MAX] for line in dict.fromkeys(found)][:WARNINGS_MAX]


def secrets_of(value: Json) -> Iterator[str]:
    """Texts of Secrets and of generators of Secrets that a document holds in the clear."""
    if not isinstance(value, dict):
        return
    if value.get("kind") == "Secret":
        for field in SEALED_FIELDS:
            if isinstance(value.get(field), dict):
                for text in value[field].values():
                    if isinstance(text, str):
                        yield text
                        yield from _decoded(text)
    generators = value.get("secretGenerator")
    for generator in generators if isinstance(generators, list) else ():
        literals = generator.get("literals") if isinstance(generator, dict) else None
        for literal in literals if isinstance(literals, list) else ():
            yield str(literal)  # Whole, where it lacks the `=`.
            yield str(literal).partition("=")[2]


def _decoded(text: str) -> Iterator[str]:
    with suppress(ValueError):
        yield b64decode(text, validate=True).decode()


def _lines(errors: bytes) -> list[str]:
    """Control characters shown, not sent: they may come from the repository."""
    text = errors.decode(errors="replace")
    shown = "".join(
        c if c.isprintable() or c == "\n" else " " if c == "\t" else f"\\x{ord(c):02x}" for c in text
    )
    return [
        _LOG.sub(lambda match: f"{_LEVEL_OF[match.group(1)]}: {match.group(2)}", line)
        for line in shown.splitlines()
    ]


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted({one.strip() for one in secrets}, key=len, reverse=True):
        if len(secret) >= SECRET_CHARACTERS_MIN:
            text = text.replace(secret, _HIDDEN)
    return text
