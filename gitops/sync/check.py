"""`gitward check`: what the server would say of files on disk, by the same code, without a server and without keys."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

from gitops.kinds.errors import BadRequest, NotFound
from gitops.kinds.sensitive import Sensitive
from gitops.sync.compile import File, compile_files
from gitops.sync.files import IGNORE_FILE, JSON_ENDING, select
from gitops.sync.gather import MANIFEST_MARK
from gitops.sync.ignore import Ignore
from gitops.sync.render.parse import field_lines, parse
from gitops.sync.secrets.opening import Keyring
from gitops.sync.source import BLOB, LINK, Entry

OTHER: Final = "000000"


@dataclass(frozen=True, slots=True)
class Report:
    """Lines that begin with `file:line:`. With errors, the server would hold the commit back."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def check(paths: Sequence[Path], strict: bool = False, identities: Sequence[Sensitive] = ()) -> Report:
    """Check files and folders as one app. `strict`: warnings are errors. Without a matching key an encrypted file's
    form is checked, not its MAC. NotFound: a path that is not there."""
    entries: list[Entry] = []
    problems: list[str] = []
    warnings: list[str] = []
    for path in paths:
        selection = select(_entries(path), "" if path == Path() else str(path), _ignore(path))
        entries.extend(selection.files)
        problems.extend(selection.problems)
        warnings.extend(selection.warnings)
    files = [_file(entry) for entry in dict.fromkeys(entries)]
    compiled = compile_files(files, Keyring(identities).open_or_placeholders, _lines)
    problems.extend(compiled.problems)
    warnings.extend(compiled.warnings)
    return Report((*problems, *warnings), ()) if strict else Report(tuple(problems), tuple(warnings))


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
