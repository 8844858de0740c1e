"""How much of the disk a directory takes, in bytes and inodes. Blocks; runs in a thread."""

import errno
import os
from pathlib import Path
from typing import Final, NamedTuple

from agent.volumes.trees import walk

BLOCK_BYTES: Final = 512  # The unit of st_blocks, whatever the file system's.
TRIES: Final = 3  # Of a tree whose directories are moved while it is walked.


class DiskUse(NamedTuple):
    size_bytes: int = 0
    inodes: int = 0

    def with_more(self, other: "DiskUse") -> "DiskUse":
        return DiskUse(self.size_bytes + other.size_bytes, self.inodes + other.inodes)


def used(root: Path) -> DiskUse:
    """Of everything beneath it on its own file system: hard links once, no link followed, what goes meanwhile not.

    Of a tree that does not keep still the most that was seen.
    """
    most = DiskUse()
    for _ in range(TRIES):
        total, whole = _walked(root)
        most = max(most, total)
        if whole:
            return total
    return most


def _walked(root: Path) -> tuple[DiskUse, bool]:
    """And whether that is all of it."""
    seen: set[int] = set()  # Of what has several names.
    total, inodes, device = 0, 0, root.lstat().st_dev
    try:
        for descriptor, entries in walk(root):
            for entry in entries:
                try:
                    found = os.stat(entry.name, dir_fd=descriptor, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if found.st_dev != device or found.st_ino in seen:
                    continue
                if found.st_nlink > 1:
                    seen.add(found.st_ino)
                total += found.st_blocks * BLOCK_BYTES
                inodes += 1
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return DiskUse(total, inodes), False
    return DiskUse(total, inodes), True
