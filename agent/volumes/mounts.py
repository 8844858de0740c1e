"""Mounts by the system call, and finding our own again. Blocks; runs in a thread. Source: mount(2), proc(5)."""

import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Unavailable

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_BIND: Final = 4096
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

_OCTAL: Final = re.compile(rb"\\([0-7]{3})")
_libc: Final = ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(target: Path, *, size_bytes: int, mode: int, executable: bool) -> None:
    """A tmpfs that is never swapped out where the kernel can promise it (6.4 and later)."""
    flags = MS_NOSUID | MS_NODEV | (0 if executable else MS_NOEXEC)
    size = f",size={size_bytes}" if size_bytes else ""
    options = f"mode={mode:o}{size}"
    try:
        _mount("tmpfs", target, "tmpfs", flags, f"{options},noswap")
    except Unavailable:
        _mount("tmpfs", target, "tmpfs", flags, options)


def bind(source: str, target: Path) -> None:
    _mount(source, target, None, MS_BIND, None)


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str | None) -> None:
    result = _libc.mount(
        source.encode(), bytes(target), kind and kind.encode(), flags, options and options.encode()
    )
    if result != 0:
        code = ctypes.get_errno()
        raise Unavailable(f"mount of {kind or source} at {target}: {os.strerror(code)}")


def unmount(target: Path) -> None:
    """Gone from here at once; its memory when the last container that has it ends."""
    if _libc.umount2(bytes(target), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
        code = ctypes.get_errno()
        raise Unavailable(f"unmount of {target}: {os.strerror(code)}")


def mounts_under(root: Path) -> Iterator[Path]:
    """The mount points at or beneath a directory, the deepest first."""
    top = bytes(root).rstrip(b"/")
    points = _points(top)
    found = [Path(os.fsdecode(point)) for point in points if point == top or point.startswith(top + b"/")]
    yield from sorted(found, key=lambda point: len(point.parts), reverse=True)


def is_mounted(target: Path) -> bool:
    """Whether a file system of its own is there, as a tmpfs is: asked without the whole list."""
    return os.path.ismount(target)


def is_bound(target: Path) -> bool:
    """Whether anything is mounted there, also a part of the same file system."""
    return bytes(target) in _points(bytes(target))


def _points(root: bytes) -> Iterator[bytes]:
    """Every mount point that may lie there, one for each mount. Spaces and the like are octal numbers in the list."""
    # Its name is in every line that is of interest, but where the kernel would escape it: to look into each costs more.
    name = root.rpartition(b"/")[2]
    name = b"" if set(name) & set(b" \t\n\\#") else name
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        if name in line:
            yield _OCTAL.sub(lambda code: bytes((int(code[1], 8),)), line.split(b" ", 5)[4])
