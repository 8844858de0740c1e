"""hostPath volumes: the path checked against its type, made where the type says so. Blocks; runs in a thread.

Source: kubernetes/pkg/volume/hostpath.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gitops.kinds.core.volumes import HostPathVolumeSource
from gitops.kinds.errors import Invalid

DIRECTORY_MODE: Final = 0o755
FILE_MODE: Final = 0o644
_TYPES: Final[Mapping[str, tuple[Callable[[int], bool], str]]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def host_path(source: HostPathVolumeSource) -> Path:
    """The path, there and of its type. Raises Invalid in Kubernetes' words if it is not."""
    path, kind = Path(source["path"]), source.get("type", "")
    if not path.is_absolute() or ".." in path.parts:
        raise Invalid(f"hostPath: found {str(path)!r}, wanted an absolute path without '..'")
    if kind in ("", "DirectoryOrCreate") and not os.path.lexists(path):
        path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
    if kind == "FileOrCreate" and not os.path.lexists(path):
        path.touch(FILE_MODE)
    if kind == "":
        return path
    if kind not in _TYPES:
        raise Invalid(f"hostPath type: found {kind!r}, wanted one of {', '.join(sorted(_TYPES))}")
    is_right, words = _TYPES[kind]
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise Invalid(f"hostPath type check failed: {path} does not exist") from None
    if not is_right(mode):
        raise Invalid(f"hostPath type check failed: {path} is not {words}")
    return path
