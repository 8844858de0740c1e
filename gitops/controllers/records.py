"""What is said in the records of what git declares: which claim counts, and why its object is not live yet."""

from typing import NamedTuple, cast

from gitops.kinds.gitward import Claim, Declared, DeclaredStatus, first_claim, live_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, OwnerReference, key_of, with_meta
from gitops.reconcile import NOTHING, Writes


class News(NamedTuple):
    """What became of a record's first claim. At most one is set; none: nothing to say.

    Attributes:
        applied: the commit whose statement is live; None: what was applied last still is.
        problem, waiting, kept: see `DeclaredStatus`.
        after: the object that comes first. Its record wakes this one.
    """

    applied: str | None = None
    problem: str = ""
    waiting: str = ""
    kept: str = ""
    after: Key | None = None


def is_applied(record: Declared) -> bool:
    """Whether the live object is what the record's first claim states, as far as its status says."""
    claim, status = first_claim(record), record.get("status", {})
    return (
        claim["state"] == "declared" and status.get("applied") == claim["commit"] and "problem" not in status
    )


def told(record: Declared, stored: Declared, news: News) -> Writes:
    """The record with its new status, if that is new. `stored`: as it is in the store; `record`: as it shall be."""
    claim, first = first_claim(record), key_of(record)
    later = [other for other in record["claims"] if other is not claim and other["state"] == "declared"]
    waits = [line(claim, first, news.waiting)] if news.waiting else []
    reasons = [*waits, *(waits_behind(record, other) for other in later)]
    status: DeclaredStatus = {}
    if commit := news.applied or record.get("status", {}).get("applied"):
        status["applied"] = commit
    if news.problem:
        status["problem"] = line(claim, first, news.problem)
    if reasons:
        status["waiting"] = "; ".join(reasons)
    if news.kept:
        status["kept"] = line(claim, first, news.kept)
    if news.after:
        status["after"] = f"it comes after {news.after}, which is on its way"
    references = [wake_by(news.after)] if news.after else None
    said = with_meta(cast(Declared, {**record, "status": status}), ownerReferences=references)
    return NOTHING if said == {"status": {}, **stored} else Writes(status=said)


def waits_behind(record: Declared, claim: Claim) -> str:
    """What is told of a later claim: the first one keeps the object."""
    first = first_claim(record)
    place = f"{first['file']}:{first['line']} of source {first['source']}"
    return line(claim, key_of(record), f"already declared at {place}, which keeps it")


def line(claim: Claim, key: Key, text: str) -> str:
    """`apps/web.yaml:14: Deployment.apps shop/web: …`; an error that says the place itself is left as it is."""
    place = f"{claim['file']}:{claim['line']}"
    return text if text.startswith(place) else f"{place}: {live_key(key)}: {text}"


def wake_by(first: Key) -> OwnerReference:
    """How a record that comes after another is found by it: as its dependent. (No live object ever refers to one.)"""
    return {
        "apiVersion": "declared.gitward.io/v1",
        "kind": first.kind,
        "name": first.name,
        "uid": waking_id(first),
    }


def waking_id(first: Key) -> str:
    return f"declared {first.text}"


def as_record(obj: KubeObject) -> Declared:
    """An object of the group of records."""
    return cast(Declared, obj)
