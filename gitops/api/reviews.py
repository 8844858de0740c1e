"""`kubectl auth can-i` and `auth whoami`: may somebody do something? Answered by what decides it, `authorize.py`.

Source: Kubernetes, "Authorization overview", "Checking API access"; API reference, SubjectAccessReview.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, cast

import orjson
from aiohttp import web

from gitops.api.authorize import OPEN_TO_ALL, authorize, authorize_path, may_everything
from gitops.api.bodies import object_of
from gitops.api.context import STORE, USER, Target, User
from gitops.api.discovery import by_group
from gitops.api.nodes import is_node
from gitops.kinds import schema
from gitops.kinds.errors import Forbidden, Invalid
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject
from gitops.kinds.reviews import (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
)
from gitops.kinds.selectors import FieldRequirement, FieldRequirements, parse_fields
from gitops.reconcile import Reader

ALL: Final = "*"
_OF_ONESELF: Final = (SELF_SUBJECT_REVIEW, SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_RULES_REVIEW)
_BY_OBJECT: Final = "what a node may do depends on the object, and on which pods run on it"

Json = dict[str, Any]


def answering(kind: Kind[Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a POST of one kind of review: 201, and the review with its answer in the status."""

    async def review(request: web.Request) -> web.Response:
        view, user = request.app[STORE].view(), request[USER]
        target = Target(kind, request.match_info.get("namespace", ""))
        if kind not in _OF_ONESELF:
            authorize(view, user, "create", target)
        body, _ = await object_of(request, target)
        asked: Json = schema.without_nulls({name: value for name, value in body.items() if name != "status"})
        if broken := schema.violations(kind, cast(KubeObject, asked)):
            raise Invalid(
                f'{kind.kind}.{kind.group} "" is invalid: '
                + ", ".join(f"{one.field}: {one.message}" for one in broken),
                tuple((one.field, one.message) for one in broken),
            )
        told = {**asked, "status": _status(view, user, kind, asked.get("spec") or {}, target.namespace)}
        return web.Response(body=orjson.dumps(told), content_type="application/json", status=201)

    return review


def _status(view: Reader, user: User, kind: Kind[Any], spec: Json, namespace: str) -> Json:
    if kind is SELF_SUBJECT_REVIEW:
        return {"userInfo": {"username": user.name, "groups": sorted(user.groups)}}
    if kind is SELF_SUBJECT_RULES_REVIEW:
        return _rules(view, user, spec.get("namespace", ""))
    if kind is not SELF_SUBJECT_ACCESS_REVIEW:
        user = _named(spec)
    of_resource: Json = spec.get("resourceAttributes") or {}
    of_path: Json = spec.get("nonResourceAttributes") or {}
    if bool(of_resource) == bool(of_path) or (kind is LOCAL_SUBJECT_ACCESS_REVIEW and of_path):
        what = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise Invalid(f'{kind.kind}.{kind.group} "" is invalid: spec: Invalid value: {what}')
    if kind is LOCAL_SUBJECT_ACCESS_REVIEW and of_resource.get("namespace", "") != namespace:
        what = f"spec.resourceAttributes.namespace: Invalid value: must match metadata.namespace: {namespace}"
        raise Invalid(f'{kind.kind}.{kind.group} "" is invalid: {what}')
    try:
        if of_path:
            authorize_path(user, of_path.get("verb", ""), of_path.get("path", ""))
        else:
            _authorize(view, user, of_resource)
    except Forbidden as error:
        return {"allowed": False, "reason": str(error)}
    return {"allowed": True}


def _named(spec: Json) -> User:
    """Whom somebody else asks about."""
    name, groups = spec.get("user", ""), spec.get("groups") or []
    if not name and not groups:
        what = "at least one of user or group must be specified"
        raise Invalid(f"spec.user: Invalid value: {what}")
    return User(name, frozenset(groups))


def _authorize(view: Reader, user: User, asked: Json) -> None:
    """Raises Forbidden, and BadRequest for a field selector that is none."""
    if may_everything(user):
        return
    group, resource, verb = (asked.get(name, "") for name in ("group", "resource", "verb"))
    kind = next((one for one in by_group().get(group, ()) if one.plural == resource), None)
    if kind is None:
        raise Forbidden(f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}"')
    target = Target(kind, asked.get("namespace", ""), asked.get("name", ""), asked.get("subresource", ""))
    authorize(view, user, verb, target, _fields(asked.get("fieldSelector") or {}))


def _fields(selector: Mapping[str, Any]) -> FieldRequirements:
    if raw := selector.get("rawSelector"):
        return parse_fields(raw)
    found = (
        FieldRequirement(one.get("key", ""), one.get("operator") == "In", value)
        for one in selector.get("requirements") or ()
        for value in one.get("values") or ()
    )
    return FieldRequirements(tuple(found))


def _rules(view: Reader, user: User, namespace: str) -> Json:
    """What `user` may do without regard to an object's name: of a node, its own objects come on top of that."""
    if may_everything(user):
        everything = {"verbs": [ALL], "apiGroups": [ALL], "resources": [ALL]}
        paths = {"verbs": [ALL], "nonResourceURLs": [ALL]}
        return {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
    told: Json = {
        "resourceRules": [*_found(view, user, namespace)],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": list(OPEN_TO_ALL)}],
        "incomplete": is_node(user),
    }
    return {**told, "evaluationError": _BY_OBJECT} if is_node(user) else told


def _found(view: Reader, user: User, namespace: str) -> Iterator[Json]:
    for kinds in by_group().values():
        for kind in kinds:
            target = Target(kind, namespace if kind.namespaced else "")
            verbs = [verb for verb in kind.verbs if _is_allowed(view, user, verb, target)]
            if verbs:
                yield {"verbs": verbs, "apiGroups": [kind.group], "resources": [kind.plural]}


def _is_allowed(view: Reader, user: User, verb: str, target: Target) -> bool:
    if target.kind in _OF_ONESELF:
        return True
    try:
        authorize(view, user, verb, target)
    except Forbidden:
        return False
    return True
