"""Strategic merge patch: a merge patch that knows which lists are maps in disguise, and takes directives. Pure.

Source: apimachinery `pkg/util/strategicpatch` and "Update API Objects in Place Using kubectl patch". Only for kinds
with a schema, which says by `x-kubernetes-patch-strategy` and `-merge-key` how a field merges.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from gitops.kinds.errors import BadRequest
from gitops.kinds.schema import Node

DIRECTIVE: Final = "$patch"
RETAIN_KEYS: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"
Json = Any  # A JSON value.


def strategic_merge(
    target: Mapping[str, Json], patch: Mapping[str, Json], node: Node | None
) -> dict[str, Json]:
    """`target` with what the patch says.

    Args:
        node: the schema at this place; None inside free JSON, where maps merge and lists replace.
    Raises: BadRequest for a directive that is none, or an item of a list without its merge key.
    """
    patch = dict(patch)
    match patch.pop(DIRECTIVE, "merge"):
        case "replace":
            return cast(dict[str, Json], _plain(patch))
        case "delete":
            return {}
        case "merge":
            pass
        case other:
            raise BadRequest(f"unknown directive {DIRECTIVE}: {other!r}, wanted replace, delete or merge")
    merged = dict(target)
    if RETAIN_KEYS in patch:
        kept = _list(patch.pop(RETAIN_KEYS), RETAIN_KEYS)
        merged = {name: value for name, value in merged.items() if name in kept}
    names = dict.fromkeys(_field(name) for name in patch)
    for name in names:
        _merge_field(merged, name, patch, node.child(name) if node else None)
    return merged


def _field(name: str) -> str:
    """The field that a key of a patch is about."""
    return name.removeprefix(_ORDER).removeprefix(_DELETE)


def _merge_field(merged: dict[str, Json], name: str, patch: Mapping[str, Json], node: Node | None) -> None:
    """Bring in what the patch says of one field: its value, its deletions, its order."""
    order = patch.get(_ORDER + name)
    if name in patch and patch[name] is None:
        merged.pop(name, None)
        return
    if (gone := patch.get(_DELETE + name)) is not None and name in merged:
        doomed = _list(gone, _DELETE + name)
        merged[name] = [item for item in _list(merged[name], name) if item not in doomed]
    if name in patch:
        merged[name] = _merged(merged.get(name), patch[name], node, name)
    if order is not None and isinstance(merged.get(name), list):
        merged[name] = _in_order(merged[name], _list(order, _ORDER + name), node, merged[name])


def _merged(found: Json, patch: Json, node: Node | None, name: str) -> Json:
    strategy = node.patch_strategy if node else ()
    if isinstance(patch, Mapping):
        if "replace" in strategy:
            return _plain(patch)
        return strategic_merge(found if isinstance(found, Mapping) else {}, patch, node)
    if isinstance(patch, list) and "merge" in strategy and node is not None:
        return _merged_list(found if isinstance(found, list) else [], patch, node, name)
    return _plain(patch)


def _merged_list(found: list[Json], patch: list[Json], node: Node, name: str) -> list[Json]:
    key = node.patch_merge_key
    if key is None:  # A set of scalars: finalizers.
        added = [item for index, item in enumerate(patch) if item not in found and item not in patch[:index]]
        return _in_order([*found, *added], patch, node, found)
    items = [_with_key(item, key, name) for item in patch]
    if any(item.get(DIRECTIVE) == "replace" for item in items):
        return [_plain(item) for item in items if DIRECTIVE not in item]
    merged = list(found)  # Two may bear one key (a port over TCP and UDP): the first is meant, none is lost.
    for item in items:
        at = next((index for index, one in enumerate(merged) if _name(one, key) == _name(item, key)), None)
        if item.get(DIRECTIVE) == "delete":
            merged = [one for one in merged if _name(one, key) != _name(item, key)]
        elif at is None:
            merged.append(strategic_merge({}, item, node.items()))
        else:
            merged[at] = strategic_merge(merged[at], item, node.items())
    return _in_order(merged, items, node, found)


def _with_key(item: Json, key: str, name: str) -> Mapping[str, Json]:
    if not isinstance(item, Mapping) or (key not in item and item.get(DIRECTIVE) != "replace"):
        raise BadRequest(f"map: {name}: an item does not contain declared merge key: {key}")
    return item


def _name(item: Json, key: str | None) -> str:
    """What tells the items of a list apart. A text, since a hostile key may be a map."""
    return repr(item.get(key)) if key is not None and isinstance(item, Mapping) else repr(item)


def _in_order(items: list[Json], order: list[Json], node: Node | None, before: list[Json]) -> list[Json]:
    """Items that `order` names stand in that order; the others keep their place before the item that they preceded.

    Source: strategicpatch's `normalizeElementOrder`.
    """
    key = node.patch_merge_key if node else None
    place = {_name(item, key): index for index, item in reversed(list(enumerate(order)))}
    live = {_name(item, key): index for index, item in enumerate(before)}
    ours = sorted(
        (item for item in items if _name(item, key) in place), key=lambda item: place[_name(item, key)]
    )
    theirs = [item for item in items if _name(item, key) not in place]
    merged: list[Json] = []
    at = 0
    for item in theirs:
        mine = live.get(_name(item, key), len(before))
        while at < len(ours) and live.get(_name(ours[at], key), -1) <= mine:
            merged.append(ours[at])
            at += 1
        merged.append(item)
    return [*merged, *ours[at:]]


def _plain(value: Json) -> Json:
    """A patch's value where nothing is to be merged with: without nulls in its maps, without directives."""
    if isinstance(value, Mapping):
        return {
            name: _plain(below)
            for name, below in value.items()
            if below is not None and not name.startswith("$")
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _list(value: Json, name: str) -> list[Json]:
    if not isinstance(value, list):
        raise BadRequest(f"{name}: wanted a list")
    return value
