"""From a URL to what it names. Source: Kubernetes API concepts, "Resource URIs"."""

import re
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from gitops.api.context import Target
from gitops.api.subresources import subresources_of
from gitops.kinds import also_served, registry
from gitops.kinds.errors import BadRequest, NotFound

_NAME: Final = re.compile(r"[A-Za-z0-9:]([-A-Za-z0-9_.:]{0,251}[A-Za-z0-9:])?")  # RBAC names have colons.
_NAMESPACE_SUBRESOURCES: Final = ("status", "finalize")
_UNKNOWN: Final = "the server could not find the requested resource"


def target_of(request: web.Request) -> Target:
    """What `/api/v1/…` or `/apis/<group>/<version>/…` names. Raises NotFound for an unknown resource.

    A subresource may be one that Kubernetes has and we do not answer: a write is then refused for what it is.

    Each segment is decoded by itself, so that an encoded slash cannot make two of one.
    """
    parts = [unquote(part) for part in request.rel_url.raw_path.strip("/").split("/")]
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace, plural, name, subresource = _split(rest)
    also = also_served.find_resource(group, version, plural)
    kind = also.kind if also else registry.find_resource(group, plural)
    if kind is None or kind.version != version or bool(namespace) > kind.namespaced:
        raise NotFound(_UNKNOWN)
    if kind.namespaced and name and not namespace:
        raise NotFound(_UNKNOWN)
    for part in (namespace, name):
        if part and not _NAME.fullmatch(part):
            raise BadRequest(f"{part!r} is not a name")
    if subresource and subresource not in (*kind.subresources, *(one.name for one in subresources_of(kind))):
        raise NotFound(_UNKNOWN)
    return Target(also.stored if also else kind, namespace, name, subresource, also)


def _split(rest: list[str]) -> tuple[str, str, str, str]:
    """Namespace, plural, name and subresource."""
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3 or "" in rest:
        raise NotFound(_UNKNOWN)
    plural, name, subresource = [*rest, "", ""][:3]
    return namespace, plural, name, subresource
