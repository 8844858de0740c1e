"""What is known of a source's files at the commit that was read last, and what a newer commit makes of it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gitops.sync.apps import App, Apps, wrong_names
from gitops.sync.files import Verdict, ignore_path, is_marker, judge, roots_of
from gitops.sync.ignore import Ignore
from gitops.sync.ledger import Ledger, Turned
from gitops.sync.render.roots import Root
from gitops.sync.rendering import Jobs
from gitops.sync.secrets.opening import Keyring
from gitops.sync.source import Entry

Changes = dict[str, Entry | None]  # Path -> the file as it is now; None: it is gone.
Pages = dict[str, Turned | None]


@dataclass(frozen=True, slots=True)
class Choice:
    """What decides which files of an app are read, and the jobs that made the pages of its rendered folders."""

    ignore: Ignore = field(default_factory=Ignore)
    roots: tuple[Root, ...] = ()
    jobs: Jobs = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """The files, app by app.

    Attributes:
        ledgers: by the app's path. An app whose folder is gone keeps its ledger until nothing of it is held.
        wrong: app path -> why it cannot be an app.
        counts: app path -> how many files lie in it.
        parsed_files, checked_objects: what the last reading cost.
    """

    apps: Apps
    commit: str = ""
    keyring: Keyring | None = None
    files: dict[str, Entry] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    names: dict[str, App] = field(default_factory=dict)
    wrong: Mapping[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    parsed_files: int = 0
    checked_objects: int = 0

    def __post_init__(self) -> None:
        for app in self.apps.fixed:  # They are apps even if there is nothing in them.
            self._know(app)

    def present(self) -> list[App]:
        """Apps that have files, in order of their paths."""
        return [self.names[path] for path in sorted(self.names) if self.counts.get(path)]

    def has_rendered(self) -> bool:
        """Whether a folder of any app is rendered."""
        return any(choice.roots for choice in self.choices.values())

    def take_in(self, work: "Work", turned: Mapping[App, Pages], choices: Mapping[App, Choice]) -> None:
        """Everything of a newer commit is read: from here on nothing fails."""
        for path, entry in work.all_changes.items():
            if (app := self.apps.of(path)) is not None:
                self._know(app)
                difference = (entry is not None) - (path in self.files)
                self.counts[app.path] = self.counts.get(app.path, 0) + difference
        self.checked_objects = 0
        for app, pages in turned.items():
            self._know(app)
            ledger = self.ledgers[app.path]
            ledger.turn({path: page for path, page in pages.items() if page is not None or path in ledger})
            self.checked_objects += sum(len(page.objects) for page in pages.values() if page is not None)
        self.choices |= {app.path: choice for app, choice in choices.items()}
        self.files = work.files
        if work.all_changes and not self.apps.is_single:
            self.wrong = wrong_names(self.present())

    def forget_gone(self) -> None:
        """Apps that have no files any more, and of which the store has nothing that waits."""
        fixed = {app.path for app in self.apps.fixed}
        gone = [
            path for path, ledger in self.ledgers.items()
            if path not in fixed and not self.counts.get(path) and not len(ledger) and ledger.is_settled()
        ]  # fmt: skip
        for path in gone:
            for known in (self.ledgers, self.names, self.counts, self.choices):
                known.pop(path, None)

    def _know(self, app: App) -> None:
        if app.path not in self.ledgers:
            self.ledgers[app.path], self.names[app.path] = Ledger(), app


class Work:
    """What is to be read of a commit.

    Attributes:
        files: all files of the commit. all_changes: those that differ.
        apps: app -> the files to look at: those that differ, and those that may be read otherwise now.
        again: app -> files of rendered folders that are to be made anew.
    """

    def __init__(self, reading: Reading, changes: Changes, *, is_rekeyed: bool) -> None:
        self.all_changes = changes
        self.files = _merged(reading.files, changes)
        self.apps: dict[App, Changes] = {}
        self.again: dict[App, set[str]] = {}
        self._reading = reading
        for path, entry in changes.items():
            if (app := reading.apps.of(path)) is not None:
                self.apps.setdefault(app, {})[path] = entry
        for at, ledger in reading.ledgers.items():
            for file in (*ledger.unreadable(), *(ledger.sealed() if is_rekeyed else ())):
                self._look_again(reading.names[at], file)

    def choices(self, read_ignore: Callable[[Entry], Ignore]) -> dict[App, Choice]:
        """How each app's files are chosen now; where that changed, all of its files are looked at."""
        return {app: self._choice(app, read_ignore) for app in [*self.apps]}

    def judged(self, app: App, choice: Choice) -> dict[str, Verdict]:
        rendered = frozenset(root.folder for root in choice.roots)
        return {
            path: judge(entry, app.path, choice.ignore, rendered) if entry else Verdict()
            for path, entry in self.apps[app].items()
        }

    def to_render(self, choices: Mapping[App, Choice]) -> dict[App, Choice]:
        """Apps with rendered folders that may have changed: any commit may change what a kustomization reaches."""
        known = {app: self._reading.choices[at] for at, app in self._reading.names.items()
                 if at in self._reading.choices}  # fmt: skip
        return {
            app: choice
            for app, choice in {**known, **choices}.items()
            if (choice.roots or choice.jobs) and (self.all_changes or self.again.get(app))
        }

    def _choice(self, app: App, read_ignore: Callable[[Entry], Ignore]) -> Choice:
        known = self._reading.choices.get(app.path, Choice())
        changes, ignore_file = self.apps[app], ignore_path(app.path)
        ignore, roots = known.ignore, known.roots
        if ignore_file in changes:
            entry = changes[ignore_file]
            ignore = read_ignore(entry) if entry is not None else Ignore()
        if ignore is not known.ignore or any(self._is_marked_otherwise(path) for path in changes):
            roots = roots_of(self._of(app).values(), app.path, ignore)
        if ignore is not known.ignore or roots != known.roots:
            self.apps[app] = {**self._of(app), **changes}
        self.again.setdefault(app, set()).update(root.file for root in roots if root.file in self.apps[app])
        return Choice(ignore, roots, known.jobs)

    def _is_marked_otherwise(self, path: str) -> bool:
        before, now = self._reading.files.get(path), self.files.get(path)
        return (before is not None and is_marker(before)) != (now is not None and is_marker(now))

    def _of(self, app: App) -> dict[str, Entry]:
        return {path: entry for path, entry in self.files.items() if self._reading.apps.of(path) == app}

    def _look_again(self, app: App, file: str) -> None:
        choice = self._reading.choices.get(app.path, Choice())
        if file in choice.jobs:
            self.again.setdefault(app, set()).add(file)
        elif file in self.files:
            self.apps.setdefault(app, {}).setdefault(file, self.files[file])


def _merged(files: Mapping[str, Entry], changes: Changes) -> dict[str, Entry]:
    merged: dict[str, Entry | None] = {**files, **changes}
    return {path: entry for path, entry in merged.items() if entry is not None}
