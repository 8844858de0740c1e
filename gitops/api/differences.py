"""`GET /gitward/v1/diff`: what is live against what git states, on the fields that it states. No field else counts."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from aiohttp import web

from gitops.admission import merge
from gitops.admission.fields import Path, shown, values_of
from gitops.api.context import CLOCK, STORE
from gitops.api.gitward import allow_operators, answer, told
from gitops.kinds import registry, schema
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.core.pod import POD
from gitops.kinds.core.pod_admission import completed_pod
from gitops.kinds.errors import Invalid
from gitops.kinds.gitward import DECLARED_GROUP, MANAGER, Claim, Declared, live_key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of
from gitops.view import View

Json = dict[str, Any]


async def diff(request: web.Request) -> web.Response:
    """`?source=…`, without it every source. Each object that differs: `missing` (not live), `extra` (live, and not in
    git any more), or `changed` with its fields; with what is in the way, if something is."""
    allow_operators(request)
    view, now = request.app[STORE].view(), request.app[CLOCK]()
    source = request.query.get("source", "")
    found = [one for record in cast(Iterator[Declared], view.list_group(DECLARED_GROUP))
             if (one := _difference(view, record, source, now)) is not None]  # fmt: skip
    return answer({"objects": sorted(found, key=lambda one: (one["file"], one["line"]))})


def _difference(view: View, record: Declared, source: str, now: datetime) -> Json | None:
    """None: nothing differs, or the claim that counts is another source's."""
    claim = next((one for one in record["claims"] if one["state"] == "declared"), record["claims"][0])
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
    names = ("source", "commit", "file", "line")
    place = {name: cast(Json, claim)[name] for name in names}
    status = record.get("status") or {}
    why = status.get("problem") or status.get("waiting") or status.get("after") or status.get("kept") or ""
    if claim["state"] == "held":
        why = "its deletion is held: a commit with the trailer Gitward-Allow-Prune lets it go"
    return {"object": key._asdict(), "state": state, **place, "why": why, "fields": fields}


def _fields(kind: Kind[Any], claim: Claim, live: KubeObject, now: datetime) -> list[Json]:
    """The stated fields whose values are not what is stated: both are compared as the API completes them."""
    shape = schema.root(kind)
    stated = seal_values(claim["object"]) if kind is SECRET else claim["object"]
    try:
        merged, _ = merge.apply(live, stated, MANAGER, now, shape)
    except Invalid:
        return []  # Cannot be applied at all; the record's problem says why.
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
