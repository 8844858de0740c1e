"""`GET /gitward/v1/diff`: what is live against what git states, on the fields that it states. No field else counts.

Or against what a commit stated when it was the declared one: what going back to it would change.
"""

from collections.abc import Iterator
from datetime import datetime
from string import hexdigits
from typing import Any, cast

from aiohttp import web

from gitops.admission import merge
from gitops.admission.fields import Path, shown, values_of
from gitops.api.context import CLOCK, STATED_AT, STORE
from gitops.api.gitward import allow_operators, answer, told
from gitops.api.past import PREFIX_MIN, moment_of
from gitops.kinds import registry, schema
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.pod_admission import completed_pod, with_class
from gitops.kinds.errors import BadRequest, Invalid, NotFound
from gitops.kinds.gitward import (
    DECLARED,
    DECLARED_GROUP,
    GIT_SOURCE,
    MANAGER,
    Claim,
    Declared,
    declared_key,
    first_claim,
    live_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of
from gitops.store.contract import Scope, Store
from gitops.view import View

Json = dict[str, Any]


async def diff(request: web.Request) -> web.Response:
    """`?source=…`, without it every source; `?at=COMMIT`: as that stated things.

    Each object that differs: `missing` (not live), `extra` (live, and not in git any more), or `changed` with its
    fields; with what is in the way, if something is.
    """
    allow_operators(request)
    view, now = request.app[STORE].view(), request.app[CLOCK]()
    source, at = request.query.get("source", ""), request.query.get("at", "")
    records = list(cast(Iterator[Declared], view.list_group(DECLARED_GROUP)))
    try:
        then = await _records_at(request.app[STORE], at, records) if at else records
    except NotFound:
        return await _undeclared(request, source, at)
    found = [one for record in then if (one := _difference(view, record, source, now, at)) is not None]
    stated = {key_of(record) for record in then}
    late = [record for record in records if at and key_of(record) not in stated]
    found += [one for record in late if (one := _since(view, record, source, at)) is not None]
    return answer({"objects": sorted(found, key=lambda one: (one["file"], one["line"]))})


async def _undeclared(request: web.Request, source: str, at: str) -> web.Response:
    """Against a commit that nobody declared yet: what declaring it would change, were it the source's newest.

    `problems`: what would hold it, or a part of it, back; then only the rest is compared. Errors as `StatedAt`, and
    BadRequest: several sources are followed, and none is named.
    """
    view, now = request.app[STORE].view(), request.app[CLOCK]()
    names = [one["metadata"].get("name", "") for one in view.list(GIT_SOURCE)]
    if not source and len(names) != 1:
        raise BadRequest(
            f"no source declared {at} yet: name the source that is to have it: {', '.join(names)}"
        )
    source = source or names[0]
    commit, claims, problems = await request.app[STATED_AT](source, at)
    view = request.app[STORE].view()  # A fetch may take long.
    found = [
        one for key, claim in claims.items() if (one := _would_be(view, key, claim, now, commit)) is not None
    ]
    records = cast(Iterator[Declared], view.list_group(DECLARED_GROUP))
    left = () if problems else (one for one in records if live_key(key_of(one)) not in claims)
    found += [one for record in left if (one := _let_go(view, record, source, commit)) is not None]
    told = sorted(found, key=lambda one: (one["file"], one["line"]))
    return answer({"objects": told, "commit": commit, "problems": problems})


def _would_be(view: View, key: Key, claim: Claim, now: datetime, commit: str) -> Json | None:
    name = declared_key(key)
    meta = {"name": name.name, **({"namespace": name.namespace} if name.namespace else {})}
    stated = {"apiVersion": f"{name.group}/v1", "kind": name.kind, "metadata": meta, "claims": [claim]}
    told = _difference(view, cast(Declared, stated), claim["source"], now, commit)
    known = view.get(DECLARED, name)
    if told is not None and known is not None and first_claim(known)["source"] != claim["source"]:
        told["why"] = f"it would wait: source {first_claim(known)['source']} declares it first"
    return told


def _let_go(view: View, record: Declared, source: str, commit: str) -> Json | None:
    claim, key = first_claim(record), live_key(key_of(record))
    if claim["source"] != source or claim["state"] == "withdrawn" or view.object(key) is None:
        return None
    return {**_told(key, claim, "extra"), "why": f"{commit[:7]} does not state it", "fields": []}


async def _records_at(store: Store, at: str, records: list[Declared]) -> list[Declared]:
    """The records as they were when a commit was the declared one. Errors as `past.moment_of`, and Expired; NotFound
    for a name too: only a remote knows branches."""
    if not set(at.lower()) <= set(hexdigits) or (len(at) < PREFIX_MIN and not at.isdigit()):
        raise NotFound(f"no source declared {at}")
    revision = await moment_of(store, at)
    kinds = {declared_key(kind.key("", "")).kind for kind in registry.ALL} | {one["kind"] for one in records}
    found: list[Declared] = []
    for kind in sorted(kinds):
        found += cast(list[Declared], await store.list(Scope(DECLARED_GROUP, kind), at=revision))
    return found


def _since(view: View, record: Declared, source: str, at: str) -> Json | None:
    """What that commit did not know: it would go."""
    claim, key = first_claim(record), live_key(key_of(record))
    if (source and claim["source"] != source) or view.object(key) is None:
        return None
    return {**_told(key, claim, "extra"), "why": f"it came after {at}", "fields": []}


def _told(key: Key, claim: Claim, state: str) -> Json:
    places = {name: cast(Json, claim)[name] for name in ("source", "commit", "file", "line")}
    return {"object": key._asdict(), "state": state, **places}


def _difference(view: View, record: Declared, source: str, now: datetime, at: str) -> Json | None:
    """None: nothing differs, or the claim that counts is another source's."""
    claim = first_claim(record)
    if source and claim["source"] != source:
        return None
    key = live_key(key_of(record))
    live, kind = view.object(key), registry.find(key.group, key.kind)
    fields: list[Json] = []
    if claim["state"] != "declared":
        state = "extra" if live is not None else ""
    elif live is None:
        state = "missing"
    else:
        fields = _fields(kind, claim, live, now) if kind is not None else []
        state = "changed" if fields else ""
    if not state:
        return None
    if at:  # What was in the way then says nothing of now.
        return {**_told(key, claim, state), "why": "", "fields": fields}
    status = record.get("status") or {}
    why = status.get("problem") or status.get("waiting") or status.get("after") or status.get("kept") or ""
    if claim["state"] == "held":
        why = "its deletion is held: a commit with the trailer Gitward-Allow-Prune lets it go"
    return {**_told(key, claim, state), "why": why, "fields": fields}


def _fields(kind: Kind[Any], claim: Claim, live: KubeObject, now: datetime) -> list[Json]:
    """The stated fields whose values are not what is stated: both are compared as the API completes them."""
    shape = schema.root(kind)
    stated = seal_values(claim["object"]) if kind is SECRET else claim["object"]
    try:
        merged, _ = merge.apply(live, stated, MANAGER, now, shape)
    except Invalid:
        return []  # Cannot be applied at all; the record's problem says why.
    if kind is POD and not schema.violations(kind, merged):
        merged = with_class(cast(Pod, merged), cast(Pod, live))
    before, after = (_completed(kind, obj) for obj in (live, merged))
    here, wanted = values_of(before, shape), values_of(after, shape)
    paths = {path for path in merge.stated_fields(stated, shape) if here.get(path) != wanted.get(path)}
    return [
        {"field": shown(path), "live": told(here.get(path)), "git": told(wanted.get(path))}
        for path in sorted(paths)
        if not _is_beneath(path, paths)
    ]


def _is_beneath(path: Path, paths: set[Path]) -> bool:
    return any(path[:length] in paths for length in range(1, len(path)))


def _completed(kind: Kind[Any], obj: KubeObject) -> KubeObject:
    if schema.violations(kind, obj):
        return obj
    completed = kind.defaults(obj)
    return completed_pod(completed) if kind is POD else completed
