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
from gitops.kinds.sensitive import Sensitive
from gitops.sync.compile import File, compile_files
from gitops.sync.files import IGNORE_FILE, JSON_ENDING, roots_of, select
from gitops.sync.ignore import Ignore
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
) -> Report:
    """Check files and folders as one app. `strict`: warnings are errors. Without a matching key an encrypted file's
    form is checked, not its MAC. NotFound: a path that is not there."""
    entries: list[Entry] = []
    problems: list[str] = []
    warnings: list[str] = []
    rendered: list[Rendered] = []
    keyring = Keyring(identities)
    for path in paths:
        listed, app_path, ignore = [*_entries(path)], "" if path == Path() else str(path), _ignore(path)
        roots = roots_of(listed, app_path, ignore)
        selection = select(listed, app_path, ignore, frozenset(root.folder for root in roots))
        rendered.extend(_rendered(roots, top_of(path), keyring, render_bin_dir) if roots else ())
        entries.extend(selection.files)
        problems.extend(selection.problems)
        warnings.extend(selection.warnings)
    files = [_file(entry) for entry in dict.fromkeys(entries)]
    made = [one.file for one in rendered if one.file is not None]
    known = {file.path for file in files}
    compiled = compile_files(
        [*files, *made],
        keyring.open_or_placeholders,
        lambda file, index: _lines(file, index) if file in known else {},
    )
    problems.extend((*(line for one in rendered for line in one.problems), *compiled.problems))
    warnings.extend((*(line for one in rendered for line in one.warnings), *compiled.warnings))
    return Report((*problems, *warnings), ()) if strict else Report(tuple(problems), tuple(warnings))


def _rendered(roots: Sequence[Root], top: Path, keyring: Keyring, bin_dir: Path | None) -> list[Rendered]:
    """As the server renders, within the repository that the folders lie in; with paths as the user sees them."""
    seen = [Root(_from(top, root.folder), _from(top, root.file), root.tool) for root in roots]
    tree = DiskTree(top)
    with TemporaryDirectory(prefix="gitward-check-") as folder:
        parser = Parser(Path(folder) / "empty")
        renderer = Renderer(parser, Path(folder), bin_dir)
        try:
            jobs = renderer.jobs(seen, tree)
            found = renderer.render(jobs, tree, keyring.verified_key, placeholders=True)
        finally:
            renderer.close()
            parser.close()
    return [
        Rendered(
            one.job,
            replace(one.file, path=_shown(top, one.file.path)) if one.file else None,
            tuple(_shown(top, line) for line in one.problems),
            tuple(_shown(top, line) for line in one.warnings),
        )
        for one in found
    ]


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
    return Ignore(file.read_text(errors="replace")) if file.is_file() else Ignore()


def _file(entry: Entry) -> File:
    content = _content(entry.path)
    return File(entry.path, parse(content), MANIFEST_MARK in content or not entry.path.endswith(JSON_ENDING))


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadRequest(f"{path}:1: {error.strerror}") from error


@lru_cache(maxsize=64)
def _lines(file: str, index: int) -> Mapping[str, int]:
    return field_lines(_content(file), index)
