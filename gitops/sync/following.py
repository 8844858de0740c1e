"""One followed source: its mirror, what is known of its files, and the blocking part of a look at it.

Fetch, refuse a rewritten or unsigned branch if the source says so, read what changed. What is decided from it, and
written, is the loop's (`syncer.py`).
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gitops.kinds.errors import GitwardError, Invalid
from gitops.kinds.gitward import (
    AppStatus,
    CommitState,
    Followed,
    GitSource,
    GitSourceSpec,
    GitSourceStatus,
    Signer,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import uid
from gitops.sync.apps import App, Apps
from gitops.sync.declare import AppLook, Look
from gitops.sync.gather import Gatherer
from gitops.sync.grants import Files, Grant, with_files
from gitops.sync.ledger import Ledger
from gitops.sync.reading import Reading
from gitops.sync.render.renderer import Renderer
from gitops.sync.secrets.key_files import KeyFiles
from gitops.sync.signatures import verify
from gitops.sync.source import Mirror, Source
from gitops.sync.telling import Note
from gitops.sync.zygote import Parser

REWRITTEN: Final = "BranchRewritten"


class Refused(Invalid):
    """A commit that was fetched is not followed: the branch was rewritten, or it is not signed as it must be."""


class Fetched(NamedTuple):
    """A commit that may be read, and what is to be told of how it came."""

    commit: str
    notes: tuple[Note, ...]
    signer: Signer | None  # None: no signature was asked for.


class Tools(NamedTuple):
    """What looks at all sources share. `sources`: where mirrors lie; `keys`: makes a reader of the key files."""

    sources: Path
    parser: Parser
    renderer: Renderer
    keys: Callable[[], KeyFiles]


class Following:
    """Belongs to one spec and one grant: where either differs, a new one takes its place. One look at a time."""

    def __init__(self, found: GitSource, grant: Grant, tools: Tools) -> None:
        """BadRequest: a URL, a branch or a path that git should not see."""
        self.spec, self.uid, self.grant = found["spec"], uid(found), grant
        self._keys, self._renderer, self._parser = tools.keys(), tools.renderer, tools.parser
        source = source_of(found)
        self.reading = Reading(Apps(source.name, source.path, source.apps))
        self._files = Files(dict(grant.material))
        try:
            self.mirror = Mirror(tools.sources, source, with_files(grant.access, self._files))
        except GitwardError:
            self._files.close()
            raise
        self._gatherer = Gatherer(self.mirror, tools.parser, tools.renderer)
        # Apps that were known before this began, and what of them is held.
        self.vanished: dict[str, frozenset[Key]] = {}
        self.is_first = True
        self._looked_at: frozenset[str] = frozenset()  # Apps, by path, that the last look did not hold back.
        self._read_commit = ""  # What the last look read.
        self._stands: dict[
            str, str
        ] = {}  # App, by path -> the last commit that was good for it, as far as seen here.
        self._accepted: str | None = None  # The newest commit that was verified here, and its signer.
        self._signer: Signer | None = None

    def close(self) -> None:
        """End its processes and let go of its keys. Not while a look is on."""
        self.mirror.close()
        self._files.close()

    def fetch(self, state: CommitState, *, is_moved: bool) -> Fetched:
        """The newest commit, if it is to be followed. Blocks. `is_moved`: the source followed something else before.

        Refused: it is not. Unavailable, NotFound, BadRequest: it cannot be reached, or may not be.
        """
        self.check_confined()
        commit = self.mirror.fetch()
        notes: list[Note] = []
        old = state.get("fetched")
        if old and old != commit and not is_moved:
            notes += self._rewritten(old, commit)
        signers = self.grant.signers
        if signers is not None and self._accepted != commit:
            before = None if is_moved else state.get("verified") or state.get("declared")
            try:
                self._signer = verify(self.mirror, signers, self._accepted or before, commit)
            except Invalid as error:
                raise Refused(str(error)) from error
            self._accepted = commit
        return Fetched(commit, tuple(notes), self._signer)

    def check_confined(self) -> None:
        """Refused: what an object states is not read where nothing confines the reading of it."""
        if not self.grant.access.trusted and not self._parser.is_confined():
            raise Refused(
                f"source {self.mirror.source.name}: this host offers neither namespaces nor Landlock: a source that an "
                "object states is not read on it, the operator's own (flags, gitward.yaml) is"
            )

    def _rewritten(self, old: str, new: str) -> list[Note]:
        is_rewritten = self.mirror.is_rewritten(old, new)
        if is_rewritten is False:
            return []
        what = f"the branch was rewritten: {old[:7]} is not in the history of {new[:7]}"
        if self.spec.get("requireFastForward"):
            if is_rewritten is None:
                what = f"the server's history is shallow: whether {new[:7]} follows {old[:7]} cannot be told"
            raise Refused(f"source {self.mirror.source.name}: {what}, which this source refuses")
        return [Note("Warning", REWRITTEN, f"{what}; it is followed")] if is_rewritten else []

    def read(self, commit: str, reserved: Collection[str]) -> None:
        """Bring the ledgers to the commit. Blocks. Raises what the mirror, the parser and the key files raise."""
        self._gatherer.read(self.reading, commit, self._keys.keyring(), reserved)

    def look(self, found: GitSource, fetched: Fetched) -> Look:
        """What is to be declared. Blocks: trailers are read."""
        status = found.get("status") or GitSourceStatus()
        reading, commit = self.reading, fetched.commit
        broken = tuple(self._broken(app, status) for app in self.apps() if self.problems(app))
        held_back = {app["path"] for app in broken}
        trailers = tuple(
            value
            for one in self.mirror.commits_since(self._trailers_since(status), commit)
            for value in one.allow_prune
        )
        ledgers = reading.ledgers
        apps = [
            _app_look(app, ledgers[app.path], trailers)
            for app in self.apps()
            if app.path not in held_back and not ledgers[app.path].is_settled()
        ]
        self._read_commit = commit
        self._looked_at = frozenset(app.path for app in self.apps() if app.path not in held_back)
        known = {app.name for app in self.apps()}
        apps += [
            AppLook(name, (), 0, held, held, len(held), trailers)
            for name, held in self.vanished.items()
            if name not in known  # It came back: then its own ledger asks the store for what it was.
        ]
        more: GitSourceStatus = {"renderers": list(self._renderer.told()) if reading.has_rendered() else []}
        if fetched.signer is not None:
            more["signed"] = {**fetched.signer, "commit": commit}
        return Look(
            source=self.mirror.source.name,
            commit=commit,
            apps=tuple(apps),
            broken=broken,
            warnings=tuple(line for path in sorted(ledgers) for line in ledgers[path].warnings()),
            ignored_files=sum(ledger.ignored for ledger in ledgers.values()),
            app_count=None if reading.apps.is_single else len(reading.present()),
            followed=followed_of(self.spec),
            is_first=self.is_first,
            notes=fetched.notes,
            more=more,
            state={"verified": commit} if fetched.signer is not None else {},
            signer=fetched.signer,
        )

    def _trailers_since(self, status: GitSourceStatus) -> str | None:
        """The last live commit. It lags while an app is held back: then a trailer must not count twice for others."""
        state = status.get("commit") or CommitState()
        if not status.get("apps"):
            return state.get("live")
        return state.get("fetched") if not self.is_first else None

    def settle(self, held: Mapping[str, frozenset[Key]]) -> None:
        """The look is declared; `held` has every app that was in it."""
        for app in self.apps():
            ledger = self.reading.ledgers[app.path]
            if app.path in self._looked_at and app.name in held and not ledger.is_settled():
                ledger.settle(held[app.name])
        self._stands |= dict.fromkeys(self._looked_at, self._read_commit)
        own = {app.name for app in self.apps()}
        self.vanished = {name: keys for name, keys in held.items() if keys and name not in own}
        self.reading.forget_gone()
        self.is_first = False

    def apps(self) -> list[App]:
        """All that are or were, in order of their paths."""
        return [self.reading.names[path] for path in sorted(self.reading.names)]

    def problems(self, app: App) -> list[str]:
        """Why an app cannot be declared."""
        reading = self.reading
        if (wrong := reading.wrong.get(app.path)) is not None:
            return [wrong]
        if app.path and app in reading.apps.fixed and not reading.counts.get(app.path):
            return [f"{self.mirror.shown(reading.commit)}: there is no path {app.path!r} in it"]
        ledger = reading.ledgers[app.path]
        return ledger.problems() if ledger.is_broken() else []

    def _broken(self, app: App, status: GitSourceStatus) -> AppStatus:
        told: AppStatus = {"name": app.name, "path": app.path, "problems": self.problems(app)}
        before = next((one for one in status.get("apps") or () if one["name"] == app.name), None)
        declared = self._stands.get(app.path)
        if declared is None and before is not None:
            declared = before.get("declared")
        elif declared is None and self.is_first:  # It was well when somebody looked at it last.
            declared = (status.get("commit") or {}).get("declared")
        if declared:
            told["declared"] = declared
        return told


def source_of(found: GitSource) -> Source:
    """What the mirror is told."""
    spec = found["spec"]
    return Source(
        found["metadata"].get("name", ""),
        spec["url"],
        spec.get("branch") or None,
        spec.get("path", ""),
        tuple(spec.get("apps", ())),
        spec.get("allowMacOnlyEncrypted", False),
    )


def followed_of(spec: GitSourceSpec) -> Followed:
    """What decides which objects a source states."""
    return {
        "url": spec["url"],
        "branch": spec.get("branch", ""),
        "path": spec.get("path", ""),
        "apps": list(spec.get("apps", ())),
    }


def _app_look(app: App, ledger: Ledger, trailers: tuple[str, ...]) -> AppLook:
    stated = tuple(one for path in sorted(ledger.fresh) for one in ledger.fresh[path])
    gone = ledger.gone()
    return AppLook(app.name, stated, len(ledger), gone, ledger.held & gone, ledger.declared, trailers)


def is_moved(found: GitSource) -> bool:
    """Whether a source follows something else than what it declared last."""
    followed = (found.get("status") or {}).get("followed")
    return followed is not None and followed != followed_of(found["spec"])
