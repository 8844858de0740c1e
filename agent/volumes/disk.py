"""How much of the disk a directory takes. Blocks; runs in a thread."""

import os
import stat
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 512  # The unit of st_blocks, whatever the file system's.


def used_bytes(root: Path) -> int:
    """Of everything beneath it on its own file system: hard links once, no link followed, what goes meanwhile not."""
    seen: set[int] = set()
    total, device = 0, root.lstat().st_dev
    for _, folders, files, directory in os.fwalk(root, follow_symlinks=False, onerror=None):
        for name in (*folders, *files):
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_dev != device:
                if stat.S_ISDIR(found.st_mode):
                    folders.remove(name)
                continue
            if found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_blocks * BLOCK_BYTES
    return total
