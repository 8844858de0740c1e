"""`/gitward/v1/…`: what people ask that Kubernetes has no words for. For the operator's group alone, and only to read.

Nothing here shows a secret: a `Sensitive` leaf is told as `<sensitive>`. Who may see values asks `/api/v1`.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson
from aiohttp import web

from gitops.api.authorize import authorize_path
from gitops.api.context import USER, Target
from gitops.api.represent import SEALED
from gitops.kinds import registry
from gitops.kinds.errors import BadRequest
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive

HIDDEN: Final = "<sensitive>"
_LAST_APPLIED: Final = (
    "kubectl.kubernetes.io/last-applied-configuration"  # The whole object once more, as text.
)
_VALUES: Final = ("data", "stringData")


def allow_operators(request: web.Request) -> None:
    """Raises Forbidden for everyone else: objects of all namespaces, and what is in git, can be read here."""
    authorize_path(request[USER], "get", request.path)


def target_asked(request: web.Request) -> Target:
    """What `?resource=deployments.apps&namespace=shop&name=web` names; namespace '': all of them."""
    query = request.query
    plural, _, group = query.get("resource", "").partition(".")
    kind = registry.find_resource(group, plural)
    if kind is None:
        raise BadRequest(
            f"resource: found {query.get('resource', '')!r}, wanted one such as deployments.apps"
        )
    return Target(kind, query.get("namespace", "") if kind.namespaced else "", query.get("name", ""))


def key_asked(request: web.Request) -> Key:
    """As `target_asked`, for one object."""
    target = target_asked(request)
    if not target.name:
        raise BadRequest("name: wanted the name of an object")
    return target.kind.key(target.namespace, target.name)


def hidden(obj: KubeObject) -> KubeObject:
    """The object without a secret in it."""
    if obj["kind"] not in SEALED:
        return obj  # Long lists are of pods, and need no copy.
    told: Any = _without_values(obj)
    if obj["kind"] == "Secret":
        told = {name: _blank(value) if name in _VALUES else value for name, value in told.items()}
        annotations = told["metadata"].get("annotations") or {}
        if _LAST_APPLIED in annotations:
            meta = {**told["metadata"], "annotations": {**annotations, _LAST_APPLIED: HIDDEN}}
            told = {**told, "metadata": meta}
    return cast(KubeObject, told)


def told(value: object) -> object:
    """A value of a field as it may be shown."""
    return _without_values(value)


def answer(value: object) -> web.Response:
    """Any JSON, a secret in it told as hidden."""
    return web.Response(body=orjson.dumps(value, default=_hide), content_type="application/json")


def _without_values(value: Any) -> Any:  # Any JSON.
    if isinstance(value, Sensitive):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: _without_values(below) for name, below in value.items()}
    if isinstance(value, list):
        return [_without_values(item) for item in value]
    return value


def _blank(values: Any) -> Any:
    return dict.fromkeys(values, HIDDEN) if isinstance(values, Mapping) else HIDDEN


def _hide(leaf: object) -> str:
    if isinstance(leaf, Sensitive):
        return HIDDEN
    raise TypeError(f"{type(leaf).__name__} is not JSON")
