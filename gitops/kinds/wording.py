"""Broken rules in Kubernetes' own words: clients and people match on them. Source: apimachinery's `field.Error`."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from gitops.kinds.kind import Problem
from gitops.kinds.sensitive import Sensitive

IMMUTABLE: Final = "field is immutable"
NOT_NEGATIVE: Final = "must be greater than or equal to 0"
PERCENT_MAX: Final = 100
PORT: Final = "must be between 1 and 65535, inclusive"


def required(field: str, why: str = "") -> Problem:
    return Problem(field, f"Required value: {why}" if why else "Required value")


def invalid(field: str, found: object, why: str) -> Problem:
    return Problem(field, f"Invalid value: {_shown(found)}: {why}")


def unsupported(field: str, found: object, supported: Iterable[str]) -> Problem:
    values = ", ".join(f'"{one}"' for one in sorted(supported))
    return Problem(field, f"Unsupported value: {_shown(found)}: supported values: {values}")


def duplicate(field: str, found: object) -> Problem:
    return Problem(field, f"Duplicate value: {_shown(found)}")


def forbidden(field: str, why: str) -> Problem:
    return Problem(field, f"Forbidden: {why}")


def not_found(field: str, found: object) -> Problem:
    return Problem(field, f"Not found: {_shown(found)}")


def too_long(field: str, bytes_max: int) -> Problem:
    return Problem(field, f"Too long: may not be more than {bytes_max} bytes")


def too_many(field: str, found: int, items_max: int) -> Problem:
    return Problem(field, f"Too many: {found}: must have at most {items_max} items")


def not_negative(field: str, found: int | None) -> Iterator[Problem]:
    """Nothing where the number is absent or at least 0."""
    if found is not None and found < 0:
        yield invalid(field, found, NOT_NEGATIVE)


def amount(field: str, found: int | str) -> Iterator[Problem]:
    """Of pods: a number, or a percentage of them."""
    if isinstance(found, int):
        yield from not_negative(field, found)
    elif not re.fullmatch("[0-9]+%", found):
        why = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            "used for validation is '[0-9]+%')"
        )
        yield invalid(field, found, why)


def at_most_all(field: str, found: int | str) -> Iterator[Problem]:
    if isinstance(found, str) and re.fullmatch("[0-9]+%", found) and int(found[:-1]) > PERCENT_MAX:
        yield invalid(field, found, "must not be greater than 100%")


def port(field: str, found: int) -> Iterator[Problem]:
    if not 1 <= found <= 65535:
        yield invalid(field, found, PORT)


def one_of(field: str, found: str, supported: Iterable[str]) -> Iterator[Problem]:
    values = tuple(supported)
    if found not in values:
        yield unsupported(field, found, values)


def _shown(found: object) -> str:
    return '"<sensitive>"' if isinstance(found, Sensitive) else orjson.dumps(found, default=repr).decode()
