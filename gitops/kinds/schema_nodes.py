"""The packed official schemas as nodes to walk beside an object: fields, types, and how lists and maps merge.

Source: Kubernetes 1.35's OpenAPI definitions, packed by `tests/tools/build_schemas.py`.
"""

import gzip
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

import orjson

from gitops.kinds.kind import Kind


class Node:
    """A place in a schema: what may stand there and how it merges. Walk it beside an object."""

    __slots__ = ("_schema", "_use")

    def __init__(self, use: Mapping[str, Any]) -> None:
        self._use = use  # What the field says of itself: its list type stands beside the reference.
        self._schema = _resolved(use)

    def child(self, field: str) -> "Node | None":
        """The node of a field of a map, None for an unknown one (or one inside free JSON)."""
        found = self._schema.get("properties", {}).get(field)
        if found is None:
            found = self._schema.get("additionalProperties")
        return Node(found) if isinstance(found, Mapping) else None

    def items(self) -> "Node | None":
        """The node of a list's elements."""
        found = self._schema.get("items")
        return Node(found) if isinstance(found, Mapping) else None

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(self._schema.get("properties", ()))

    @property
    def types(self) -> tuple[str, ...]:
        """JSON Schema's names; empty for free JSON."""
        found = self._schema.get("type", ())
        return (found,) if isinstance(found, str) else tuple(found)

    @property
    def list_type(self) -> Literal["map", "set", "atomic"]:
        """How a list merges: as a map by `map_keys`, as a set of scalars, or replaced whole."""
        return cast(Literal["map", "set", "atomic"], self._attribute("x-kubernetes-list-type") or "atomic")

    @property
    def map_keys(self) -> tuple[str, ...]:
        return tuple(self._attribute("x-kubernetes-list-map-keys") or ())

    @property
    def key_defaults(self) -> dict[str, str]:
        """What a key of a list map is where an element leaves it out: a port's protocol."""
        return {"protocol": "TCP"} if "protocol" in self.map_keys else {}

    @property
    def atomic(self) -> bool:
        """A map that is owned and replaced as a whole. Free JSON is too."""
        free = "object" in self.types and not (self._schema.keys() & {"properties", "additionalProperties"})
        return free or self._attribute("x-kubernetes-map-type") == "atomic"

    @property
    def patch_merge_key(self) -> str | None:
        """The key of a strategic merge patch."""
        return cast("str | None", self._attribute("x-kubernetes-patch-merge-key"))

    @property
    def patch_strategy(self) -> tuple[str, ...]:
        """`merge`, `replace`, `retainKeys`, as strategic merge patches use them."""
        return tuple((self._attribute("x-kubernetes-patch-strategy") or "").split(",")) if self._use else ()

    def _attribute(self, name: str) -> Any:
        found = self._use.get(name)
        return self._schema.get(name) if found is None else found


def definitions() -> Mapping[str, Any]:
    """All definitions by name (`io.k8s.api.core.v1.Pod`), for serving OpenAPI."""
    return cast(Mapping[str, Any], _file()["$defs"])


def definition_name(group: str, version: str, kind: str) -> str | None:
    """The name of a kind's definition."""
    return _names().get((group, version, kind))


def definition(group: str, version: str, kind: str) -> Mapping[str, Any] | None:
    """A kind's schema; what it refers to is in `definitions()`."""
    name = definition_name(group, version, kind)
    return None if name is None else cast(Mapping[str, Any], definitions()[name])


@cache
def root(kind: Kind[Any]) -> Node | None:
    """Where walking an object of this kind begins; None where no schema is known."""
    found = definition(kind.group, kind.version, kind.kind)
    return None if found is None else Node(found)


def list_type(
    kind: Kind[Any], path: tuple[str, ...]
) -> tuple[Literal["map", "set", "atomic"], tuple[str, ...]]:
    """How the list at `path` merges; the names on the way may pass through lists (`spec containers ports`)."""
    node = root(kind)
    for field in path:
        while node is not None and (inside := node.items()) is not None:
            node = inside
        node = node.child(field) if node is not None else None
    return ("atomic", ()) if node is None else (node.list_type, node.map_keys)


def path_text(steps: list[str | int]) -> str:
    """`["spec", "containers", 0, "name"]` -> `spec.containers[0].name`; keys that are no field names: `data[a.b]`."""
    text = ""
    for step in steps:
        if isinstance(step, int) or "." in step or "/" in step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


@cache
def _file() -> dict[str, Any]:
    packed = (files("gitops.kinds") / "schemas.json.gz").read_bytes()
    return cast(dict[str, Any], orjson.loads(gzip.decompress(packed)))


@cache
def _names() -> dict[tuple[str, str, str], str]:
    return {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, schema in definitions().items()
        if len(gvks := schema.get("x-kubernetes-group-version-kind", ())) == 1
        for gvk in gvks
    }


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return (
        schema if reference is None else cast(Mapping[str, Any], definitions()[reference.rpartition("/")[2]])
    )
