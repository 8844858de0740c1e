"""Small tools for defaulting: each gives back the very same value where nothing changes, so that objects are shared.

They see an object as a plain dict inside and return the type that they were given: a TypedDict has no fields by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from gitops.kinds import quantity

D = TypeVar("D")


def fill(obj: D, **defaults: object) -> D:
    """Sets the fields that are absent (or null)."""
    fields = cast(Mapping[str, Any], obj)
    missing = {name: value for name, value in defaults.items() if fields.get(name) is None}
    return cast(D, {**fields, **missing}) if missing else obj


def fill_zero(obj: D, **defaults: object) -> D:
    """As `fill`, where zero and the empty text mean absence too, as in Go's structs."""
    fields = cast(Mapping[str, Any], obj)
    missing = {name: value for name, value in defaults.items() if not fields.get(name)}
    return cast(D, {**fields, **missing}) if missing else obj


def change(obj: D, field: str, how: Callable[[Any], Any]) -> D:
    """Applies `how` to one field where it is there."""
    fields = cast(Mapping[str, Any], obj)
    old = fields.get(field)
    if old is None:
        return obj
    new = how(old)
    return obj if new is old else cast(D, {**fields, field: new})


def each(items: list[D], how: Callable[[D], D]) -> list[D]:
    """Applies `how` to every element."""
    changed = [how(item) for item in items]
    return items if all(new is old for new, old in zip(changed, items, strict=True)) else changed


def change_each(obj: D, field: str, how: Callable[[Any], Any]) -> D:
    """Applies `how` to every element of a list field."""
    return change(obj, field, lambda items: each(items, how))


def canonical_quantities(amounts: dict[str, str]) -> dict[str, str]:
    """Every value as Kubernetes writes it; what is no quantity stays, for the checks to name."""
    written = {name: canonical_quantity(amount) for name, amount in amounts.items()}
    return amounts if written == amounts else written


def canonical_quantity(amount: str) -> str:
    try:
        written = quantity.canonical(amount)
    except ValueError:
        return amount
    return amount if written == amount else written
