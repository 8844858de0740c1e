"""`fieldValidation`: what is to be done about fields that a kind does not have, or that a body states twice.

Also the `Warning:` headers that tell of them, and of fields that are stored but not acted on yet.
Source: Kubernetes API concepts, "Field validation" and "Warnings"; RFC 7234, 5.5.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast

from aiohttp import web
from multidict import CIMultiDict

from gitops.kinds import schema
from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject
from gitops.kinds.schema import Node

WARNINGS_MAX: Final = 30
WARNING_CHARACTERS_MAX: Final = 256  # Of one; as kube-apiserver where there are many.


class Mode(StrEnum):
    STRICT = "Strict"
    WARN = "Warn"
    IGNORE = "Ignore"


class Checked(NamedTuple):
    """An object without the fields that its kind does not have, and what its author is to be told."""

    obj: KubeObject
    warnings: tuple[str, ...]


def mode_of(request: web.Request) -> Mode:
    """The query's `fieldValidation`; warnings where it says nothing."""
    asked = request.query.get("fieldValidation") or Mode.WARN
    try:
        return Mode(asked)
    except ValueError as error:
        supported = ", ".join(f'"{mode}"' for mode in sorted(Mode))
        raise Invalid(
            f'fieldValidation: Unsupported value: "{asked}": supported values: {supported}'
        ) from error


def checked(
    kind: Kind[Any], obj: KubeObject, mode: Mode, twice: Sequence[str] = (), before: KubeObject | None = None
) -> Checked:
    """An object as a person wrote it.

    Args:
        twice: paths of the fields that the body states twice.
        before: the object that it replaces: what was said of that one is not said again.
    Raises: BadRequest in the mode Strict, all complaints together.
    """
    unknown = [
        problem.message for problem in schema.violations(kind, obj) if schema.is_unknown_field(problem)
    ]
    complaints = [*unknown, *(f'duplicate field "{path}"' for path in twice)]
    if complaints and mode is Mode.STRICT:
        what = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
        raise BadRequest(f"{what}: strict decoding error: {', '.join(complaints)}")
    if unknown:
        obj = cast(KubeObject, _known(obj, schema.root(kind)))
    told = complaints if mode is Mode.WARN else []
    said = frozenset(schema.warnings(kind, before)) if before is not None else frozenset()
    return Checked(obj, (*told, *(one for one in schema.warnings(kind, obj) if one not in said)))


def _known(value: Any, node: Node | None) -> Any:  # Any JSON.
    """The value without fields that its schema does not have. Free JSON has any."""
    if isinstance(value, Mapping):
        below = {name: (one, node.child(name) if node else None) for name, one in value.items()}
        closed = node is not None and bool(node.fields)
        return {name: _known(one, inner) for name, (one, inner) in below.items() if inner or not closed}
    if isinstance(value, list):
        return [_known(item, node.items() if node else None) for item in value]
    return value


def warned(warnings: Iterable[str]) -> CIMultiDict[str]:
    """The headers. Texts hold what a client sent: nothing in them may end a header."""
    told = list(dict.fromkeys(warnings))
    if len(told) > WARNINGS_MAX:
        told = [*told[:WARNINGS_MAX], f"and {len(told) - WARNINGS_MAX} more"]
    headers: CIMultiDict[str] = CIMultiDict()
    for text in told:
        clean = "".join(one if one.isprintable() else "?" for one in text[:WARNING_CHARACTERS_MAX])
        quoted = clean.replace("\\", "\\\\").replace('"', '\\"')
        headers.add("Warning", f'299 - "{quoted}"')
    return headers
