"""Quantities such as `500m`, `1.5Gi` or `2e3`: read exactly, compared as numbers, written as Kubernetes writes them.

Source: k8s.io/apimachinery/pkg/api/resource. Below a nano everything is rounded up, as there.
"""

import re
from decimal import ROUND_CEILING, Context, Decimal
from functools import lru_cache
from typing import Final, NamedTuple

PATTERN: Final = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"  # As Kubernetes' error message shows it.
Quantity = str | int | float  # As JSON holds it.

_FORM: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<binary>[KMGTPE]i)|(?P<decimal>[numkMGTPE])|[eE](?P<power>[+-]?\d{1,3}))?"
)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX: Final = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX: Final = {power: suffix for suffix, power in _BINARY.items()}
READ_MAX: Final = 8_192  # The same few texts stand in every object.
_NANO: Final = Decimal("1e-9")
_EXACT: Final = Context(prec=400)  # Wide enough for every text that `_FORM` and `_LENGTH_MAX` let through.
_LENGTH_MAX: Final = 100


class _Read(NamedTuple):
    value: Decimal
    style: str  # decimal, binary or power: canonical output keeps it.


@lru_cache(maxsize=READ_MAX, typed=True)
def _read(text: Quantity) -> _Read:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"not a quantity: {text!r}")
    written = text if isinstance(text, str) else str(text)
    match = _FORM.fullmatch(written.strip()) if len(written) <= _LENGTH_MAX else None
    if match is None:
        raise ValueError(f"quantities must match the regular expression '{PATTERN}'")
    number, style = Decimal(match["number"]), "decimal"
    if match["binary"]:
        number, style = _EXACT.multiply(number, Decimal(1024 ** _BINARY[match["binary"]])), "binary"
    elif match["power"]:
        number, style = (
            number.scaleb(int(match["power"]), _EXACT),
            "power" if isinstance(text, str) else "decimal",
        )
    else:
        number = number.scaleb(_DECIMAL[match["decimal"] or ""], _EXACT)
    if number and number.adjusted() > 60:
        raise ValueError("a quantity of more than 60 digits")
    return _Read(number.quantize(_NANO, rounding=ROUND_CEILING, context=_EXACT), style)


def parse(text: Quantity) -> Decimal:
    """Its exact value; raises ValueError for what is no quantity."""
    return _read(text).value


def whole(text: Quantity) -> int:
    """Rounded up to units: bytes, pods."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def milli(text: Quantity) -> int:
    """Rounded up to thousandths: CPU."""
    return int(_EXACT.multiply(parse(text), Decimal(1000)).to_integral_value(ROUND_CEILING))


def compare(one: Quantity, other: Quantity) -> int:
    """-1, 0 or 1: whether `one` is smaller than, equal to or larger than `other`."""
    left, right = parse(one), parse(other)
    return (left > right) - (left < right)


@lru_cache(maxsize=READ_MAX, typed=True)
def canonical(text: Quantity) -> str:
    """As Kubernetes shows it: `1000m` is `1`, `1024Mi` is `1Gi`, `0.5` is `500m`, the number 2 is `2`."""
    read = _read(text)
    return show(read.value, read.style)


def show(value: Decimal, style: str = "decimal") -> str:
    """A value as text. Styles: decimal (`1500M`), binary (`1536Mi`, if whole and at least 1024), power (`1e3`)."""
    if not value:
        return "0"
    if style == "binary" and abs(value) >= 1024 and value == value.to_integral_value():
        number, steps = _stripped(int(value), 1024, len(_BINARY))
        return f"{number}{_BINARY_SUFFIX.get(steps, '')}"
    nano = int(_EXACT.multiply(value, Decimal(10**9)))
    number, steps = _stripped(nano, 1000, 100 if style == "power" else 9)
    power = 3 * (steps - 3)
    if style == "power":
        return f"{number}e{power}" if power else str(number)
    return f"{number}{_DECIMAL_SUFFIX[power]}"


def _stripped(number: int, base: int, steps_max: int) -> tuple[int, int]:
    """`number` without its factors of `base`, and how many there were."""
    steps = 0
    while number % base == 0 and steps < steps_max:
        number, steps = number // base, steps + 1
    return number, steps
