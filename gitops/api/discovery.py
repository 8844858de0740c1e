"""What is served: `/api`, `/apis` and below, aggregated for today's clients and in the older form for the rest.

Source: Kubernetes API concepts, "API discovery". Made once, from the registry; an ETag lets clients keep it.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import orjson
from aiohttp import web

from gitops.api.context import VERSION
from gitops.api.subresources import Subresource, subresources_of
from gitops.kinds import registry
from gitops.kinds.also_served import ALSO_SERVED
from gitops.kinds.keys import CORE
from gitops.kinds.kind import Kind
from gitops.kinds.metrics import COMPUTED
from gitops.kinds.reviews import REVIEWS

_GROUP: Final = "apidiscovery.k8s.io"
_AGGREGATED: Final = {"g": _GROUP, "as": "APIGroupDiscoveryList"}
_AGGREGATED_VERSIONS: Final = ("v2", "v2beta1")

Kinds = Sequence[Kind[Any]]


async def version(request: web.Request) -> web.Response:
    """`/version`. Major and minor are digits alone; clients and a conformance test read them."""
    git = request.app[VERSION]
    major, minor = git.removeprefix("v").split(".")[:2]
    return web.json_response(
        {
            "major": major,
            "minor": minor,
            "gitVersion": git,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "",
            "goVersion": "",
            "compiler": "cpython",
            "platform": "linux/amd64",
        }
    )


async def core(request: web.Request) -> web.Response:
    """`/api`"""
    if found := _aggregated_version(request):
        return _answer(request, aggregated(found, core_only=True), found)
    versions = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    return _answer(request, orjson.dumps(versions))


async def groups(request: web.Request) -> web.Response:
    """`/apis`"""
    if found := _aggregated_version(request):
        return _answer(request, aggregated(found, core_only=False), found)
    listed = [_group(group) for group in by_group() if group != CORE]
    return _answer(request, orjson.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}))


async def group_or_version(request: web.Request) -> web.Response:
    """`/api/v1`, `/apis/<group>` and `/apis/<group>/<version>`."""
    group, name = request.match_info.get("group", CORE), request.match_info.get("version")
    found = by_group().get(group)
    if found is None:
        raise web.HTTPNotFound(text="404 page not found")
    if name is None:
        return _answer(request, orjson.dumps({"apiVersion": "v1", "kind": "APIGroup", **_group(group)}))
    kinds = [kind for kind in found if kind.version == name]
    if not kinds:
        raise web.HTTPNotFound(text="404 page not found")
    return _answer(request, resource_list(kinds))


@cache
def by_group() -> dict[str, Kinds]:
    """The core group first, then by name."""
    found: dict[str, list[Kind[Any]]] = {}
    for kind in sorted((*registry.ALL, *COMPUTED, *REVIEWS), key=lambda kind: (kind.group, kind.plural)):
        found.setdefault(kind.group, []).append(kind)
    for (
        one
    ) in ALSO_SERVED:  # After what is stored: the first version of a group is the one that is preferred.
        found.setdefault(one.kind.group, []).append(one.kind)
    return {group: tuple(found[group]) for group in sorted(found)}


@cache
def aggregated(version: str, *, core_only: bool) -> bytes:
    """The whole of `/api` or `/apis` in one document."""
    items = [
        {"metadata": {"name": group} if group else {}, "versions": _versions(kinds)}
        for group, kinds in by_group().items()
        if (group == CORE) == core_only
    ]
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": f"{_GROUP}/{version}", "metadata": {}}
    return orjson.dumps({**head, "items": items})


def resource_list(kinds: Kinds) -> bytes:
    """The older form: one group version, subresources as entries of their own."""
    resources: list[dict[str, Any]] = []
    for kind in kinds:
        base = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
        }
        names = {"shortNames": kind.short, "categories": kind.categories}
        resources.append(
            {**base, "verbs": kind.verbs, **{name: value for name, value in names.items() if value}}
        )
        resources += [
            {
                **base,
                "name": f"{kind.plural}/{sub.name}",
                "singularName": "",
                "verbs": sub.verbs,
                **_answers(sub),
            }
            for sub in subresources_of(kind)
        ]
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": kinds[0].api_version}
    return orjson.dumps({**head, "resources": resources})


def _versions(kinds: Kinds) -> list[dict[str, Any]]:
    names = dict.fromkeys(kind.version for kind in kinds)
    return [
        {
            "version": name,
            "freshness": "Current",
            "resources": [_resource(kind) for kind in kinds if kind.version == name],
        }
        for name in names
    ]


def _resource(kind: Kind[Any]) -> dict[str, Any]:
    response_kind = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    subresources = [
        {"subresource": sub.name, "responseKind": _answers(sub) or response_kind, "verbs": sub.verbs}
        for sub in subresources_of(kind)
    ]
    found: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": response_kind,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": kind.verbs,
        "shortNames": kind.short,
        "categories": kind.categories,
        "subresources": subresources,
    }
    return {name: value for name, value in found.items() if value}


def _answers(sub: Subresource) -> dict[str, str]:
    """Group, version and kind where a subresource answers with another kind than its object's."""
    return dict(zip(("group", "version", "kind"), sub.answers, strict=True)) if sub.answers else {}


def _group(group: str) -> dict[str, Any]:
    versions = [
        {"groupVersion": api_version, "version": api_version.rpartition("/")[2]}
        for api_version in dict.fromkeys(kind.api_version for kind in by_group()[group])
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _aggregated_version(request: web.Request) -> str:
    """Which version of the aggregated form the client takes, '' for the older form.

    Of the Accept header's entries the first that we know counts; one with unknown parameters we do not know.
    """
    for entry in request.headers.get("Accept", "").split(","):
        media, *rest = (part.strip() for part in entry.split(";"))
        params = dict(part.partition("=")[::2] for part in rest)
        version = params.pop("v", "")
        if media == "application/json" and params == _AGGREGATED and version in _AGGREGATED_VERSIONS:
            return version
        if media == "application/json" and not params:
            return ""
    return ""


def _answer(request: web.Request, body: bytes, version: str = "") -> web.Response:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32].upper()}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("If-None-Match", "") == tag:
        return web.Response(status=304, headers=headers)
    form = f";g={_GROUP};v={version};as=APIGroupDiscoveryList" if version else ""
    headers["Content-Type"] = f"application/json{form}"
    return web.Response(body=body, headers=headers)
