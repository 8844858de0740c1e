"""A folder on disk as a tree that renders may reach: for `gitward check`. Links are not followed."""

import os
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

from gitops.kinds.errors import BadRequest
from gitops.sync.source import BLOB, LINK, Entry

FILES_MAX: Final = 100_000
_OTHER: Final = "000000"


def top_of(path: Path) -> Path:
    """The repository that a path lies in: what a render may reach. Else the current directory, else its own folder."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 # `resolve` would follow links.
    folder = absolute if absolute.is_dir() else absolute.parent
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            return above
    here = Path.cwd()
    return here if here in (folder, *folder.parents) else folder


class DiskTree:
    """Paths are seen from `top`. Nothing may change meanwhile: what was listed is remembered."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._listed: dict[str, list[Entry]] = {}

    def below(self, folder: str) -> Sequence[Entry]:
        if folder not in self._listed:
            self._listed[folder] = sorted(self._walked(folder))
        return self._listed[folder]

    def find(self, path: str) -> Entry | None:
        file = self._top / path
        try:
            status = file.lstat()
        except (OSError, ValueError):  # ValueError: a NUL in it.
            return None
        if not path or S_ISDIR(status.st_mode):
            return None
        mode = BLOB[0] if S_ISREG(status.st_mode) else LINK if S_ISLNK(status.st_mode) else _OTHER
        return Entry(path, mode, path, status.st_size)

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        try:
            return [(self._top / entry.path).read_bytes() for entry in entries]
        except OSError as error:
            raise BadRequest(f"{error.filename}: {error.strerror}") from error

    def _walked(self, folder: str) -> list[Entry]:
        begin = self._top / folder
        if begin.is_symlink() or not begin.is_dir():
            return []
        found: list[Entry] = []
        for place, folders, names in os.walk(begin, followlinks=False):
            links = [name for name in folders if Path(place, name).is_symlink()]
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in (*names, *links):
                path = str(Path(place, name).relative_to(self._top))
                if (entry := self.find(path)) is not None:
                    found.append(entry)
            if len(found) > FILES_MAX:
                raise BadRequest(f"{begin}: more than {FILES_MAX} files")
        return found
