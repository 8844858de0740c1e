"""The file in which a container may leave its last words: made for each attempt, bound into it, read when it has ended.

Anybody inside may write it, as the kubelet has it. Only its end counts, so a long one costs us nothing.
Source: kubernetes/pkg/kubelet (`makeMounts`, `getTerminationMessage`).
"""

import os
from pathlib import Path
from typing import Final

from agent.volumes.disk import DiskUse, used

MESSAGE_MAX_BYTES: Final = 4_096
ANYBODY: Final = 0o666
KEPT_ATTEMPTS: Final = 2  # As many containers of one name are kept.


def make(folder: Path, attempt: int) -> Path:
    """An empty file for this attempt, which may be there already; those of attempts that are not kept go."""
    folder.mkdir(0o755, parents=True, exist_ok=True)
    for earlier in folder.iterdir():
        if int(earlier.name) <= attempt - KEPT_ATTEMPTS:
            earlier.unlink(missing_ok=True)
    path = folder / str(attempt)
    path.touch()
    path.chmod(ANYBODY)
    return path


def use(folder: Path) -> DiskUse:
    """What all of a pod's take on disk; nothing where none was made yet, or they are just going."""
    try:
        return used(folder)
    except FileNotFoundError:
        return DiskUse()


def read(folder: Path, attempt: int) -> str | None:
    """Its last 4 KiB; None: no such file."""
    try:
        with (folder / str(attempt)).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - MESSAGE_MAX_BYTES, 0))
            return file.read(MESSAGE_MAX_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None
