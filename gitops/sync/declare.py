"""Pure: what a commit states, against what its source declared before, as one transaction for all its apps.

The first claim on an object wins, later ones wait behind it. A claim whose object is no longer stated is `withdrawn`,
or `held` where deleting needs a word (`holds.py`). What is stated as before is not written, and is not even looked at
where the caller knows that it did not change.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, cast

from gitops.kinds.errors import NotFound
from gitops.kinds.gitward import (
    DECLARED,
    DECLARED_GROUP,
    GIT_SOURCE,
    AppStatus,
    Claim,
    CommitState,
    Declared,
    Followed,
    GitSourceStatus,
    Signer,
    declared_key,
    live_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of
from gitops.reconcile import Reader
from gitops.store.contract import ABSENT, Position, Put, SourceCommit, Txn
from gitops.sync import holds
from gitops.sync.compile import Stated
from gitops.sync.holds import Going
from gitops.sync.telling import Note, bounded, noted, status_of, told

State = Literal["declared", "withdrawn", "held"]


@dataclass(frozen=True, slots=True)
class AppLook:
    """What a look found of one app.

    Attributes:
        stated: the objects that may differ from what is declared; all of them where `standing` is None.
        size: how many objects the app states.
        gone: what was declared or held and is not stated any more; of it, `held` was held.
        standing: how many objects were declared or held; None: not known, the records are searched.
        allow_prune: the values of the trailers since the last live commit.
    """

    name: str
    stated: tuple[Stated, ...]
    size: int
    gone: frozenset[Key] = frozenset()
    held: frozenset[Key] = frozenset()
    standing: int | None = None
    allow_prune: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a source found.

    Attributes:
        apps: those that can be declared and may differ. broken: those that cannot, with their problems.
        is_first: every app is in one of the two; claims of other apps are of apps that are no more.
        app_count: None where the source names no apps.
        more, state: what else the status is to say, of the look and of the commit.
        signer: of the commit, where the source asks for signatures.
    """

    source: str
    commit: str
    apps: tuple[AppLook, ...]
    broken: tuple[AppStatus, ...] = ()
    warnings: tuple[str, ...] = ()
    ignored_files: int = 0
    app_count: int | None = None
    followed: Followed | None = None
    is_first: bool = False
    notes: tuple[Note, ...] = ()
    more: GitSourceStatus = field(default_factory=GitSourceStatus)
    state: CommitState = field(default_factory=CommitState)
    signer: Signer | None = None


class Declaring(NamedTuple):
    """The transaction, and what it holds back by app (those that are no more among them)."""

    txn: Txn
    held: Mapping[str, frozenset[Key]]


def declare(view: Reader, look: Look, now: datetime, *, epoch: int | None = None) -> Declaring:
    """The transaction that makes `look` the declared set of its source's apps. May run again on a newer view.

    NotFound: the source was deleted meanwhile.
    """
    source = view.get(GIT_SOURCE, GIT_SOURCE.key("", look.source))
    if source is None:
        raise NotFound(f"source {look.source} is not followed any more")
    before = source.get("status") or GitSourceStatus()
    apps = _completed(view, look)
    claims = _Claims(view, look)
    leaving = {app.name: app.gone for app in apps}
    for app in apps:
        for one in app.stated:
            claims.state(app.name, one, leaving)
    is_moved = bool(look.followed and before.get("followed", look.followed) != look.followed)
    held: dict[str, frozenset[Key]] = {}
    warnings = list(look.warnings)
    for app in apps:
        held[app.name], unread = _held(view, look, app, claims, is_moved=is_moved)
        warnings += [line for line in unread if line not in warnings]
        for key in sorted(app.gone):
            claims.withdraw(app.name, key, "held" if key in held[app.name] else "withdrawn")
    puts = list(claims.puts())
    is_new = before.get("commit", {}).get("declared") != look.commit
    is_new = is_new and not (look.broken and before.get("commit", {}).get("fetched") == look.commit)
    news = status_of(look.broken, warnings, _held_lines(claims, held), look.app_count)
    news |= {"ignoredFiles": look.ignored_files, **look.more}
    if is_new:  # What an earlier commit met says nothing of this one.
        news |= {"unapplied": [], "waiting": []}
    if look.followed and not look.broken:
        news["followed"] = look.followed
    commit: CommitState = {**look.state, "fetched": look.commit}
    if not look.broken:
        commit["declared"] = look.commit
    recorded = SourceCommit(look.source, look.commit) if is_new or puts else None
    puts += [*told(source, news, commit, now), *noted(view, source, look.notes, now)]
    txn = Txn(tuple(puts), actor=f"sync/{look.source}", cause=look.commit, source=recorded, epoch=epoch)
    return Declaring(txn, held)


def _completed(view: Reader, look: Look) -> tuple[AppLook, ...]:
    """The apps with what the records tell, where the caller did not know it; and those that are no more."""
    if not look.is_first and all(app.standing is not None for app in look.apps):
        return look.apps
    found: dict[str, dict[Key, State]] = {}
    for record in cast(Iterator[Declared], view.list_group(DECLARED_GROUP)):
        for claim in record["claims"]:
            if claim["source"] == look.source and claim["state"] != "withdrawn":
                found.setdefault(claim["app"], {})[live_key(key_of(record))] = claim["state"]
    apps = [app if app.standing is not None else _known(app, found.get(app.name, {})) for app in look.apps]
    if look.is_first:
        known = {app.name for app in look.apps} | {app["name"] for app in look.broken}
        trailers = look.apps[0].allow_prune if look.apps else ()
        apps += [
            _known(AppLook(name, (), 0, allow_prune=trailers), states)
            for name, states in found.items()
            if name not in known
        ]
    return tuple(apps)


def _known(app: AppLook, states: Mapping[Key, State]) -> AppLook:
    stated = {one.key for one in app.stated}
    gone = frozenset(key for key in states if key not in stated)
    held = frozenset(key for key in gone if states[key] == "held")
    return AppLook(app.name, app.stated, app.size, gone, held, len(states), app.allow_prune)


def _held(
    view: Reader, look: Look, app: AppLook, claims: "_Claims", *, is_moved: bool
) -> tuple[frozenset[Key], list[str]]:
    most, unread = holds.allowed(app.allow_prune)
    keys = frozenset(key for key in sorted(app.gone) if claims.is_alone(app.name, key))
    if not keys:
        return keys, unread
    going = Going(look.source, app.name, keys, app.held & keys, app.standing or 0, app.size == 0, is_moved)
    found = holds.held(view, going)
    return (frozenset() if len(found) <= most else found), unread


def _held_lines(claims: "_Claims", held: Mapping[str, frozenset[Key]]) -> list[str]:
    return bounded(
        [
            f"{key} (was in {claim['file']}:{claim['line']})"
            for app in sorted(held)
            for key in sorted(held[app])
            if (claim := claims.own(app, key)) is not None
        ]
    )


class _Claims:
    """The claims of records as they will be; only those that are touched are read."""

    def __init__(self, view: Reader, look: Look) -> None:
        self._view, self._source, self._commit, self._signer = view, look.source, look.commit, look.signer
        self._records: dict[Key, Declared | None] = {}
        self._claims: dict[Key, list[Claim]] = {}

    def state(self, app: str, one: Stated, leaving: Mapping[str, Collection[Key]]) -> None:
        """The app's claim as it is now: in place of its own, or of one that another app of the source lets go."""
        claims = self._of(one.key)
        own = next((claim for claim in claims if self._is_own(claim, app)), None)
        own = own or next((claim for claim in claims if self._is_left(claim, one.key, leaving)), None)
        now: Claim = {
            "source": self._source,
            "app": app,
            "commit": self._commit,
            "file": one.file,
            "line": one.line,
            "state": "declared",
            "object": one.obj,
        }
        if own and own["state"] == "declared" and own["object"] == one.obj:
            # Moving a statement is no change of it.
            now["commit"], signer = own["commit"], own.get("signer")
        else:
            signer = self._signer
        if signer is not None:
            now["signer"] = signer
        # Others that only wait to be pruned have nothing left to wait for: the object is handed over.
        kept = [claim for claim in claims if claim is own or self._stands(claim)]
        self._claims[one.key] = [now if claim is own else claim for claim in kept]
        if own is None:
            self._claims[one.key].append(now)

    def withdraw(self, app: str, key: Key, state: State) -> None:
        """Take the app's claim out if another states the object too, else put it into its new state."""
        own = self.own(app, key)
        if own is None:
            return
        if not self.is_alone(app, key):
            self._claims[key] = [claim for claim in self._of(key) if claim is not own]
        else:
            changed = cast(Claim, {**own, "state": state})
            self._claims[key] = [changed if claim is own else claim for claim in self._of(key)]

    def own(self, app: str, key: Key) -> Claim | None:
        return next((claim for claim in self._of(key) if self._is_own(claim, app)), None)

    def is_alone(self, app: str, key: Key) -> bool:
        """Whether nobody else states the object, so that withdrawing the claim deletes it."""
        others = [claim for claim in self._of(key) if not self._is_own(claim, app)]
        return self.own(app, key) is not None and not any(map(self._stands, others))

    def puts(self) -> Iterator[Put]:
        """The records that differ."""
        for live, claims in self._claims.items():
            record, key = self._records[live], declared_key(live)
            if record is None:
                yield Put(_fresh(key, claims), expect=ABSENT)
            elif claims != record["claims"]:
                yield _put(record, claims)

    def _of(self, key: Key) -> list[Claim]:
        if key not in self._claims:
            record = self._view.get(DECLARED, declared_key(key))
            self._records[key] = record
            self._claims[key] = list(record["claims"]) if record else []
        return self._claims[key]

    def _is_own(self, claim: Claim, app: str) -> bool:
        return claim["source"] == self._source and claim["app"] == app

    def _is_left(self, claim: Claim, key: Key, leaving: Mapping[str, Collection[Key]]) -> bool:
        return claim["source"] == self._source and key in leaving.get(claim["app"], ())

    def _stands(self, claim: Claim) -> bool:
        """A source that was deleted has let go of what it declared, though nothing was pruned for that."""
        return claim["state"] == "declared" and (
            claim["source"] == self._source
            or self._view.get(GIT_SOURCE, GIT_SOURCE.key("", claim["source"])) is not None
        )


def _fresh(key: Key, claims: list[Claim]) -> Declared:
    return {
        "apiVersion": f"{DECLARED_GROUP}/v1",
        "kind": key.kind,
        "metadata": {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})},
        "claims": claims,
    }


def _put(record: Declared, claims: list[Claim]) -> Put:
    changed: Declared = {**record, "claims": claims}
    if "status" in record:  # Its words were about other claims. What was applied still is.
        applied = record["status"].get("applied")
        changed["status"] = {"applied": applied} if applied else {}
    return Put(changed, expect=Position(int(record["metadata"]["resourceVersion"])))
