"""Patches of objects that know nothing of kinds: JSON merge patch (RFC 7386) and JSON patch (RFC 6902). Pure.

Not here: strategic merge patches and server-side apply, which ask the schema how a list merges.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import orjson

from gitops.kinds.core.config import SEALED_FIELDS
from gitops.kinds.errors import BadRequest, Invalid, TooLarge
from gitops.kinds.sensitive import Sensitive

OPERATIONS_MAX: Final = 10_000  # As kube-apiserver.
COPIED_BYTES_MAX: Final = 3 << 20  # As kube-apiserver: a few copies of copies would fill the memory.
_END: Final = "-"  # In a path: behind a list's last item.
Json = Any  # A JSON value.
Steps = tuple[str, ...]


def merge_patch(target: object, patch: object) -> Json:
    """RFC 7386: null removes, objects are merged, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(target: Json, operations: object) -> Json:
    """RFC 6902: the operations in order, all of them or none. `target` stays as it is.

    Raises: BadRequest for what is no JSON patch, Invalid for an operation that cannot be done or a test that fails.
    """
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise BadRequest("a JSON patch is a list of operations")
    if len(operations) > OPERATIONS_MAX:
        raise BadRequest(f"a JSON patch may hold {OPERATIONS_MAX} operations, found {len(operations)}")
    copied_bytes = 0
    for operation in operations:
        path, copied_bytes = _steps(operation, "path"), copied_bytes + _copied_bytes(target, operation)
        if copied_bytes > COPIED_BYTES_MAX:
            raise TooLarge(f"the patch copies more than {COPIED_BYTES_MAX} bytes")
        target = _operated(target, operation, path)
    return target


def _operated(target: Json, operation: Mapping[str, Json], path: Steps) -> Json:
    match operation.get("op"):
        case "add":
            return _added(target, path, _value(operation))
        case "remove":
            return _removed(target, path)
        case "replace":
            _found(target, path)
            return _added(_removed(target, path), path, _value(operation))
        case "test":
            if not _is_same(_found(target, path), _value(operation)):
                _refuse(f"testing value {_text(path)} failed")
            return target
        case "copy":
            copied = _found(target, _steps(operation, "from"))
            _check_sealed(copied, path)
            return _added(target, path, copied)
        case "move":
            source = _steps(operation, "from")
            moved = _found(target, source)
            _check_sealed(moved, path)
            if path[: len(source)] == source and path != source:
                _refuse(f"{_text(source)} cannot be moved into itself")
            return _added(_removed(target, source), path, moved)
        case other:
            raise BadRequest(f"unknown operation {other!r} in a JSON patch")


def _copied_bytes(target: Json, operation: Mapping[str, Json]) -> int:
    if operation.get("op") != "copy":
        return 0
    return len(orjson.dumps(_found(target, _steps(operation, "from")), default=repr))


def _value(operation: Mapping[str, Json]) -> Json:
    if "value" not in operation:
        raise BadRequest(f"the operation {operation.get('op')!r} of a JSON patch has no value")
    return operation["value"]


def _steps(operation: Mapping[str, Json], field: str) -> Steps:
    """RFC 6901: `/a~1b/0` -> ("a/b", "0"); the whole document is ''."""
    pointer = operation.get(field)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise BadRequest(f"{field} of a JSON patch: found {pointer!r}, wanted a text such as /spec/replicas")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def _found(node: Json, path: Steps) -> Json:
    for at, step in enumerate(path):
        node = _child(node, step, path[: at + 1])
    return node


def _child(node: Json, step: str, path: Steps) -> Json:
    if isinstance(node, Mapping) and step in node:
        return node[step]
    if isinstance(node, list):
        return node[_index(step, len(node) - 1, path)]
    return _refuse(f"there is nothing at {_text(path)}")


def _added(node: Json, path: Steps, value: Json, at: int = 0) -> Json:
    """A copy of the way to `path`; everything beside it is shared."""
    if at == len(path):
        return value
    step, is_last = path[at], at == len(path) - 1
    if isinstance(node, Mapping):
        if not is_last:
            return {**node, step: _added(_child(node, step, path[: at + 1]), path, value, at + 1)}
        return {**node, step: value}
    if isinstance(node, list):
        if not is_last:
            index = _index(step, len(node) - 1, path)
            return [*node[:index], _added(node[index], path, value, at + 1), *node[index + 1 :]]
        index = len(node) if step == _END else _index(step, len(node), path)
        return [*node[:index], value, *node[index:]]
    return _refuse(f"{_text(path[:at])} is neither a map nor a list")


def _removed(node: Json, path: Steps, at: int = 0) -> Json:
    if not path:
        return None
    step, is_last = path[at], at == len(path) - 1
    below = _child(node, step, path[: at + 1])
    if isinstance(node, Mapping):
        rest = {name: value for name, value in node.items() if name != step}
        return rest if is_last else {**node, step: _removed(below, path, at + 1)}
    index = int(step)
    middle = [] if is_last else [_removed(below, path, at + 1)]
    return [*node[:index], *middle, *node[index + 1 :]]


def _index(step: str, index_max: int, path: Steps) -> int:
    """RFC 6901 knows no leading zeros and no signs."""
    if step.isascii() and step.isdigit() and (step == "0" or step[0] != "0") and len(step) < 10:
        index = int(step)
        if index <= index_max:
            return index
    return _refuse(f"there is no item {_text(path)}")


def _is_same(found: Json, wanted: Json) -> bool:
    """As JSON is equal: true is not 1. A sealed value is compared with a text."""
    if isinstance(found, Sensitive):
        return isinstance(wanted, str) and found == Sensitive(wanted)
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(_is_same(found[name], wanted[name]) for name in found)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_is_same, found, wanted))
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _check_sealed(value: Json, path: Steps) -> None:
    """A secret's value may not be copied where people look: into an annotation, for instance."""
    if (not path or path[0] not in SEALED_FIELDS) and _holds_sealed(value):
        _refuse(f"a secret value cannot be put at {_text(path)}")


def _holds_sealed(value: Json) -> bool:
    below: Sequence[Json] = (
        list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    )
    return isinstance(value, Sensitive) or any(_holds_sealed(one) for one in below)


def _text(path: Steps) -> str:
    return "/" + "/".join(path)


def _refuse(why: str) -> NoReturn:
    raise Invalid(f"the server rejected our request due to an error in our request: {why}")
