"""The one road into the live objects: what is created or changed is completed, checked and bounded here.

Pure: decides what is to be stored; whoever asked commits it. Declared records lie beside the live objects and pass
unchanged. Source: Kubernetes API concepts; apiserver `registry/rest`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import orjson

from gitops.admission import built_in, metadata
from gitops.admission.merge import own_update
from gitops.admission.pod_security import refuse_pod_security
from gitops.admission.refusal import forbidden, invalid
from gitops.admission.settings import DEFAULT, Mint, Settings
from gitops.kinds import schema
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.errors import AlreadyExists, BadRequest, NotFound
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.names import check_metadata
from gitops.kinds.objects import KubeObject, T, annotations_of, is_going, key_of, with_meta
from gitops.reconcile import Reader


def admit_create(
    view: Reader,
    kind: Kind[T],
    obj: T,
    *,
    now: datetime,
    mint: Mint,
    manager: str | None,
    settings: Settings = DEFAULT,
) -> T:
    """The object to store: named, defaulted, checked, with everything that only the server sets.

    Args:
        view: what is there already: the namespace, other services' addresses.
        obj: as stated; what the server sets is ignored, and a status where that has a road of its own.
        manager: who is recorded as owner of the stated fields; None: nobody. Fields that git states need no other.
    Raises: BadRequest (another kind), NotFound (no such namespace), Forbidden (the namespace is going, or
        a pod that may not be), AlreadyExists, Invalid (all broken rules together).
    """
    if kind.group == DECLARED_GROUP:
        return obj
    obj = _decoded(kind, obj)
    obj = _named(view, kind, obj, mint)
    _check_namespace(view, kind, obj)
    if view.object(key_of(obj)) is not None:
        raise AlreadyExists(f'{kind.resource} "{_name(obj)}" already exists')
    obj = built_in.sealed(kind, built_in.without_status(kind, obj))
    _refuse(kind, obj, schema.violations(kind, obj))
    if manager is not None:
        obj = own_update(None, obj, manager, now, schema.root(kind))
    obj = kind.defaults(obj)
    _refuse(
        kind,
        obj,
        [
            *check_metadata(kind, obj),
            *kind.check(obj),
            *kind.check_create(obj),
            *built_in.check(view, kind, obj, settings),
        ],
    )
    obj = cast(T, built_in.created(view, kind, obj, settings))
    refuse_pod_security(view, kind, None, obj, settings)
    return metadata.stamped(kind, obj, now, mint)


def admit_update(
    view: Reader,
    kind: Kind[T],
    old: T,
    new: T,
    *,
    now: datetime,
    manager: str | None,
    subresource: str | None = None,
    settings: Settings = DEFAULT,
) -> T:
    """The object to store in place of `old`; `old` itself if nothing changes. See `is_released` for when it vanishes.

    Args:
        subresource: "status": of `new` only status and metadata count; one of `kind.parts`: that part of it. Else:
            everything but the status counts (where that has a road of its own); another name is only recorded.
    Raises: BadRequest (another kind), Conflict (another object of that name), Invalid (all broken rules together),
        Forbidden (pods that may not be).
    """
    if kind.group == DECLARED_GROUP:
        return new
    new = metadata.carried(kind, old, _decoded(kind, new, old))
    new = _of_subresource(kind, old, new, subresource)
    new = built_in.sealed(kind, new, old)
    _refuse(kind, new, schema.violations(kind, new))
    if manager is not None:
        new = own_update(old, new, manager, now, schema.root(kind), subresource)
    if subresource == "status":
        new = cast(T, built_in.reported(kind, old, new, now))
    given = new
    problems = list(metadata.check_update(old["metadata"], new["metadata"]))
    if subresource != "status":
        new = cast(T, built_in.updated(view, kind, old, kind.defaults(new), settings))
        problems += [
            *check_metadata(kind, new),
            *kind.check(new),
            *_check_update(kind, old, new, subresource),
            *built_in.check(view, kind, new, settings, old),
        ]
    _refuse(kind, new, problems)
    if subresource != "status":
        refuse_pod_security(view, kind, old, new, settings)
    if metadata.has_generation(kind) and _wishes_more(kind, old, given, new, subresource):
        new = with_meta(new, generation=old["metadata"].get("generation", 0) + 1)
    return old if new == old else new


def _decoded(kind: Kind[T], obj: T, old: T | None = None) -> T:
    """As Kubernetes' decoder leaves it: of this kind, with names that are texts, and without nulls. Shares what has
    none. `old` went through here before: what is shared with it is not looked at again."""
    if obj.get("kind") != kind.kind or obj.get("apiVersion") != kind.api_version:
        found = f"{obj.get('apiVersion')}, Kind={obj.get('kind')}"
        raise BadRequest(f"{found} does not match the expected {kind.api_version}, Kind={kind.kind}")
    meta: Mapping[str, object] = obj["metadata"]
    for field in ("name", "namespace", "generateName"):
        if not isinstance(meta.get(field) or "", str):
            raise BadRequest(f"metadata.{field}: wanted a text")
    return cast(T, schema.without_nulls(obj)) if _has_null(obj, old or {}) else obj


def _has_null(obj: KubeObject, old: Mapping[str, object]) -> bool:
    """Most objects have none, and their text says so sooner than a walk through them."""
    new = [value for name, value in obj.items() if value is None or value is not old.get(name)]
    return b"null" in orjson.dumps(new, default=repr, option=orjson.OPT_NON_STR_KEYS) and _holds_null(obj)


def _holds_null(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(below is None or _holds_null(below) for below in value.values())
    return isinstance(value, list) and any(_holds_null(item) for item in value)


def _named(view: Reader, kind: Kind[T], obj: T, mint: Mint) -> T:
    """With a name, made from `generateName` if need be."""
    base = obj["metadata"].get("generateName")
    if _name(obj) or not base:
        return obj
    for _ in range(metadata.NAME_TRIES_MAX):
        named = with_meta(obj, name=metadata.generated_name(base, mint))
        if view.object(key_of(named)) is None:
            break
    return named


def _check_namespace(view: Reader, kind: Kind[Any], obj: KubeObject) -> None:
    """Source: Kubernetes' plug-in NamespaceLifecycle."""
    name = obj["metadata"].get("namespace", "")
    if not kind.namespaced or not name:
        return
    namespace = view.get(NAMESPACE, Key("", "Namespace", "", name))
    if namespace is None:
        raise NotFound(f'namespaces "{name}" not found')
    if is_going(namespace):
        why = f"unable to create new content in namespace {name} because it is being terminated"
        raise forbidden(kind, _name(obj), why)


def _of_subresource(kind: Kind[Any], old: T, new: T, subresource: str | None) -> T:
    """Each road writes its own part: the other is as it was."""
    if subresource == "status":
        return cast(T, {**old, "metadata": new["metadata"], **_status(new)})
    if part := kind.parts.get(subresource or ""):
        return cast(T, part.take(old, new))
    if "status" not in kind.subresources:
        return new
    rest = {name: value for name, value in new.items() if name != "status"}
    return cast(T, {**rest, **_status(old)})


def _status(obj: KubeObject) -> dict[str, object]:
    return {name: value for name, value in obj.items() if name == "status"}


def _check_update(kind: Kind[T], old: T, new: T, subresource: str | None) -> list[Problem]:
    """What may not change. If something seems to, what an earlier version stored is first completed as of today."""
    part = kind.parts.get(subresource or "")
    check = part.check if part is not None else kind.check_update
    problems = list(check(old, new))
    return problems and list(check(cast(T, built_in.as_of_today(kind, old)), new))


def _wishes_more(
    kind: Kind[Any], old: KubeObject, given: KubeObject, new: KubeObject, subresource: str | None
) -> bool:
    """Whether somebody wants something else of it than before: it differs as it was given and as completed."""
    before = _wish(kind, old, subresource)
    return before != _wish(kind, new, subresource) and before != _wish(kind, given, subresource)


def _wish(kind: Kind[Any], obj: KubeObject, subresource: str | None) -> dict[str, object]:
    """What a higher generation tells of: everything but metadata and status; of a Deployment its annotations too."""
    wish = {name: value for name, value in obj.items() if name not in ("metadata", "status")}
    if kind is DEPLOYMENT and subresource != "status":
        wish["annotations"] = annotations_of(obj)
    return wish


def _refuse(kind: Kind[Any], obj: KubeObject, problems: list[Problem]) -> None:
    if problems:
        raise invalid(kind, _name(obj), problems)


def _name(obj: KubeObject) -> str:
    return obj["metadata"].get("name", "")
