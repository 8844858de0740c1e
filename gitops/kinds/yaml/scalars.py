"""What a plain scalar of YAML means. Source: `resolve.go` of go-yaml v2 (kubectl) and v3 (SOPS)."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
EXACT_MAX: Final = 2.0**63  # A whole float below it is written as an integer, as Go's JSON does.

_NULLS: Final = ("", "~", "null", "Null", "NULL")
_SPECIAL_FLOATS: Final = frozenset(
    sign + word for word in (".inf", ".Inf", ".INF") for sign in ("", "+", "-")
) | {".nan", ".NaN", ".NAN"}  # fmt: skip


def _words(true: str, false: str) -> Mapping[str, bool | None]:
    words: dict[str, bool | None] = dict.fromkeys(_NULLS)
    for text, value in ((true, True), (false, False)):
        for word in text.split():
            words |= {word: value, word.capitalize(): value, word.upper(): value}
    return MappingProxyType(words)


BOOLEANS_OF_1_1: Final = _words("y yes true on", "n no false off")  # kubectl.
BOOLEANS_OF_1_2: Final = _words("true", "false")  # go-yaml v3.

_NUMBER_STARTS: Final = frozenset("+-.0123456789")
_INT: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")


def plain_scalar(text: str, words: Mapping[str, bool | None], to_number: Callable[[str], Any]) -> Any:
    """A word's value, a number, or else the text itself. ValueError: a number that JSON or int64 cannot hold."""
    if text in words:
        return words[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    return to_number(text)


def number(text: str) -> int | float | str:
    """As kubectl sends it to the server: whole floats become integers (`1e3` is 1000). Not a number: the text.

    Raises ValueError, for infinities and what lies outside int64: Go would lose digits without a word.
    """
    if text in _SPECIAL_FLOATS:
        raise ValueError(f"{text}: JSON has no such number; quote it if a text is meant")
    plain = text.replace("_", "")
    whole = integer_text(plain)
    if whole is not None:
        if INT64_MIN <= whole <= INT64_MAX:
            return whole
        raise ValueError(f"{_shortened(text)}: an integer outside 64 bits; quote it if a text is meant")
    if not _FLOAT.match(plain):
        return text
    value = float(plain)
    if not isfinite(value):
        raise ValueError(
            f"{_shortened(text)}: a number beyond what 64 bits hold; quote it if a text is meant"
        )
    if value.is_integer() and abs(value) < EXACT_MAX:
        return int(Decimal(repr(value)))
    return value


def integer_text(plain: str) -> int | None:
    """Decimal, `0x`, `0b`, `0o` and C's octal (`0777`), as Go's ParseInt with base 0. None: not an integer."""
    match = _INT.match(plain)
    if match is None:
        return None
    sign, hexadecimal, binary, octal, decimal = match.groups()
    if (
        len(plain) > 70
    ):  # 64 binary digits and their prefix fit; more is outside 64 bits, and slow to convert.
        return INT64_MAX + 1
    base, digits = next(
        (base, digits)
        for base, digits in ((16, hexadecimal), (2, binary), (8, octal), (10, decimal))
        if digits
    )
    value = int(digits, base)
    return -value if sign == "-" else value


def float_text(plain: str) -> float | None:
    """A decimal float by YAML's pattern, else None."""
    return float(plain) if _FLOAT.match(plain) else None


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
