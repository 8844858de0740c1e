"""Which app a file of a source belongs to. An app is a folder that fails and succeeds alone.

A source that names none is one app, called as the source itself. A pattern such as `apps/*` makes an app of each folder
that matches, by its path alone: so a new folder is a new app, and no list of folders is kept.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gitops.kinds.errors import BadRequest
from gitops.kinds.names import dns_label
from gitops.kinds.source_spec import SourceApp, is_pattern
from gitops.sync.ignore import matches_name

FOLDERS_MAX: Final = 65_536  # Whose app is remembered: most commits change files in few of them.


class App(NamedTuple):
    """`path`: from the repository's root, '' for all of it; a folder or one file."""

    name: str
    path: str


class Apps:
    """The apps of one source. `fixed`: those that are named by a plain path, so that their absence is an error."""

    def __init__(self, source: str, path: str, chosen: Iterable[SourceApp]) -> None:
        """`path`: the source's. BadRequest: a path that leaves the repository, or two apps of one name."""
        named = [(app.get("name", ""), _joined(path, app["path"])) for app in chosen]
        self.is_single = not named
        plain = [(name, at) for name, at in named if not is_pattern(at)]
        alone = (App(source, checked_path(path)),) if self.is_single else ()
        self.fixed = tuple(App(_name(name, at), at) for name, at in plain) or alone
        self._patterns = [at.split("/") for _, at in named if is_pattern(at)]
        self._fixed = {app.path: app for app in self.fixed}
        self._known: dict[str, App | None] = {}  # Folder -> its app.
        if not self.is_single and (wrong := wrong_names(self.fixed)):
            raise BadRequest(f"source {source}: spec.apps: {next(iter(wrong.values()))}")

    def of(self, path: str) -> App | None:
        """The app of a file: the deepest that fits. None: it belongs to none."""
        if (own := self._fixed.get(path)) is not None:
            return own
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            if len(self._known) >= FOLDERS_MAX:
                self._known.clear()
            self._known[folder] = self._of_folder(folder)
        return self._known[folder]

    def _of_folder(self, folder: str) -> App | None:
        parts = folder.split("/") if folder else []
        for depth in range(len(parts), -1, -1):
            at = "/".join(parts[:depth])
            if at in self._fixed:
                return self._fixed[at]
            if any(_fits(pattern, parts[:depth]) for pattern in self._patterns):
                return App(parts[depth - 1], at)
        return None


def wrong_names(apps: Iterable[App]) -> Mapping[str, str]:
    """App path -> what is wrong with its name: apps must have names that differ and can be names."""
    first: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for app in sorted(apps, key=lambda app: app.path):
        if first.setdefault(app.name, app.path) != app.path:
            wrong[app.path] = (
                f"{app.path}:1: {first[app.name]} is the app {app.name!r} already: name one of them"
            )
        elif dns_label(app.name) is not None:
            wrong[app.path] = (
                f"{app.path}:1: {app.name!r} is no name of an app: lower case letters, digits and '-' only"
            )
    return wrong


def checked_path(path: str) -> str:
    """Without slashes around it. BadRequest: it leaves the repository."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise BadRequest(f"the path {path!r} leaves the repository")
    return "/".join(parts)


def _joined(path: str, below: str) -> str:
    return checked_path(f"{path}/{checked_path(below)}")


def _name(name: str, path: str) -> str:
    return name or path.rpartition("/")[2]


def _fits(pattern: list[str], parts: list[str]) -> bool:
    """A dot-folder is only meant where the pattern says so."""
    return len(pattern) == len(parts) and all(
        matches_name(one, part) and (one.startswith(".") or not part.startswith("."))
        for one, part in zip(pattern, parts, strict=True)
    )
