"""`gitward check`: what the server would say of files on disk, by the same code, without a server and without keys."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from tempfile import TemporaryDirectory
from typing import Final

from gitops.kinds.errors import BadRequest, NotFound
from gitops.kinds.keys import Key
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.source_spec import SourceApp
from gitops.sync.apps import App, Apps, wrong_names
from gitops.sync.compile import Compiled, File, Sheet, Stated, compile_files
from gitops.sync.files import IGNORE_FILE, JSON_ENDING, roots_of, select
from gitops.sync.ignore import Ignore
from gitops.sync.nested import checked_sources
from gitops.sync.parsing import MANIFEST_MARK
from gitops.sync.render.disk import DiskTree, top_of
from gitops.sync.render.parse import field_lines, parse
from gitops.sync.render.renderer import Rendered, Renderer
from gitops.sync.render.roots import Root
from gitops.sync.secrets.opening import Keyring
from gitops.sync.source import BLOB, LINK, Entry
from gitops.sync.zygote import Parser

OTHER: Final = "000000"


@dataclass(frozen=True, slots=True)
class Report:
    """Lines that begin with `file:line:`. With errors, the server would hold the commit back."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def check(
    paths: Sequence[Path],
    strict: bool = False,
    identities: Sequence[Sensitive] = (),
    render_bin_dir: Path | None = None,
    apps: Sequence[str] = (),
) -> Report:
    """Check files and folders as one app, or as the `apps` of the source that each path is. `strict`: warnings fail.
    Without a matching key an encrypted file's form is checked, not its MAC.

    NotFound: a path that is not there. BadRequest: apps that cannot be.
    """
    keyring = Keyring(identities)
    folders, problems = _folders(paths, apps)
    found: dict[Key, Stated] = {}
    warnings: list[str] = []
    for folder in folders:
        compiled = _compiled(folder, keyring, render_bin_dir)
        problems.extend(compiled.problems)
        warnings.extend(compiled.warnings)
        for stated in compiled.objects:
            if (first := found.setdefault(stated.key, stated)) is not stated:
                what = f"{stated.key}: {first.file}:{first.line} of another app states it too"
                warnings.append(f"{stated.file}:{stated.line}: {what}: whoever is declared first keeps it")
    return Report((*problems, *warnings), ()) if strict else Report(tuple(problems), tuple(warnings))


@dataclass(slots=True)
class _Folder:
    """One app: the paths that it is made of, with the files below each."""

    parts: list[tuple[Path, list[Entry]]]


def _folders(paths: Sequence[Path], apps: Sequence[str]) -> tuple[list[_Folder], list[str]]:
    if not apps:
        return [_Folder([(path, [*_entries(path)]) for path in paths])], []
    problems: list[str] = []
    folders: list[_Folder] = []
    for path in paths:
        root = "" if path == Path() else str(path)
        chosen = Apps("check", root.lstrip("/"), [SourceApp(path=app) for app in apps])
        absolute = "/" if root.startswith("/") else ""
        by_app: dict[App, list[Entry]] = {app: [] for app in chosen.fixed}
        for entry in _entries(path):
            if (app := chosen.of(entry.path.removeprefix(absolute))) is not None:
                by_app.setdefault(app, []).append(entry)
        problems += [
            f"{absolute}{app.path}:1: there is no such app" for app, files in by_app.items() if not files
        ]
        problems += [f"{absolute}{wrong}" for wrong in wrong_names(by_app).values()]
        folders += [
            _Folder([(Path(f"{absolute}{app.path}"), files)])
            for app, files in sorted(by_app.items(), key=lambda one: one[0].path)
            if files
        ]
    return folders, problems


def _compiled(app: _Folder, keyring: Keyring, bin_dir: Path | None) -> Compiled:
    entries: list[Entry] = []
    problems: list[str] = []
    warnings: list[str] = []
    rendered: list[Rendered] = []
    for path, listed in app.parts:
        app_path, ignore = "" if path == Path() else str(path), _ignore(path)
        roots = roots_of(listed, app_path, ignore)
        selection = select(listed, app_path, ignore, frozenset(root.folder for root in roots))
        rendered.extend(_rendered(roots, top_of(path), keyring, bin_dir) if roots else ())
        entries.extend(selection.files)
        problems.extend(selection.problems)
        warnings.extend(selection.warnings)
    files = [_file(entry) for entry in dict.fromkeys(entries)]
    made = [one.file for one in rendered if one.file is not None]
    known = {file.path for file in files}

    @lru_cache(maxsize=64)
    def lines(file: str, index: int) -> Mapping[str, int]:
        return field_lines(_content(file), index) if file in known else {}

    compiled = compile_files([*files, *made], keyring.open_or_placeholders, lines)
    nested = checked_sources(Sheet(compiled.objects), ())
    problems.extend(
        (*(line for one in rendered for line in one.problems), *compiled.problems, *nested.problems)
    )
    warnings.extend((*(line for one in rendered for line in one.warnings), *compiled.warnings))
    return Compiled(compiled.objects, tuple(problems), tuple(warnings), compiled.ignored_files)


def _rendered(roots: Sequence[Root], top: Path, keyring: Keyring, bin_dir: Path | None) -> list[Rendered]:
    """As the server renders, within the repository that the folders lie in; with paths as the user sees them."""
    seen = [Root(_from(top, root.folder), _from(top, root.file), root.tool) for root in roots]
    tree = DiskTree(top)
    with TemporaryDirectory(prefix="gitward-check-") as folder:
        parser = Parser(Path(folder) / "empty")
        renderer = Renderer(parser, Path(folder), bin_dir)
        try:
            jobs = renderer.planner().jobs(seen, tree)
            found = renderer.render(jobs, tree, keyring.verified_key, placeholders=True)
        finally:
            renderer.close()
            parser.close()
    return [
        Rendered(
            one.job,
            _seen(top, one.file) if one.file else None,
            tuple(_shown(top, line) for line in one.problems),
            tuple(_shown(top, line) for line in one.warnings),
        )
        for one in found
    ]


def _seen(top: Path, file: File) -> File:
    places = {index: place._replace(file=_shown(top, place.file)) for index, place in file.places.items()}
    return replace(file, path=_shown(top, file.path), places=places)


def _from(top: Path, path: str) -> str:
    """A path seen from the repository's root, where that is ''."""
    seen = os.path.relpath(path or ".", top)
    return "" if seen == "." else seen


def _shown(top: Path, line: str) -> str:
    """A line that begins with a path of the repository, with that path as seen from here."""
    file, colon, rest = line.partition(":")
    seen = os.path.relpath(top / file)
    return f"{top / file if seen.startswith('..') else seen}{colon}{rest}"


def _entries(path: Path) -> Iterator[Entry]:
    """A folder's files, links not followed; or the one file."""
    try:
        status = path.lstat()
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    if not S_ISDIR(status.st_mode):
        yield Entry(str(path), _mode(status.st_mode), str(path), status.st_size)
        return
    for folder, folders, names in os.walk(path, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*names, *(one for one in folders if Path(folder, one).is_symlink())]):
            file = Path(folder, name)
            status = file.lstat()
            yield Entry(str(file), _mode(status.st_mode), str(file), status.st_size)


def _mode(mode: int) -> str:
    return BLOB[0] if S_ISREG(mode) else LINK if S_ISLNK(mode) else OTHER


def _ignore(path: Path) -> Ignore:
    file = path / IGNORE_FILE
    return Ignore(file.read_text(errors="replace"), str(file)) if file.is_file() else Ignore()


def _file(entry: Entry) -> File:
    content = _content(entry.path)
    return File(entry.path, parse(content), MANIFEST_MARK in content or not entry.path.endswith(JSON_ENDING))


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadRequest(f"{path}:1: {error.strerror}") from error
