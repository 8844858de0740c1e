"""What the parser gives up before it reads a byte of a repository: files, network, privileges. Linux only, by ctypes.

As root: an empty root directory, a network namespace with nothing in it and a numeric user of our own. Without root: a
user namespace that allows the same, else Landlock. Each step that this host refuses is left out; what holds is told.
"""

import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Sequence
from typing import Final

UID: Final = 61_099  # In no range of Debian's or systemd's (systemd UIDS-GIDS: 60706 to 61183 are unused).
MEMORY_BYTES_MAX: Final = 1 << 30  # A 3 MB document takes 200 MB; a runaway takes everything.
CPU_SECONDS_MAX: Final = 30
LIFE_SECONDS_MAX: Final = 120
OPEN_FILES_MAX: Final = 16

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
CLONE_NEWIPC: Final = 0x08000000
READ: Final = 1 << 2 | 1 << 3  # Landlock's rights: files and directories.
EXECUTE: Final = 1 << 0 | 1 << 2

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_LANDLOCK: Final = (444, 445, 446)  # create_ruleset, add_rule, restrict_self; the same on every architecture.
_PATH_BENEATH: Final = 1
_LANDLOCK_FILES: Final = (1 << 13) - 1  # Every right of ABI 1, so nothing is allowed.
_LANDLOCK_TCP: Final = 3  # bind and connect, from ABI 4 on.


def isolate(empty_root: str) -> str:
    """Give up what can be given up; says what that was ("none": nothing)."""
    libc = ctypes.CDLL(None, use_errno=True)
    held = []
    if os.getuid() == 0:
        held += ["own network namespace"] if unshare(libc, CLONE_NEWNET | CLONE_NEWIPC) else []
        held += ["empty root"] if _empty_root(empty_root) else []
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        held.append(f"uid {UID}")
    elif unshare(libc, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC):
        held.append("user namespace without network")
        held += ["empty root"] if _empty_root(empty_root) else []
    no_new_privileges(libc)
    held += ["Landlock"] if landlock(libc) else []
    return ", ".join(held) or "none"


def limit() -> None:
    """The limits of one child. Its end by any of them is seen by whoever waits for its answer."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, LIFE_SECONDS_MAX)


def no_new_privileges(libc: ctypes.CDLL) -> None:
    """Of no file either; and children of one user cannot look into each other."""
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def unshare(libc: ctypes.CDLL, flags: int) -> bool:
    """Whether the host allows it."""
    return bool(libc.unshare(flags) == 0)


def _empty_root(path: str) -> bool:
    try:
        os.chroot(path)
        os.chdir("/")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return False
        raise
    return True


def landlock(libc: ctypes.CDLL, allowed: Sequence[tuple[int, int]] = ()) -> bool:
    """Nothing of the file system but `allowed`: (descriptor, rights) of a file, or of a directory and all below it.
    From ABI 4 on no TCP either. False: this kernel has no Landlock."""
    create, add, restrict = _LANDLOCK
    version = libc.syscall(create, None, 0, 1)
    if version < 1:
        return False
    attributes = struct.pack("QQ", _LANDLOCK_FILES, _LANDLOCK_TCP)[: 16 if version >= 4 else 8]
    ruleset = libc.syscall(create, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    added = [
        libc.syscall(add, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
        for descriptor, rights in allowed
    ]
    done = libc.syscall(restrict, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done and not any(added))
