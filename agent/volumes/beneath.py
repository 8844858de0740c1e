"""A path inside a volume, reached without ever leaving it, whatever links a container puts there meanwhile.

The kernel resolves it (`openat2`, RESOLVE_BENEATH) and answers a descriptor, not a name: what it names cannot be
changed under us. Blocks; runs in a thread.
Source: openat2(2); kubernetes/pkg/volume/util/subpath (CVE-2017-1002101, CVE-2021-25741).
"""

import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Invalid, Unavailable

SYS_OPENAT2: Final = 437  # On every architecture.
RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RACES_MAX: Final = 100  # The kernel asks to try again when a rename elsewhere made it unsure.

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: Path, sub_path: str) -> int:
    """A descriptor (O_PATH) of `sub_path` in `root`; a directory is made where nothing is. The caller closes it.

    Links may lead to other places in the volume, as those of a configMap do. A directory made here has the volume's
    own mode, so that whoever may write the volume may write it. Raises Invalid for all that leads out, Unavailable
    on a kernel older than 5.6.
    """
    parts = [part for part in sub_path.split("/") if part not in ("", ".")]
    if sub_path.startswith("/") or ".." in parts or "\0" in sub_path:
        raise Invalid(f"subPath: found {sub_path!r}, wanted a relative path without '..'")
    top = os.open(os.path.realpath(root), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    current = os.dup(top)
    try:
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            following = _open(top, path, sub_path)
            if following is None:
                _make(current, parts[depth - 1], stat.S_IMODE(os.fstat(top).st_mode))
                following = _open(top, path, sub_path)
            if following is None:
                raise Invalid(f"subPath: {sub_path!r} was changed while it was looked up")
            os.close(current)
            current = following
    except OSError as error:
        os.close(current)
        raise Invalid(f"subPath: {sub_path!r}: {error.strerror}") from error
    except BaseException:
        os.close(current)
        raise
    finally:
        os.close(top)
    return current


def open_at(directory: int, path: str, flags: int, resolve: int) -> int:
    """openat2. Raises OSError: EAGAIN where renames elsewhere never let it be sure, ENOSYS before Linux 5.6."""
    how = _OpenHow(flags, 0, resolve)
    code = errno.EAGAIN
    for _ in range(RACES_MAX):
        found = _libc.syscall(
            SYS_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
        )
        if found >= 0:
            return int(found)
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), path)


def _open(top: int, path: str, asked: str) -> int | None:
    """A descriptor, None if there is nothing. Raises Invalid if a link leads out of the volume."""
    try:
        return open_at(top, path, os.O_PATH | os.O_CLOEXEC, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    except OSError as error:
        match error.errno:
            case errno.ENOENT:
                return None
            case errno.EXDEV | errno.ELOOP:
                raise Invalid(f"subPath: {asked!r} leads out of its volume") from error
            case errno.ENOSYS:
                raise Unavailable(
                    "subPath: this kernel has no openat2, which is safe against links: 5.6 or later has"
                ) from error
            case errno.EAGAIN | errno.EINTR:
                raise Invalid(f"subPath: {asked!r} was changed while it was looked up") from error
            case _:
                raise


def _make(directory: int, name: str, mode: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        return  # Somebody else's, or a link that leads nowhere: opening it says which.
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)
