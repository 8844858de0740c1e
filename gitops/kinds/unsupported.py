"""What an object asks for that Gitward does not act on yet, computed from the shapes: it never lags behind the code.

A field is not acted on when the official schema has it and the kind's TypedDict has not; a value, when the TypedDict
names the values that are (a `Literal`) and it is none of them.
"""

import typing
from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, NotRequired, Union, get_args, get_origin, is_typeddict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject
from gitops.kinds.schema_nodes import Node, path_text, root

_ALWAYS: Final = frozenset(KubeObject.__annotations__)  # apiVersion, kind, metadata.
Steps = list[str | int]


def unsupported(kind: Kind[Any], obj: KubeObject) -> list[str]:
    """Paths such as `spec.affinity`, in the object's order; a value: `spec.type: NodePort`.

    Empty for a kind without shape. Unknown fields are none of these: `violations` names them.
    """
    return [] if kind.shape is None else list(_walk(kind.shape, root(kind), obj, []))


def warnings(kind: Kind[Any], obj: KubeObject) -> list[str]:
    """The same as sentences for people, with what its kind warns of; a kind without shape is named as a whole."""
    if kind.shape is None:
        return [f"{kind.kind} is stored and shown, but not acted on yet"]
    return [*(f"{path} is not acted on yet" for path in unsupported(kind, obj)), *kind.warn(obj)]


def _walk(shape: Any, node: Node | None, value: Any, steps: Steps) -> Iterator[str]:
    if is_typeddict(shape):
        if isinstance(value, Mapping):
            yield from _fields(_hints(shape), node, value, steps)
        return
    origin, inner = get_origin(shape), get_args(shape)
    if origin is list and isinstance(value, list):
        below = node.items() if node else None
        for index, item in enumerate(value):
            yield from _walk(inner[0], below, item, [*steps, index])
    elif origin is dict and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk(inner[1], node.child(name) if node else None, item, [*steps, name])
    elif origin is Literal and value not in inner:
        yield f"{path_text(steps)}: {value}"


def _fields(
    hints: Mapping[str, Any], node: Node | None, value: Mapping[str, Any], steps: Steps
) -> Iterator[str]:
    for name, item in value.items():
        if item is None or (name in _ALWAYS and not steps) or (name == "metadata" and "spec" in hints):
            continue
        below = node.child(name) if node else None
        if name in hints:
            yield from _walk(hints[name], below, item, [*steps, name])
        elif below is not None and item not in ({}, [], "", False):  # An empty field asks for nothing.
            yield path_text([*steps, name])


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return {name: _bare(hint) for name, hint in typing.get_type_hints(shape, include_extras=True).items()}


def _bare(hint: Any) -> Any:
    """Without NotRequired, and without the None of an optional."""
    if get_origin(hint) is NotRequired:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        others = [one for one in get_args(hint) if one is not type(None)]
        return others[0] if len(others) == 1 else hint
    return hint
