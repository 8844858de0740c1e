"""Server-side apply: PATCH with `application/apply-patch+yaml`. Source: Kubernetes, "Server-Side Apply"."""

from typing import cast

from aiohttp import web

from gitops.admission import admit_create, admit_update, merge, refuse_create, refuse_update
from gitops.api.authorize import authorize
from gitops.api.bodies import fitted, read_yaml
from gitops.api.context import CLOCK, CLUSTER, MINT, STORE, USER, Target
from gitops.api.nodes import is_node
from gitops.api.objects import put_of
from gitops.api.status import ApplyConflict, conflict, not_found
from gitops.api.validation import checked
from gitops.api.writes import Asked, answer, asked_of, carry_out, transaction
from gitops.kinds import schema
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.errors import BadRequest, Forbidden
from gitops.kinds.objects import KubeObject, uid
from gitops.reconcile import Reader
from gitops.store.contract import ABSENT, Put, Txn


async def apply(request: web.Request, target: Target) -> web.StreamResponse:
    """200 and the merged object, 201 if there was none. 409 with every field that another manager owns."""
    authorize(request.app[STORE].view(), request[USER], "patch", target)
    asked = applier_of(request, target)
    stated, twice = await stated_of(request, target)
    told = list(checked(target.kind, stated, asked.mode, twice).warnings)
    seen: list[
        tuple[KubeObject, int]
    ] = []  # What the transaction that counts made of it, and its answer's code.

    def build(reader: Reader) -> Txn:
        old = reader.object(target.kind.key(target.namespace, target.name))
        if old is None:
            seen[:] = [(_made(request, reader, target, stated, asked), 201)]
            return transaction(request, target, Put(seen[0][0], ABSENT))
        seen[:] = [(merged(request, reader, target, old, stated, asked), 200)]
        return transaction(request, target, put_of(seen[0][0], old))

    stored = await carry_out(request, target, build, dry_run=asked.dry_run)
    made, status = seen[0]
    return answer(target.shown(stored or made), status=status, warnings=told)


def applier_of(request: web.Request, target: Target) -> Asked:
    """How it was asked for, by someone who may. Raises BadRequest for nobody by name, Forbidden for a node."""
    if is_node(request[USER]):  # What it may not write of what it may write is judged on the other roads.
        raise Forbidden(f'{target.place} "{target.name}" is forbidden: a node has no server-side apply')
    asked = asked_of(request, target)
    if not asked.named:
        raise BadRequest("fieldManager is required for apply patch")
    return asked


async def stated_of(request: web.Request, target: Target) -> tuple[KubeObject, tuple[str, ...]]:
    """What the body states of an object of the target's kind, and the paths that it states twice."""
    body, twice = await read_yaml(request)
    stated = fitted(body, target)
    if stated["metadata"].get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    stated = target.taken(stated, None)
    unknown = [one.field for one in schema.violations(target.kind, stated) if schema.is_unknown_field(one)]
    if unknown:
        what = f"{target.namespace}/{target.name}; {target.kind.api_version}, Kind={target.kind.kind}"
        fields = ", ".join(f".{field}: field not declared in schema" for field in unknown)
        raise BadRequest(f"failed to create typed patch object ({what}): {fields}")
    return seal_values(stated) if target.kind is SECRET else stated, twice


def _made(
    request: web.Request, reader: Reader, target: Target, stated: KubeObject, asked: Asked
) -> KubeObject:
    if target.subresource or uid(stated):
        raise conflict(target, "uid mismatch: there is no such object") if uid(stated) else not_found(target)
    now, kind, app = request.app[CLOCK](), target.kind, request.app
    assert asked.manager is not None
    intent, _ = merge.apply(None, stated, asked.manager, now, schema.root(kind))
    obj: KubeObject = admit_create(
        reader, kind, intent, now=now, mint=app[MINT], manager=None, settings=app[CLUSTER]
    )
    if asked.by_person:
        refuse_create(reader, kind, obj)
    return obj


def merged(
    request: web.Request, reader: Reader, target: Target, old: KubeObject, stated: KubeObject, asked: Asked
) -> KubeObject:
    """The object to store in place of `old`; `old` itself if nothing differs.

    Fields that git states first: no force takes those, so a hint to use it would mislead.
    """
    version, kind, now = stated["metadata"].get("resourceVersion", ""), target.kind, request.app[CLOCK]()
    if version not in ("", old["metadata"].get("resourceVersion", "")):
        raise conflict(target)
    shape, subresource = schema.root(kind), target.subresource or None
    assert asked.manager is not None
    made, _ = merge.apply(old, stated, asked.manager, now, shape, subresource=subresource)
    obj: KubeObject = admit_update(
        reader, kind, old, _with_uid(made, stated), now=now, manager=None, subresource=subresource,
        settings=request.app[CLUSTER],
    )  # fmt: skip
    if asked.by_person:
        refuse_update(reader, kind, old, obj, subresource)
    if not asked.force:
        _, found = merge.apply(old, stated, asked.manager, now, shape, force=False, subresource=subresource)
        if found:
            raise ApplyConflict(found)
    return old if merge.is_same(obj, old) else obj


def _with_uid(merged: KubeObject, stated: KubeObject) -> KubeObject:
    """A stated uid is a precondition, which admission checks."""
    if not uid(stated):
        return merged
    return cast(KubeObject, {**merged, "metadata": {**merged["metadata"], "uid": uid(stated)}})
