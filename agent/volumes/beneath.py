"""A path inside a volume, reached without ever leaving it, whatever links a container has put there.

The answer is a descriptor, not a name: what it names cannot be changed under us. Blocks; runs in a thread.
Source: kubernetes/pkg/volume/util/subpath (CVE-2017-1002101, CVE-2021-25741).
"""

import os
import stat
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Invalid

DIRECTORY_MODE: Final = 0o755
_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(root: Path, sub_path: str) -> int:
    """A descriptor (O_PATH) of `sub_path` in `root`; a directory is made where nothing is. The caller closes it.

    Links may lead to other places in the volume, as those of a configMap do. Raises Invalid for all that leads out.
    """
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise Invalid(f"subPath: found {sub_path!r}, wanted a relative path without '..'")
    top = Path(os.path.realpath(root))
    real = Path(os.path.realpath(top / sub_path))
    if real != top and top not in real.parents:
        raise Invalid(f"subPath: {sub_path!r} leads out of its volume")
    current = os.open(top, _STEP | os.O_DIRECTORY)
    try:
        for part in real.relative_to(top).parts:
            following = _enter(current, part)
            os.close(current)
            current = following
            if stat.S_ISLNK(os.fstat(current).st_mode):
                raise Invalid(f"subPath: {sub_path!r} was changed while it was looked up")
    except BaseException:
        os.close(current)
        raise
    return current


def _enter(directory: int, name: str) -> int:
    try:
        return os.open(name, _STEP, dir_fd=directory)
    except FileNotFoundError:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=directory)
        return os.open(name, _STEP, dir_fd=directory)
