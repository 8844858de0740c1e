"""docs/manifests.md, from the registry and the kinds' shapes: what the code acts on is what the page says.

A field is acted on when the kind's TypedDict has it; the official schema says which others there are.
`pytest tests/unit/test_docs.py --update-golden` writes the page.
"""

import typing
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Final, Literal, NamedTuple, NotRequired, Union, get_args, get_origin, is_typeddict

from gitops.kinds import registry, schema
from gitops.kinds.kind import Kind
from gitops.kinds.official import OFFICIAL
from gitops.kinds.schema import Node

HEAD: Final = """\
# Manifests

Gitward reads Kubernetes manifests of version 1.35: YAML or JSON, any number of documents in a file, as `kubectl` reads
them. This page is made from the code (`tests/tools/manifest_page.py`); a test fails when it lags behind.

- A field that does not exist is an **error** with file, line and a suggestion; it holds the commit back.
- A field that exists but is **not acted on yet** is stored, shown and a **warning**: of `gitward check`, of
  `gitward status` and of the API. So nothing that you write is ignored in silence.
- An object without `metadata.namespace` goes to `default`. `status` and what only a server sets are left out, so that
  an export of a cluster may be committed.
- Dot-folders, dot-files and what `.gitwardignore` names (patterns as in `.gitignore`) are not read; YAML without
  `apiVersion` and `kind` is nobody's business and counted. A folder with `kustomization.yaml` or `Chart.yaml` is
  [rendered](rendering.md) instead of read.
- An object whose kind is not served waits, is told as a warning, and blocks nothing. A kind that can be nobody's
  (`Deploymnt` of apps/v1, `Deployment` of extensions/v1beta1) is an error, lest the object it was be deleted.
- An autoscaler of `autoscaling/v1` is taken as `autoscaling/v2`, in git and in the API; the API shows it in either, and
  events in `v1` and `events.k8s.io/v1`.
"""
STORED: Final = """\
## Kinds that are stored and shown, but not acted on yet

They are checked against their official schema, kept with all their fields, listed by `kubectl get`, and a warning.
"""
METADATA: Final = (
    "metadata of every kind: `name`, `namespace`, `labels`, `annotations`, `ownerReferences`, `finalizers`."
)
NOT_WRITTEN: Final = frozenset({"status", "metadata", "apiVersion", "kind"})
BY_OTHERS: Final[Mapping[str, str]] = {
    "Node": "made by agents",
    "Event": "made by controllers and agents",
    "Lease": "made by agents",
    "EndpointSlice": "made for services; one of your own is served as it stands",
    "ReplicaSet": "made by Deployments; one of your own works too",
    "GitSource": "made by `gitward up`; those in git are followed too, over https and ssh, see [sources](sources.md)",
}


class _Place(NamedTuple):
    """Where a TypedDict stands first."""

    kind: str
    path: str


class _Part(NamedTuple):
    """One TypedDict of a kind: where it stands, its fields, and what the official schema has besides."""

    path: str
    fields: Mapping[str, Any]
    left: tuple[str, ...]


def page() -> str:
    """The whole text."""
    places: dict[Any, _Place] = {}
    kinds = [
        (kind, list(_parts(kind, kind.shape, schema.root(kind), "", places))) for kind in registry.ACTED_ON
    ]
    parts = [HEAD, f"## Kinds that are acted on\n\nOf the {METADATA}\n"]
    parts += [_kind(kind, found, places) for kind, found in kinds]
    groups: dict[str, list[str]] = {}
    for kind in OFFICIAL:
        groups.setdefault(kind.api_version, []).append(kind.kind)
    rows = [f"| `{group}` | {', '.join(names)} |" for group, names in groups.items()]
    parts.append("\n".join([STORED, "| group | kinds |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _kind(kind: Kind[Any], parts: list[_Part], places: Mapping[Any, _Place]) -> str:
    short = f", short {', '.join(_code(name) for name in kind.short)}" if kind.short else ""
    scope = "" if kind.namespaced else ", cluster-scoped"
    by_others = f"; {BY_OTHERS[kind.kind]}" if kind.kind in BY_OTHERS else ""
    lines = [f"### {kind.kind}", "", f"{_code(kind.api_version)}{short}{scope}{by_others}.", ""]
    lines += ["| where | acted on | not acted on yet |", "|---|---|---|"]
    for part in parts:
        if part.path or list(part.fields) != ["spec"] or part.left:
            acted = ", ".join(
                _field(kind, part.path, name, hint, places) for name, hint in part.fields.items()
            )
            lines.append(f"| {_code(part.path)} | {acted} | {', '.join(_code(name) for name in part.left)} |")
    return "\n".join([*lines, ""])


def _parts(
    kind: Kind[Any], shape: Any, node: Node | None, path: str, places: dict[Any, _Place]
) -> Iterator[_Part]:
    """This shape, then those in it, each where it stands first."""
    hints = {name: _bare(hint) for name, hint in typing.get_type_hints(shape, include_extras=True).items()}
    unsaid = NOT_WRITTEN if not path else frozenset({"metadata"})
    fields = {name: hint for name, hint in hints.items() if name not in unsaid}
    official = node.fields if node is not None else frozenset()
    yield _Part(path, fields, tuple(sorted(official - hints.keys() - unsaid)))
    for name, hint in fields.items():
        inner, suffix, below = _inside(hint, node.child(name) if node is not None else None)
        if is_typeddict(inner) and inner not in places:
            places[inner] = _Place(kind.kind, _joined(path, name, suffix))
            yield from _parts(kind, inner, below, places[inner].path, places)


def _field(kind: Kind[Any], path: str, name: str, hint: Any, places: Mapping[Any, _Place]) -> str:
    """`` `type` (ClusterIP)`` where only some values are; where the inside is told if that is elsewhere."""
    inner, suffix, _ = _inside(hint, None)
    if get_origin(inner) is Literal:
        return f"{_code(name)} ({', '.join(str(value) for value in get_args(inner))})"
    place = places.get(inner) if is_typeddict(inner) else None
    if place is None or place == (kind.kind, _joined(path, name, suffix)):
        return _code(name)
    return f"{_code(name)} (as {'' if place.kind == kind.kind else place.kind + ' '}{_code(place.path)})"


def _joined(path: str, name: str, suffix: str) -> str:
    return f"{path}.{name}{suffix}".removeprefix(".")


def _inside(hint: Any, node: Node | None) -> tuple[Any, str, Node | None]:
    """What a list or map holds, how a path says so, and its place in the schema."""
    suffix = ""
    while get_origin(hint) in (list, dict):
        is_list = get_origin(hint) is list
        hint = _bare(get_args(hint)[0 if is_list else 1])
        suffix += "[]" if is_list else ".*"
        node = None if node is None else node.items() if is_list else node.child("*")
    return hint, suffix, node


def _bare(hint: Any) -> Any:
    """Without NotRequired, Annotated and the None of an optional."""
    if get_origin(hint) is NotRequired:
        return _bare(get_args(hint)[0])
    if hasattr(hint, "__metadata__"):
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        others = [one for one in get_args(hint) if one is not type(None)]
        return _bare(others[0]) if len(others) == 1 else hint
    return hint


def _code(text: str) -> str:
    return f"`{text}`" if text else "(top)"
