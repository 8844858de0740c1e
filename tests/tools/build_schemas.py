"""Extracts `gitops/kinds/schemas.json.gz` from the development package `kubernetes-validate`.

Kept is what the served kinds need, without prose, in the strict form (unknown fields are errors). Our own kinds are
added from their TypedDicts. The same input gives the same bytes. Run: `python tests/tools/build_schemas.py`.
"""

import gzip
import json
import typing
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NotRequired, get_args, get_origin, is_typeddict

from gitops.kinds import registry
from gitops.kinds.gitward import GIT_SOURCE

VERSION: Final = "1.35.0"
TARGET: Final = Path(__file__).parents[2] / "gitops" / "kinds" / "schemas.json.gz"
# Bodies and answers that are never stored, but are typed on the wire.
UNSTORED: Final = (
    ("", "v1", "Binding"),
    ("autoscaling", "v1", "Scale"),
    ("autoscaling", "v1", "HorizontalPodAutoscaler"),
    ("events.k8s.io", "v1", "Event"),
    ("policy", "v1", "Eviction"),
    ("authentication.k8s.io", "v1", "TokenRequest"),
    ("authentication.k8s.io", "v1", "TokenReview"),
    ("authentication.k8s.io", "v1", "SelfSubjectReview"),
    ("authorization.k8s.io", "v1", "SubjectAccessReview"),
    ("authorization.k8s.io", "v1", "LocalSubjectAccessReview"),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview"),
)
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
# The package writes both as `oneOf` with null on either side, which null itself does not pass.
UNIONS: Final[dict[str, Any]] = {
    QUANTITY: {"type": ["string", "number"], "x-kubernetes-quantity": True},
    INT_OR_STRING: {"type": ["integer", "string"], "x-kubernetes-int-or-string": True},
}


def official() -> dict[str, Any]:
    """Every definition of the strict set, by its name."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    definitions: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return definitions


def compact(schema: Any) -> Any:
    """Without descriptions, and without `null` among the types: null is absence, and is dropped before checking."""
    if isinstance(schema, list):
        return [compact(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            kept[name] = {field: compact(one) for field, one in value.items()}
        elif name == "description":
            continue
        elif name == "type" and isinstance(value, list):
            types = [one for one in value if one != "null"]
            kept[name] = types[0] if len(types) == 1 else types
        elif name == "enum":
            kept[name] = [one for one in value if one is not None]
        else:
            kept[name] = compact(value)
    return kept


def refs(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(refs, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*(refs(value) for value in schema.values()))


def of_shape(shape: Any) -> dict[str, Any]:
    """The schema of a TypedDict of our own."""
    if get_origin(shape) is NotRequired:
        return of_shape(get_args(shape)[0])
    if get_origin(shape) is typing.Literal:
        return {"type": "string", "enum": list(get_args(shape))}
    if get_origin(shape) is list:
        return {"type": "array", "items": of_shape(get_args(shape)[0])}
    if is_typeddict(shape):
        if shape.__name__ == "ObjectMeta":
            return {"$ref": f"#/$defs/{META}"}
        hints = typing.get_type_hints(shape, include_extras=True)
        return {
            "type": "object",
            "additionalProperties": False,
            "required": sorted(name for name, hint in hints.items() if get_origin(hint) is not NotRequired),
            "properties": {name: of_shape(hint) for name, hint in hints.items()},
        }
    return {"type": {str: "string", float: "number", int: "integer", bool: "boolean"}[shape]}


def build() -> dict[str, Any]:
    everything = official()
    by_gvk = {
        tuple(gvk[part] for part in ("group", "version", "kind")): name
        for name, schema in everything.items()
        if len(gvks := schema.get("x-kubernetes-group-version-kind", ())) == 1
        for gvk in gvks
    }
    served = [(kind.group, kind.version, kind.kind) for kind in registry.ALL if kind is not GIT_SOURCE]
    waiting = {by_gvk[gvk] for gvk in (*served, *UNSTORED)}
    kept: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        kept[name] = UNIONS.get(name) or compact(everything[name])
        waiting |= refs(kept[name]) - kept.keys()
    kept["io.gitward.v1alpha1.GitSource"] = {
        **of_shape(GIT_SOURCE.shape),
        "required": ["spec"],
        "x-kubernetes-group-version-kind": [
            {"group": GIT_SOURCE.group, "version": GIT_SOURCE.version, "kind": GIT_SOURCE.kind}
        ],
    }
    return {"version": VERSION, "$defs": {name: kept[name] for name in sorted(kept)}}


def main() -> None:
    text = json.dumps(build(), separators=(",", ":"), sort_keys=True).encode()
    # No name and no time in the header: the same schemas give the same file.
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{TARGET.name}: {len(text):,} bytes, {TARGET.stat().st_size:,} packed")  # A tool speaks.


if __name__ == "__main__":
    main()
