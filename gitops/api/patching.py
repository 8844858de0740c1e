"""From a PATCH body to the change that it asks for, by its media type.

Not here: server-side apply, see `applying.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from aiohttp import web

from gitops.admission.patches import json_patch, merge_patch
from gitops.admission.strategic import strategic_merge
from gitops.api.bodies import check_depth, media_of, read_json, unsupported
from gitops.kinds import schema
from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


def patch_types(kind: Kind[Any]) -> tuple[str, ...]:
    """Which patches a kind takes. A strategic one needs a schema that says how lists merge."""
    strategic = (STRATEGIC_MERGE_PATCH,) if schema.root(kind) is not None else ()
    return (JSON_PATCH, MERGE_PATCH, *strategic, APPLY_PATCH)


async def change_of(
    request: web.Request, kind: Kind[Any]
) -> tuple[Callable[[KubeObject], KubeObject], tuple[str, ...]]:
    """The change, and the paths that the body states twice.

    The change raises BadRequest or Invalid for a patch that does not fit the object.
    """
    media = media_of(request)
    if media not in patch_types(kind):
        raise unsupported(media, patch_types(kind))
    patch, twice = await read_json(request)
    if media == JSON_PATCH:
        return lambda old: _object(json_patch(old, patch), kind), ()
    if not isinstance(patch, dict):
        raise BadRequest("the patch is not a JSON object")
    if media == MERGE_PATCH:
        return lambda old: _object(merge_patch(old, patch), kind), twice
    return lambda old: _object(
        strategic_merge(cast(Mapping[str, Any], old), patch, schema.root(kind)), kind
    ), twice


def _object(found: Any, kind: Kind[Any]) -> KubeObject:
    """What a patch made, if that is an object at all."""
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
        raise Invalid(f"the patch leaves no {kind.kind}")
    for field in ("apiVersion", "kind"):
        if not isinstance(found.get(field), str):
            raise Invalid(f"the patch leaves no {field}")
    meta = found["metadata"]
    if not all(
        isinstance(meta.get(name, ""), str) for name in ("name", "namespace", "uid", "resourceVersion")
    ):
        raise Invalid("metadata: name, namespace, uid and resourceVersion are texts")
    check_depth(found)
    return cast(KubeObject, found)
