"""Directory trees that a container has made: walked, and removed, whatever is in them.

A container may nest directories deeper than any path or stack is long, put links in the way, and change it all while
it is looked at. So a walk holds one descriptor at a time, goes up by `..` and checks where that led; it follows no link
and enters no mount, not even of the same file system. Blocks; runs in a thread. Source: openat2(2), fts(3).
"""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from agent.volumes.beneath import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, open_at

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STAY: Final = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
# Gone meanwhile, another thing now, a link, a mount, or unsure for a rename elsewhere: not entered.
PASSED_OVER: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EAGAIN)


class _Level(NamedTuple):
    """A directory on the way down: how its parent calls it, which one it is, and what is below and was not seen."""

    name: str
    identity: tuple[int, int]
    below: list[str]


def walk(
    root: Path, left: Callable[[int, str], None] = lambda _parent, _name: None
) -> Iterator[tuple[int, list[os.DirEntry[str]]]]:
    """Each directory, from the top: its descriptor, which is good until the next one is asked for, and its entries.

    `left` gets the parent's descriptor and the name of each directory beneath `root` that is done with all below it.
    Raises OSError (ESTALE where a directory was moved away while it was walked).
    """
    current, name, levels = os.open(root, FOLDER), "", list[_Level]()
    device = os.fstat(current).st_dev
    try:
        while True:
            entries = list(os.scandir(current))
            below = [one.name for one in entries if one.is_dir(follow_symlinks=False)]
            levels.append(_Level(name, _identity(current), below))
            yield current, entries
            while (following := _down(current, device, levels[-1].below)) is None:
                done = levels.pop()
                if not levels:
                    return
                parent = os.open("..", FOLDER, dir_fd=current)
                os.close(current)
                current = parent
                if _identity(current) != levels[-1].identity:
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(root))
                left(current, done.name)
            name, descriptor = following
            os.close(current)
            current = descriptor
    finally:
        os.close(current)


def remove_entry(path: Path) -> None:
    """A file or an empty directory; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _down(current: int, device: int, below: list[str]) -> tuple[str, int] | None:
    """The next directory below that can be entered; None: there is no more."""
    while below:
        name = below.pop()
        try:
            descriptor = _entered(current, name)
        except OSError as error:
            if error.errno not in PASSED_OVER:
                raise
            continue
        if os.fstat(descriptor).st_dev == device:
            return name, descriptor
        os.close(descriptor)
    return None


def _entered(current: int, name: str) -> int:
    try:
        return open_at(current, name, FOLDER, STAY)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return os.open(name, FOLDER, dir_fd=current)  # Before Linux 5.6 a bind mount cannot be told.


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def remove(root: Path) -> None:
    """All of it; absent is fine. What is mounted in it is not entered: then it fails, and can be tried again."""

    def leave(parent: int, name: str) -> None:
        os.rmdir(name, dir_fd=parent)

    if not os.path.lexists(root):
        return
    for descriptor, entries in walk(root, leave):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=descriptor)
    root.rmdir()
