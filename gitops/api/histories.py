"""`GET /gitward/v1/history`: the commits of sources and when each reached which stage, or those that changed an object.

The times are in the source's status for its last commits; what is older is known by the store alone.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from aiohttp import web

from gitops.api.context import FACTS, STORE
from gitops.api.gitward import allow_operators, answer, key_asked
from gitops.api.gone import last_record
from gitops.api.reasons import facts
from gitops.kinds.errors import Expired, NotFound
from gitops.kinds.gitward import (
    GIT_SOURCE,
    Claim,
    CommitTimes,
    Declared,
    GitSourceStatus,
    declared_key,
    first_claim,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import micro_timestamp
from gitops.store.contract import Revision, Store

COMMITS_MAX: Final = 100
VERSIONS_MAX: Final = 400  # Of a record: each change of it is followed by a word or two on what became of it.

Json = dict[str, Any]


async def history(request: web.Request) -> web.Response:
    """`?source=…` or `?resource=…&namespace=…&name=…`; newest first, at most COMMITS_MAX of each source."""
    allow_operators(request)
    store = request.app[STORE]
    if "resource" in request.query:
        changes = await _changes(store, key_asked(request))
        times = {source: {one["commit"]: one for one in await _commits(store, source)}
                 for source in {claim["source"] for claim in changes}}  # fmt: skip
        found = [_change(claim, times[claim["source"]].get(claim["commit"])) for claim in changes]
    else:
        found = [{"source": name, **one} for name in _sources(store, request.query.get("source", ""))
                 for one in await _commits(store, name)]  # fmt: skip
    facts_of = request.app[FACTS]
    return answer(
        {"commits": [{**one, **await facts(facts_of, one["source"], one["commit"])} for one in found]}
    )


def _sources(store: Store, wanted: str) -> list[str]:
    names = [one["metadata"].get("name", "") for one in store.view().list(GIT_SOURCE)]
    if wanted and wanted not in names:
        raise NotFound(f"no source {wanted!r} is followed")
    return [wanted] if wanted else names


async def _commits(store: Store, source: str) -> list[CommitTimes]:
    """Those of the status, then what the store knows beside; never one twice, but where it came back."""
    found = store.view().get(GIT_SOURCE, GIT_SOURCE.key("", source))
    status: GitSourceStatus = (found.get("status") if found else None) or {}
    recorded = list(status.get("history") or [])
    known = {one["commit"] for one in recorded}
    for one in await store.commits(source):
        if one.commit not in known:
            times: CommitTimes = {"commit": one.commit}
            if one.time is not None:
                times["declared"] = micro_timestamp(one.time)
            recorded.append(times)
    return recorded[:COMMITS_MAX]


def _change(claim: Claim, times: CommitTimes | None) -> Json:
    names = ("source", "commit", "signer", "file", "line", "state")
    told = {name: cast(Mapping[str, object], claim)[name] for name in names if name in claim}
    return {**told, **cast(Json, times or {})}


def _what(claim: Claim) -> tuple[str, str, str, str]:
    return claim["source"], claim["commit"], claim["state"], claim["file"]


async def _changes(store: Store, key: Key) -> list[Claim]:
    """The claims by which an object changed or moved to another file, newest first: its record's versions that state
    another commit's words, or the same in another place."""
    record_key = declared_key(key)
    record = cast("Declared | None", store.view().object(record_key))
    changes: list[Claim] = []
    if record is None:
        gone = await last_record(store, key)
        if gone is None:
            raise NotFound(f"no source declares {key}, nor did one as far back as the past reaches")
        record, claim = gone.record, first_claim(gone.record)
        changes.append(cast(Claim, {**_by(claim, gone.commit), "state": "withdrawn"}))
    later = Revision(0)  # Of the version before which `record` stood.
    for _ in range(VERSIONS_MAX):
        claim = first_claim(record)
        if claim["state"] != "withdrawn" and (not changes or _what(claim) != _what(changes[-1])):
            if changes and (mover := await _mover(store, claim, changes[-1], later)):
                changes[-1] = _by(changes[-1], mover)
            changes.append(claim)
        later = Revision(int(record["metadata"].get("resourceVersion", "0")) >> 16)
        before = Revision(later - 1)
        if before < 1 or before < store.floors.history:
            break  # The past does not reach so far back.
        try:
            record = cast("Declared | None", await store.get(record_key, at=before))
        except Expired:
            break
        if record is None:
            break
    return changes


def _by(claim: Claim, commit: str) -> Claim:
    """As another commit's: who signed that one is in the source's own history."""
    return cast(
        Claim, {**{name: value for name, value in claim.items() if name != "signer"}, "commit": commit}
    )


async def _mover(store: Store, older: Claim, newer: Claim, revision: Revision) -> str | None:
    """The commit that put the same statement into another file; a claim itself bears the one that last changed it."""
    is_move = newer["file"] != older["file"] and _what({**newer, "file": older["file"]}) == _what(older)
    if not is_move:
        return None
    found = await store.commits(newer["source"])
    return next((one.commit for one in found if one.revision == revision), None)
