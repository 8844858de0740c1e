"""Sets of fields, as `managedFields` records who stated what (FieldsV1 of server-side apply).

A path is a tuple of FieldsV1's own elements: `f:name` a field, `k:{"name":"web"}` an item of a list map, `v:"x"` one
of a set. Here a set of paths is a frozenset; on the wire it is a tree in which `.` marks an inner path that is itself
a member. Source: sigs.k8s.io/structured-merge-diff, `fieldpath` and `typed/tofieldset.go`.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from gitops.kinds.schema import Node
from gitops.kinds.sensitive import Sensitive

Path = tuple[str, ...]
FieldSet = frozenset[Path]
Values = Mapping[Path, object]  # Each owned path with what stands there.

NONE: Final[FieldSet] = frozenset()
PRESENT: Final = True  # What stands at an inner path: that it is there, whatever is beneath.
UNOWNED: Final[FieldSet] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
                "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields",
            )
        ),
    }
)  # fmt: skip


def decode(tree: Mapping[str, Any]) -> FieldSet:
    """From FieldsV1. Unknown elements are kept as they are; a value that is no tree counts as a leaf."""
    return frozenset(_members(tree, ()))


def _members(tree: Mapping[str, Any], at: Path) -> Iterator[Path]:
    for element, below in tree.items():
        if element == ".":
            yield at
        elif isinstance(below, dict) and below:
            yield from _members(below, (*at, element))
        else:
            yield (*at, element)


def encode(fields: Iterable[Path]) -> dict[str, object]:
    """To FieldsV1; equal sets give equal trees, in the same order."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):  # A prefix comes before what it is a prefix of.
        node, last_member = tree, None
        for element in path:
            node = node.setdefault(element, {})
            last_member = node
        if last_member is not None:
            last_member["."] = {}
    _drop_dots_of_leaves(tree)
    return tree


def _drop_dots_of_leaves(tree: dict[str, Any]) -> None:
    for below in tree.values():
        if below.keys() == {"."}:
            del below["."]
        else:
            _drop_dots_of_leaves(below)


def values_of(obj: Mapping[str, Any], shape: Node | None) -> dict[Path, object]:
    """Every path that whoever states `obj` owns, with its value: leaves, atomic parts, empty maps, and items of lists.

    An item of a list map that comes twice is listed once, with its first value; `duplicates` finds it.
    """
    values: dict[Path, object] = {}
    _collect(obj, shape, (), values)
    return {path: value for path, value in values.items() if path[:2] not in UNOWNED and path not in UNOWNED}


def _collect(value: object, shape: Node | None, at: Path, into: dict[Path, object]) -> None:
    if isinstance(value, dict) and value and not (shape and shape.atomic):
        for name, below in value.items():
            _collect(below, shape.child(name) if shape else None, (*at, f"f:{name}"), into)
    elif isinstance(value, list) and shape and is_associative(shape):
        inner = shape.items()
        for element, item in zip(elements(value, shape), value, strict=True):
            if (*at, element) not in into:
                into[(*at, element)] = PRESENT
                if isinstance(item, Mapping):
                    _collect(item, inner, (*at, element), into)
    elif at:
        into[at] = value


def is_associative(shape: Node) -> bool:
    """A list whose items have an identity of their own, and so may have different owners."""
    return shape.list_type in ("map", "set")


def elements(items: list[Any], shape: Node) -> list[str]:
    """The path element of each item of a list map or a set."""
    return [_element(item, shape) for item in items]


def _element(item: object, shape: Node) -> str:
    if shape.list_type == "map" and isinstance(item, Mapping):
        defaults = shape.key_defaults  # Set before the key is formed.
        keys = {name: item.get(name, defaults.get(name)) for name in shape.map_keys}
        return "k:" + _json({name: value for name, value in keys.items() if value is not None})
    return "v:" + _json(item)


def _json(value: object) -> str:
    return orjson.dumps(value, default=_no_secret, option=orjson.OPT_SORT_KEYS).decode()


def _no_secret(value: object) -> str:
    """A sealed value names no item: it would stand in managedFields in clear."""
    return repr(value) if isinstance(value, Sensitive) else str(value)


def duplicates(obj: Mapping[str, Any], shape: Node | None, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Lists (by path) with an item that comes twice: nobody could say whose it is."""
    for name, below in obj.items():
        inner = shape.child(name) if shape else None
        if inner is None or inner.atomic:
            continue
        path = (*at, f"f:{name}")
        if isinstance(below, Mapping):
            yield from duplicates(below, inner, path)
        elif isinstance(below, list) and is_associative(inner):
            named = elements(below, inner)
            yield from ((path, element) for element in sorted(_repeated(named)))
            for element, item in zip(named, below, strict=True):
                if isinstance(item, Mapping):
                    yield from duplicates(item, inner.items(), (*path, element))


def _repeated(names: Iterable[Hashable]) -> set[Any]:
    seen: set[Hashable] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value] # An idiom.


def prefixes(fields: Iterable[Path]) -> set[Path]:
    """Every path of the set and every path above one."""
    return {path[:length] for path in fields for length in range(1, len(path) + 1)}


def shown(path: Path) -> str:
    """As Kubernetes writes it in conflicts: `.spec.containers[name="web"].image`."""
    return "".join(_shown_element(element) for element in path)


def _shown_element(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return "[" + ",".join(f"{name}={_json(value)}" for name, value in orjson.loads(rest).items()) + "]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"
