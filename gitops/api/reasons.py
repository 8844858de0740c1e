"""`GET /gitward/v1/why`: where an object comes from, who set which field, how it is, and what it waits for."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from aiohttp import web

from gitops.admission.fields import decode, shown
from gitops.api.context import FACTS, STORE
from gitops.api.gitward import allow_operators, answer, key_asked
from gitops.api.gone import last_record
from gitops.kinds.commits import FactsOf
from gitops.kinds.core.event import EVENT, Event
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import NotFound
from gitops.kinds.gitward import DECLARED, Claim, Declared, declared_key, first_claim, live_key
from gitops.kinds.health import health
from gitops.kinds.keys import Key
from gitops.kinds.objects import Condition, KubeObject, controller_of, key_of, timestamp, uid
from gitops.view import View

OWNERS_MAX: Final = (
    8  # Above an object, and beneath it: nobody nests deeper, and nobody shall make us walk in circles.
)
PODS_MAX: Final = 20
EVENTS_MAX: Final = 20

Json = dict[str, Any]


async def why(request: web.Request) -> web.Response:
    """`?resource=…&namespace=…&name=…`. NotFound: neither is there such an object, nor did git ever state one."""
    allow_operators(request)
    view, key = request.app[STORE].view(), key_asked(request)
    live, record = view.object(key), view.get(DECLARED, declared_key(key))
    if live is None and record is None:
        return answer(await _gone(request, key))
    owners = list(_owners(view, live)) if live else []
    records = [record, *(view.get(DECLARED, declared_key(key_of(owner))) for owner in owners)]
    stated = next((one for one in records if one is not None), None)
    found = _of_live(view, live) if live else {"live": False}
    told: Json = {
        "object": key._asdict(),
        **found,
        "madeBy": [key_of(owner)._asdict() for owner in owners],
        "declared": [],
        "status": {},
    }
    if stated is not None:
        told["status"] = stated.get("status") or {}
        told["declared"] = await _declared(stated, request.app[FACTS])
    return answer(told)


async def _gone(request: web.Request, key: Key) -> Json:
    """Of an object that is no more: where it stood last, and the commit that took it away."""
    found = await last_record(request.app[STORE], key)
    if found is None:
        raise NotFound(f"there is no {key}, and no source declares one")
    claim, facts_of = first_claim(found.record), request.app[FACTS]
    removed = {"commit": found.commit, **await facts(facts_of, claim["source"], found.commit)}
    return {"object": key._asdict(), "live": False, "madeBy": [], "status": {}, "removedBy": removed,
            "declared": await _declared(found.record, facts_of)}  # fmt: skip


async def _declared(record: Declared, facts_of: FactsOf) -> list[Json]:
    """Each claim, the one that counts first, with what git says of its commit."""
    key = live_key(key_of(record))
    return [{"object": key._asdict(), **_place(claim), **await facts(facts_of, claim["source"], claim["commit"])}
            for claim in record["claims"]]  # fmt: skip


def _place(claim: Claim) -> Json:
    names = ("source", "app", "commit", "signer", "file", "line", "state")
    return {name: cast(Mapping[str, object], claim)[name] for name in names if name in claim}


async def facts(facts_of: FactsOf, source: str, commit: str) -> Json:
    """Author, time and subject; nothing where the commit is not known any more."""
    found = await facts_of(source, commit)
    if found is None:
        return {}
    written = timestamp(datetime.fromtimestamp(found.time, UTC))
    return {"author": found.author, "written": written, "subject": found.subject}


def _of_live(view: View, live: KubeObject) -> Json:
    state, reason = health(live)
    family = [live, *_beneath(view, live)]
    return {
        "live": True,
        "health": {"state": state, "why": reason},
        "fields": [_owned(entry) for entry in cast(list[Json], live["metadata"].get("managedFields") or [])],
        "conditions": _conditions(live),
        "pods": _pods(family),
        "events": _events(view, family),
    }


def _owners(view: View, live: KubeObject) -> Iterator[KubeObject]:
    """The controllers above an object, the nearest first."""
    for _ in range(OWNERS_MAX):
        reference = controller_of(live)
        owner = view.by_uid(reference["uid"]) if reference else None
        if owner is None:
            return
        yield owner
        live = owner


def _beneath(view: View, live: KubeObject, depth: int = OWNERS_MAX) -> Iterator[KubeObject]:
    """What was made for an object, and for that in turn."""
    if depth and (own := uid(live)):
        for one in view.dependents(own):
            yield one
            yield from _beneath(view, one, depth - 1)


def _owned(entry: Json) -> Json:
    """One manager's fields, as Kubernetes writes them."""
    fields = [shown(path) for path in sorted(decode(entry["fieldsV1"]))]
    names = ("manager", "operation", "subresource", "time")
    return {**{name: entry[name] for name in names if name in entry}, "fields": fields}


def _conditions(obj: KubeObject) -> list[Json]:
    status = cast(Json, obj).get("status")
    found: list[Condition] = (status.get("conditions") if isinstance(status, Mapping) else None) or []
    names = ("type", "status", "reason", "message", "lastTransitionTime")
    return [{name: cast(Json, one)[name] for name in names if one.get(name)} for one in found]


def _pods(family: list[KubeObject]) -> list[Json]:
    """Those that are not healthy first; what the scheduler said of those that have no node."""
    pods = [cast(Pod, obj) for obj in family if POD.owns(obj)]
    told = [_pod(pod) for pod in pods]
    return sorted(told, key=lambda one: (one["health"] == "Healthy", one["name"]))[:PODS_MAX]


def _pod(pod: Pod) -> Json:
    state, reason = health(pod)
    told = {
        "name": pod["metadata"].get("name", ""),
        "node": pod["spec"].get("nodeName", ""),
        "health": state,
        "why": reason,
    }
    scheduled = next((one for one in _conditions(pod) if one["type"] == "PodScheduled"), {})
    if scheduled.get("status") == "False":
        told["scheduler"] = scheduled.get("message") or scheduled.get("reason", "")
    return told


def _events(view: View, family: list[KubeObject]) -> list[Json]:
    """Of the object and of what was made for it; the newest first."""
    ids = {uid(obj) for obj in family}
    namespace = family[0]["metadata"].get("namespace") or "default"
    found = [event for event in view.list(EVENT, namespace) if event["involvedObject"].get("uid") in ids]
    found.sort(key=_when, reverse=True)
    return [
        {
            "time": _when(event),
            "type": event.get("type", ""),
            "reason": event.get("reason", ""),
            "object": _about(event),
            "message": event.get("message", ""),
            "count": event.get("count") or 1,
        }
        for event in found[:EVENTS_MAX]
    ]


def _when(event: Event) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""


def _about(event: Event) -> str:
    about = event["involvedObject"]
    return str(Key("", about.get("kind", ""), about.get("namespace", ""), about.get("name", "")))
