"""What a renderer (kubectl, helm) gives up before it starts: files, network, users, privileges. Linux only, by ctypes.

As root: namespaces of its own, a tmpfs as its whole file system, a numeric user of our own. Without root: the same in
a user namespace. Where the host refuses both (in a container, say): the empty folder and Landlock. Then seccomp and
limits. What holds is told, and the caller decides whether that is enough. It runs in `box.py`'s processes.
"""

import ctypes
import os
import platform
import resource
import struct
from pathlib import Path
from typing import Final

from gitops.sync.render.isolate import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWUSER,
    EXECUTE,
    READ,
    landlock,
    no_new_privileges,
    unshare,
)

UID: Final = 61_100  # Beside the parser's: neither can send the other a signal.
CPU_SECONDS_MAX: Final = 5  # A render takes 0.07 s, a large chart 0.2 s.
MEMORY_BYTES_MAX: Final = 2 << 30  # Go reserves far more than it uses.
OPEN_FILES_MAX: Final = 64
PROCESSES_MAX: Final = 64  # Threads count.
FOLDER_BYTES_MAX: Final = 64 << 20

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWPID: Final = 0x20000000
_MS_PRIVATE: Final = 0x4000 | 1 << 18  # MS_REC too.
_MS_FLAGS: Final = 2 | 4 | 8  # nosuid, nodev, noexec.
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_SIGKILL: Final = 9
_LOAD_ARCHITECTURE: Final = (0x20, 0, 0, 4)
_LOAD_NUMBER: Final = (0x20, 0, 0, 0)
_KILL: Final = (0x06, 0, 0, 0x80000000)
_REFUSE: Final = (0x06, 0, 0, 0x00050000 | 1)  # EPERM.
_ALLOW: Final = (0x06, 0, 0, 0x7FFF0000)
_X32_FLAG: Final = 0x40000000
# Audit architecture; then socket, ptrace, mount, unshare, setns, bpf, keyctl, userfaultfd, perf_event_open.
_CALLS: Final = {
    "x86_64": (0xC000003E, (41, 101, 165, 272, 308, 321, 250, 323, 298)),
    "aarch64": (0xC00000B7, (198, 117, 40, 97, 268, 280, 219, 282, 241)),
}
_NEW_CALLS: Final = (
    425,
    428,
    429,
    430,
    431,
    432,
    442,
)  # io_uring_setup and the mount calls: equal numbers everywhere.


class Private:
    """The file system of one render: `folder`, an empty one of the host's, becomes its root where that is allowed."""

    def __init__(self, folder: str) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folder = folder
        self.held: list[str] = []

    def enter(self) -> None:
        """Afterwards the current directory is the empty folder, and ours to write, as an unprivileged user."""
        as_root = os.getuid() == 0
        spaces = _CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | _CLONE_NEWPID
        is_mounted = False
        if as_root and unshare(self._libc, spaces):
            self.held.append("own namespaces without network")
            is_mounted = self._mount()
        elif not as_root and self._has_user_namespaces():
            self._own_user_namespace(spaces)
            self.held.append("user namespace without network")
            is_mounted = True
        if as_root and not is_mounted:
            os.chown(self._folder, UID, UID)
        os.chdir(self._folder)
        if as_root or is_mounted:
            os.chroot(".")
            os.chdir("/")
            self.held.append("empty root")
        if as_root:
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            self.held.append(f"uid {UID}")

    def seal(self, binary: int) -> None:
        """From here on: reading below the current directory, and executing that one file."""
        no_new_privileges(self._libc)
        here = os.open(".", os.O_PATH | os.O_DIRECTORY)
        if landlock(self._libc, ((here, READ), (binary, EXECUTE))):
            self.held.append("Landlock")
        os.close(here)

    def limit(self) -> None:
        """The last step, in the process that becomes the renderer."""
        self._libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        for what, most in (
            (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
            (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
            (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
            (resource.RLIMIT_NPROC, PROCESSES_MAX),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))
        _filter_calls(self._libc)

    def _has_user_namespaces(self) -> bool:
        """Tried in a process of its own: hosts that allow only half of it leave one who tried with nothing."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._own_user_namespace(CLONE_NEWUSER | _CLONE_NEWNS | CLONE_NEWNET)
                status = 0
            finally:
                os._exit(status)
        return os.waitpid(pid, 0)[1] == 0

    def _own_user_namespace(self, spaces: int) -> None:
        """We are UID there, so that what we execute has none of its privileges. OSError: not allowed."""
        user, group = os.getuid(), os.getgid()
        if not unshare(self._libc, spaces | CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "user namespace")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{UID} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{UID} {group} 1")
        if not self._mount():
            raise OSError(ctypes.get_errno(), f"mount {self._folder}")

    def _mount(self) -> bool:
        options = f"size={FOLDER_BYTES_MAX},nr_inodes=50000,mode=700,uid={UID},gid={UID}".encode()
        mount = self._libc.mount
        if mount(b"none", b"/", None, ctypes.c_ulong(_MS_PRIVATE), None) != 0:
            return False
        folder = self._folder.encode()
        return bool(mount(b"tmpfs", folder, b"tmpfs", ctypes.c_ulong(_MS_FLAGS), options) == 0)


def _filter_calls(libc: ctypes.CDLL) -> None:
    """No sockets of any kind (Landlock knows TCP only), and nothing that a renderer never needs of a kernel."""
    machine = platform.machine()
    if machine not in _CALLS:
        return
    architecture, refused = _CALLS[machine]
    numbers = (*refused, *_NEW_CALLS)
    program = [_LOAD_ARCHITECTURE, (0x15, 1, 0, architecture), _KILL, _LOAD_NUMBER]
    program.append((0x35, len(numbers) + 1, 0, _X32_FLAG))
    program += [(0x15, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    program += [_ALLOW, _REFUSE]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    whole = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    if libc.prctl(_PR_SET_SECCOMP, 2, whole, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
