"""The subresource `scale` (autoscaling/v1): how many replicas are wanted and there, for every kind that scales.

Source: Kubernetes API reference, Scale; registry/apps/deployment/storage, `ScaleREST`; apimachinery's
managedfields, `ScaleHandler`: whoever applies a Scale owns `spec.replicas` of the object that it belongs to.
"""

from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict, cast

from aiohttp import web

from gitops.api.applying import applier_of, merged, stated_of
from gitops.api.authorize import authorize
from gitops.api.bodies import media_of, object_of
from gitops.api.context import STORE, USER, Target
from gitops.api.objects import RENAMED, Change, put_of, replaced
from gitops.api.patching import APPLY_PATCH, change_of
from gitops.api.status import ApplyConflict, conflict, not_found
from gitops.api.validation import checked
from gitops.api.writes import answer, asked_of, carry_out, transaction
from gitops.kinds import selectors
from gitops.kinds.errors import Invalid
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import Reader
from gitops.store.contract import Txn


class ScaleSpec(TypedDict):
    replicas: NotRequired[int]


class ScaleStatus(TypedDict):
    replicas: int
    selector: NotRequired[str]


class Scale(KubeObject):
    spec: ScaleSpec
    status: NotRequired[ScaleStatus]


SCALE: Final[Kind[Scale]] = Kind(
    "autoscaling/v1", "Scale", "scales", shape=Scale
)  # Of no store: only seen here.


async def scale(request: web.Request, target: Target) -> web.StreamResponse:
    """GET, PUT and PATCH. Whoever writes it owns `spec.replicas`, unless git states that."""
    verb = {"GET": "get", "PUT": "update", "PATCH": "patch"}[request.method]
    view = request.app[STORE].view()
    authorize(view, request[USER], verb, target)
    if request.method == "GET":
        found = view.object(target.kind.key(target.namespace, target.name))
        if found is None:
            raise not_found(target)
        return answer(scale_of(found))
    if request.method == "PATCH":
        if media_of(request) == APPLY_PATCH:
            return await _applied(request, target)
        change, twice = await change_of(request, SCALE)
    else:
        body, twice = await object_of(request, target._replace(kind=SCALE))
        change = lambda _: body  # noqa: E731 # As a patch that replaces everything.
    return await _rescaled(request, target, change, twice)


async def _rescaled(
    request: web.Request, target: Target, change: Change, twice: tuple[str, ...]
) -> web.StreamResponse:
    asked, seen, told = asked_of(request, target), list[KubeObject](), list[str]()

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            raise not_found(target)
        before = scale_of(old)
        after = change(before)
        if key_of(after) != key_of(before):
            raise conflict(target, RENAMED)
        after, told[:] = checked(SCALE, after, asked.mode, twice)
        obj = replaced(request, reader, target, old, _with_replicas(target, old, cast(Scale, after)), asked)
        seen[:] = [obj]
        return transaction(request, target, put_of(obj, old))

    stored = await carry_out(request, target, build, dry_run=asked.dry_run)
    return answer(scale_of(stored or seen[0]), warnings=told)


async def _applied(request: web.Request, target: Target) -> web.StreamResponse:
    """Server-side apply. It never makes an object: 404 where there is none. 422 without `spec.replicas`: Kubernetes
    takes that as none, and who leaves the one field out does not mean to end every pod."""
    asked, seen = applier_of(request, target), list[KubeObject]()
    stated, twice = await stated_of(request, target._replace(kind=SCALE))
    told = list(checked(SCALE, stated, asked.mode, twice).warnings)
    parent = _of_parent(target, cast(Scale, stated))

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            raise not_found(target)
        try:
            obj = merged(request, reader, target, old, parent, asked)
        except ApplyConflict as error:
            raise ApplyConflict(
                [one._replace(api_version=SCALE.api_version) for one in error.conflicts]
            ) from error
        seen[:] = [obj]
        return transaction(request, target, put_of(obj, old))

    stored = await carry_out(request, target, build, dry_run=asked.dry_run)
    return answer(scale_of(stored or seen[0]), warnings=told)


def _of_parent(target: Target, stated: Scale) -> KubeObject:
    """What an applied Scale states of the object: the replicas alone. Its status and labels are read by nobody."""
    meta = {
        name: value
        for name, value in stated["metadata"].items()
        if name in ("name", "namespace", "uid", "resourceVersion")
    }
    replicas = (stated.get("spec") or {}).get("replicas")
    if replicas is None:
        what = "spec.replicas: Required value: an applied Scale states how many replicas are wanted"
        raise Invalid(f'Scale.autoscaling "{target.name}" is invalid: {what}')
    return cast(
        KubeObject,
        {
            "apiVersion": target.kind.api_version,
            "kind": target.kind.kind,
            "metadata": meta,
            "spec": {"replicas": replicas},
        },
    )


def scale_of(obj: KubeObject) -> Scale:
    """An object's Scale: its name and version, the wish and what is there."""
    body = cast(Mapping[str, Any], obj)
    meta = obj["metadata"]
    spec, status = body.get("spec") or {}, body.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    told: ScaleStatus = {"replicas": status.get("replicas", 0)}
    if text := _selector_text(spec.get("selector")):
        told["selector"] = text
    made = {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {name: value for name, value in meta.items() if name in kept},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": told,
    }
    return cast(Scale, made)


def _selector_text(selector: Mapping[str, Any] | None) -> str:
    """As a `labelSelector` is written. A ReplicationController's is the labels themselves."""
    if selector is None:
        return ""
    known = selector.keys() <= {"matchLabels", "matchExpressions"}
    return selectors.to_text(cast(selectors.LabelSelector, selector if known else {"matchLabels": selector}))


def _with_replicas(target: Target, old: KubeObject, wanted: Scale) -> KubeObject:
    spec: Any = wanted.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise Invalid(f'Scale.autoscaling "{target.name}" is invalid: spec.replicas: wanted an integer')
    meta, version = old["metadata"], wanted["metadata"].get("resourceVersion")
    stated = {**meta, "resourceVersion": version} if version else meta
    body = cast(Mapping[str, Any], old)
    return cast(KubeObject, {**body, "metadata": stated, "spec": {**body["spec"], "replicas": replicas}})
