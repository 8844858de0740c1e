"""DELETE of one object and of collections. Source: Kubernetes API concepts, "Resource deletion"; apiserver handlers."""

from typing import Final

import orjson
from aiohttp import web

from gitops.admission import Propagation, admit_delete, refuse_delete
from gitops.api.authorize import authorize
from gitops.api.bodies import DeleteOptions, delete_options_of
from gitops.api.context import CLOCK, STORE, USER, Target
from gitops.api.nodes import is_node
from gitops.api.reads import select, selection_of
from gitops.api.represent import Representation, encode_list
from gitops.api.status import conflict, not_found, success
from gitops.api.validation import warned
from gitops.api.writes import answer, carry_out, transaction
from gitops.kinds.errors import NotFound
from gitops.kinds.objects import KubeObject, uid
from gitops.reconcile import Reader
from gitops.store.contract import Put, Txn, position

# Their deletion answers with the object that was, that of others with a Status. Clients take both.
TELLING: Final = frozenset(
    {"Pod", "PersistentVolumeClaim", "PersistentVolume", "Namespace", "ServiceAccount", "Service",
     "ResourceQuota", "PodTemplate"}
)  # fmt: skip
ORPHANING: Final = frozenset({("batch", "Job"), ("", "ReplicationController")})  # Where nobody says how.
_KEPT_PODS: Final = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)


async def delete(request: web.Request, target: Target) -> web.StreamResponse:
    """DELETE of one object: gracefully for pods; the object, or a Status once it is gone."""
    authorize(request.app[STORE].view(), request[USER], "delete", target)
    options = await delete_options_of(request)
    found, is_gone = await _delete(request, target, options)
    told = [_KEPT_PODS] if options.propagation is None and target.kind.kind == "Job" else []
    if is_gone and target.kind.kind not in TELLING:
        body = orjson.dumps(success(target, uid(found)))
        return web.Response(body=body, content_type="application/json", headers=warned(told))
    return answer(target.shown(found), warnings=told)


async def delete_collection(request: web.Request, target: Target) -> web.StreamResponse:
    """DELETE of everything that is selected: the list of what was there. If one may not go, none does."""
    view, user = request.app[STORE].view(), request[USER]
    authorize(view, user, "deletecollection", target)
    options, selection = await delete_options_of(request), selection_of(request, target)
    chosen = select(view, target, selection)
    for obj in chosen:
        refuse_delete(view, target.kind, obj)
    for obj in chosen:
        meta = obj["metadata"]
        one = target._replace(namespace=meta.get("namespace", ""), name=meta.get("name", ""))
        try:
            await _delete(request, one, options)
        except NotFound:
            continue  # Someone was faster.
    head = {"resourceVersion": str(position(view.revision))}
    body = await encode_list(chosen, target, Representation.OBJECT, head, request.app[CLOCK]())
    return web.Response(body=body, content_type="application/json")


async def _delete(request: web.Request, target: Target, options: DeleteOptions) -> tuple[KubeObject, bool]:
    """The object as it is now or was last, and whether it is gone."""
    now, user = request.app[CLOCK](), request[USER]
    seen: list[KubeObject] = []  # The object as the transaction that counts saw it.
    writes: list[bool] = []  # Whether it wrote anything.

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            raise not_found(target)
        check_preconditions(target, old, options)
        if not is_node(user):  # A node ends what was deleted already, declared or not.
            refuse_delete(reader, target.kind, old)
        op = admit_delete(
            target.kind, old, now=now, grace_seconds=options.grace_seconds, propagation=_how(target, options)
        )
        seen[:], writes[:] = [op.obj if isinstance(op, Put) else old], [op is not None]
        return transaction(request, target, *(() if op is None else (op,)))

    left = await carry_out(request, target, build, dry_run=options.dry_run)
    return left or seen[0], left is None and writes[0]


def _how(target: Target, options: DeleteOptions) -> Propagation | None:
    if options.propagation is None and (target.kind.group, target.kind.kind) in ORPHANING:
        return "Orphan"
    return options.propagation


def check_preconditions(target: Target, old: KubeObject, options: DeleteOptions) -> None:
    """Raises Conflict."""
    if options.uid and options.uid != uid(old):
        raise conflict(
            target,
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid(old)})",
        )
    found = old["metadata"].get("resourceVersion", "")
    if options.resource_version and options.resource_version != found:
        raise conflict(
            target,
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({found})",
        )
