"""Pure: what a commit states, against what its source declared before, as one transaction.

The first claim on an object wins, later ones wait behind it. A claim whose object is no longer stated is `withdrawn`,
or `held` where deleting needs a reason: the trailer `Gitward-Allow-Prune`. What is stated as before is not written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.gitward import (
    DECLARED_GROUP,
    GIT_SOURCE,
    Claim,
    CommitState,
    Declared,
    GitSource,
    GitSourceStatus,
    declared_key,
    live_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, micro_timestamp
from gitops.reconcile import Reader
from gitops.store.contract import ABSENT, Position, Put, SourceCommit, Txn
from gitops.sync.compile import Compiled, Stated

PRUNED_MAX: Final = 10  # More of them, and more than half of the app: held.
LINES_MAX: Final = 100  # Of problems, warnings and held objects in a status.
ALWAYS_HELD: Final = (("", "PersistentVolume"), ("", "PersistentVolumeClaim"))
CRD: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")

State = Literal["declared", "withdrawn", "held"]


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a source found. `allow_prune`: the values of the trailers since the last live commit."""

    source: str
    commit: str
    compiled: Compiled
    allow_prune: tuple[str, ...] = ()


def declare(view: Reader, look: Look, now: datetime, *, epoch: int | None = None) -> Txn:
    """The transaction that makes `look` the declared set of its source. May run again on a newer view."""
    records = {key_of(record): record for record in _records(view)}
    stated = {declared_key(one.key): one for one in look.compiled.objects}
    ours = [record for record in records.values() if _claim_of(record, look.source) is not None]
    held, warnings = _held(view, look, ours, stated)
    puts: list[Put] = []
    for key, one in stated.items():
        puts.extend(_stating(records.get(key), key, one, look))
    for record in ours:
        if (key := key_of(record)) not in stated:
            puts.extend(_withdrawing(record, look.source, "held" if key in held else "withdrawn"))
    status: GitSourceStatus = {
        "problems": [],
        "warnings": _bounded([*look.compiled.warnings, *warnings]),
        "held": _bounded([_held_line(records[key], look.source) for key in sorted(held)]),
        "ignoredFiles": look.compiled.ignored_files,
    }
    is_new = _declared_commit(view, look.source) != look.commit
    if is_new:  # What an earlier commit met says nothing of this one.
        status |= {"unapplied": [], "waiting": []}
    commit: CommitState = {"fetched": look.commit, "declared": look.commit}
    puts.extend(_telling(view, look.source, status, commit, now))
    recorded = SourceCommit(look.source, look.commit) if is_new or len(puts) > 1 else None
    return Txn(tuple(puts), actor=f"sync/{look.source}", cause=look.commit, source=recorded, epoch=epoch)


def report(
    view: Reader, source: str, problems: Sequence[str], now: datetime, *, fetched: str | None = None,
    warnings: Sequence[str] | None = None, epoch: int | None = None,
) -> Txn:  # fmt: skip
    """The transaction that says why nothing new is declared. What was declared before stays. `warnings` None: as they
    were."""
    status: GitSourceStatus = {"problems": _bounded(problems)}
    if warnings is not None:
        status["warnings"] = _bounded(warnings)
    commit: CommitState = {"fetched": fetched} if fetched else {}
    puts = tuple(_telling(view, source, status, commit, now))
    return Txn(puts, actor=f"sync/{source}", cause=fetched or "look", epoch=epoch)


def _records(view: Reader) -> Iterator[Declared]:
    return cast(Iterator[Declared], view.list_group(DECLARED_GROUP))


def _claim_of(record: Declared, source: str) -> Claim | None:
    return next((claim for claim in record["claims"] if claim["source"] == source), None)


def _stating(record: Declared | None, key: Key, one: Stated, look: Look) -> Iterator[Put]:
    """The record with this source's claim as it is now, if that differs."""
    before = _claim_of(record, look.source) if record else None
    claim: Claim = {
        "source": look.source,
        "app": look.source,
        "commit": look.commit,
        "file": one.file,
        "line": one.line,
        "state": "declared",
        "object": one.obj,
    }
    if before and before["state"] == "declared" and before["object"] == one.obj:
        claim["commit"] = before["commit"]  # Moving a statement is no change of it.
    if record is None:
        fresh: Declared = {
            "apiVersion": f"{DECLARED_GROUP}/v1",
            "kind": key.kind,
            "metadata": {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})},
            "claims": [claim],
        }
        yield Put(fresh, expect=ABSENT)
        return
    # Others that only wait to be pruned have nothing left to wait for: the object is handed over.
    others = [
        other for other in record["claims"] if other["source"] == look.source or other["state"] == "declared"
    ]
    claims = [claim if other["source"] == look.source else other for other in others]
    if before is None:
        claims.append(claim)
    if claims != record["claims"]:
        yield _put(record, claims)


def _withdrawing(record: Declared, source: str, state: State) -> Iterator[Put]:
    """The record without this source's claim if another states the object too, else with the claim in its new state."""
    others = [claim for claim in record["claims"] if claim["source"] != source]
    if any(claim["state"] == "declared" for claim in others):
        yield _put(record, others)
        return
    claims = [
        cast(Claim, {**claim, "state": state}) if claim["source"] == source else claim
        for claim in record["claims"]
    ]
    if claims != record["claims"]:
        yield _put(record, claims)


def _put(record: Declared, claims: list[Claim]) -> Put:
    changed: Declared = {**record, "claims": claims}
    if "status" in record:  # Its words were about other claims. What was applied still is.
        applied = record["status"].get("applied")
        changed["status"] = {"applied": applied} if applied else {}
    return Put(changed, expect=Position(int(record["metadata"]["resourceVersion"])))


def _held(
    view: Reader, look: Look, ours: Sequence[Declared], stated: Mapping[Key, Stated]
) -> tuple[frozenset[Key], list[str]]:
    """The records whose objects must not go without a word in a commit, and warnings about that word."""
    standing = [record for record in ours if _state(record, look.source) != "withdrawn"]
    going = [record for record in standing if key_of(record) not in stated and _is_alone(record, look.source)]
    everything = not stated or (len(going) > PRUNED_MAX and len(going) > len(standing) / 2)
    held = {
        key_of(record)
        for record in going
        if everything or _stays_held(record, look.source) or _is_precious(view, record, look.source)
    }
    homes = {key.namespace for key in held}  # A namespace that goes takes with it what is in it.
    held |= {
        key for record in going if (key := key_of(record)).name in homes and live_key(key).kind == "Namespace"
    }
    allowed, warnings = _allowed(look.allow_prune)
    return (frozenset() if len(held) <= allowed else frozenset(held)), warnings


def _state(record: Declared, source: str) -> State:
    claim = _claim_of(record, source)
    assert claim is not None, f"{key_of(record)} has no claim of {source}"
    return claim["state"]


def _stays_held(record: Declared, source: str) -> bool:
    """What was held waits for its trailer, whatever later commits add; these kinds for what is in them to go."""
    key = live_key(key_of(record))
    return _state(record, source) == "held" and (key.group, key.kind) not in (CRD, ("", "Namespace"))


def _is_alone(record: Declared, source: str) -> bool:
    """Whether nobody else states the object, so that withdrawing the claim deletes it."""
    return all(claim["source"] == source or claim["state"] != "declared" for claim in record["claims"])


def _is_precious(view: Reader, record: Declared, source: str) -> bool:
    key = live_key(key_of(record))
    if (key.group, key.kind) in ALWAYS_HELD:
        return True
    live = view.object(key)
    if live is None:
        return False
    if (key.group, key.kind) == CRD:
        spec = cast(dict[str, dict[str, str] | str], cast(dict[str, object], live).get("spec") or {})
        names = cast(dict[str, str], spec.get("names") or {})
        return any(obj["kind"] == names.get("kind") for obj in view.list_group(str(spec.get("group", "-"))))
    if NAMESPACE.owns(live):
        return any(_is_foreign(view, obj, source) for obj in view.list_namespace(key.name))
    return False


def _is_foreign(view: Reader, obj: KubeObject, source: str) -> bool:
    """Whether an object is neither declared by the source nor made from what it declares."""
    if obj["metadata"].get("ownerReferences") or obj["kind"] in ("Event", "Lease"):
        return False
    record = cast(Declared | None, view.object(declared_key(key_of(obj))))
    return record is None or _claim_of(record, source) is None


def _allowed(trailers: Sequence[str]) -> tuple[float, list[str]]:
    """How many held objects the commits allow to go; what cannot be read is told."""
    most, warnings = 0.0, []
    for value in trailers:
        if value == "all":
            most = float("inf")
        elif value.isascii() and value.isdigit() and len(value) < 10:
            most = max(most, int(value))
        else:
            warnings.append(f"trailer Gitward-Allow-Prune: found {value[:40]!r}, wanted a number or `all`")
    return most, warnings


def _held_line(record: Declared, source: str) -> str:
    claim = _claim_of(record, source)
    assert claim is not None, f"{key_of(record)} has no claim of {source}"
    return f"{live_key(key_of(record))} (was in {claim['file']}:{claim['line']})"


def _bounded(lines: Sequence[str]) -> list[str]:
    if len(lines) <= LINES_MAX:
        return list(lines)
    return [*lines[:LINES_MAX], f"… and {len(lines) - LINES_MAX} more"]


def _declared_commit(view: Reader, source: str) -> str | None:
    found = view.get(GIT_SOURCE, GIT_SOURCE.key("", source))
    return ((found or {}).get("status") or {}).get("commit", {}).get("declared") if found else None


def _telling(
    view: Reader, source: str, news: GitSourceStatus, commit: CommitState, now: datetime
) -> Iterator[Put]:
    """The source with its new status; nothing if the source was deleted meanwhile."""
    found = view.get(GIT_SOURCE, GIT_SOURCE.key("", source))
    if found is None:
        return
    old = found.get("status") or GitSourceStatus()
    status: GitSourceStatus = {
        **old,
        **news,
        "commit": {**old.get("commit", {}), **commit},
        "lastLook": micro_timestamp(now),
    }
    told: GitSource = {**found, "status": status}
    yield Put(told, expect=Position(int(found["metadata"]["resourceVersion"])))
