"""Replacing the files of a volume at once, seen inside a running container: the kubelet's `..data` link.

`NAME -> ..data/NAME`, `..data -> ..<stamp>`: one rename of `..data` swaps them all. Source: kubernetes/pkg/volume/util
(`AtomicWriter`). Blocks; runs in a thread.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.volumes.content import File

DATA: Final = "..data"
DATA_NEW: Final = "..data_tmp"
DIRECTORY_MODE: Final = 0o755
DIRECTORY_MODE_GROUP: Final = 0o2775


def write(volume: Path, files: Mapping[str, File], stamp: str, group: int | None = None) -> bool:
    """Make the volume hold exactly these files; false if it did already.

    Args:
        stamp: of this content, never used before in this volume.
        group: fsGroup, which then owns all of it.
    """
    changed = not _holds(volume, files)
    if changed:
        _swap(volume, files, stamp, group)
    # Without a change too: an agent may have ended right after its swap.
    _link(volume, {path.partition("/")[0] for path in files})
    now = (volume / DATA).readlink().name
    for path in volume.iterdir():
        if path.name == DATA_NEW:
            path.unlink()
        elif path.name.startswith("..") and path.name not in (DATA, now):
            shutil.rmtree(path)
    return changed


def _swap(volume: Path, files: Mapping[str, File], stamp: str, group: int | None) -> None:
    fresh = volume / f"..{stamp}"
    _directory(fresh, group)
    for name, file in files.items():
        target = fresh / name
        for parent in reversed(target.relative_to(fresh).parents[:-1]):
            _directory(fresh / parent, group)
        _file(target, file, group)
    (volume / DATA_NEW).unlink(missing_ok=True)
    (volume / DATA_NEW).symlink_to(fresh.name)
    (volume / DATA_NEW).rename(volume / DATA)


def _holds(volume: Path, files: Mapping[str, File]) -> bool:
    data = volume / DATA
    if not data.is_symlink():
        return False
    found = {
        str(path.relative_to(data)): File(path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in data.rglob("*")
        if path.is_file()
    }
    return found == dict(files)


def _directory(path: Path, group: int | None) -> None:
    path.mkdir(exist_ok=True)
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(DIRECTORY_MODE if group is None else DIRECTORY_MODE_GROUP)


def _file(path: Path, file: File, group: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(file.content)
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, file.mode)


def _link(volume: Path, names: set[str]) -> None:
    """The links that people see: those for new names added, those for old names removed."""
    for name in names:
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"{DATA}/{name}")
    for path in volume.iterdir():
        if not path.name.startswith("..") and path.name not in names:
            path.unlink()
