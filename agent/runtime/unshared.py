"""A sandbox whose program makes its network namespace itself: until it has, it is in the node's own.

Nothing may be wired by its process number before, or the node's network would be changed.
Source: namespaces(7), netdevice(7).
"""

import asyncio
import ctypes
import fcntl
import os
import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Final

from agent.runtime.pause import USER
from gitops.kinds.errors import Invalid, Unavailable

PROC: Final = Path("/proc")
CLONE_NEWNET: Final = 0x40000000
WAIT_SECONDS: Final = 10.0  # It needs a fraction of a millisecond, once it is given a processor.
LOOK_SECONDS: Final = 0.002
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1
_NAME: Final = re.compile(r"net(/[a-zA-Z0-9_-][a-zA-Z0-9_.-]*)+")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class NotUnshared(Unavailable):
    """The program has ended instead, or does not come to it."""


async def unshared(pid: int) -> None:
    """Returns once the process has left for a namespace of its own, for good. Raises NotUnshared."""
    for _ in range(int(WAIT_SECONDS / LOOK_SECONDS)):
        try:
            if is_unshared(pid):
                return
        except OSError as error:
            raise NotUnshared(f"the sandbox's process {pid} has ended before it had a network") from error
        await asyncio.sleep(LOOK_SECONDS)
    raise NotUnshared(f"the sandbox's process {pid} is in the node's network after {WAIT_SECONDS:.0f} s")


def is_unshared(pid: int, proc: Path = PROC) -> bool:
    """It gives up root only when it has left, wherever the engine's own namespace is; so both must be so."""
    users = next(line for line in (proc / str(pid) / "status").read_text().splitlines() if line[:4] == "Uid:")
    if users.split()[1:] != [str(USER)] * 4:
        return False
    return (proc / str(pid) / "ns/net").readlink() != (proc / "self/ns/net").readlink()


async def set_up(pid: int, sysctls: Mapping[str, str]) -> None:
    """Its loopback up, as the engine leaves it, and these sysctls of its network set. Raises Invalid for a name that is
    none, Unavailable as the kernel says."""
    paths = {path_of(name): value for name, value in sysctls.items()}
    errors: list[OSError] = []

    def work() -> None:
        # A thread of its own, which never comes back from that namespace.
        thread = Thread(target=lambda: _set_up_inside(pid, paths, errors), name="sandbox")
        thread.start()
        thread.join()

    await asyncio.to_thread(work)
    if errors:
        raise Unavailable(f"sandbox: cannot set {errors[0].filename}: {errors[0].strerror}") from errors[0]


def path_of(name: str) -> Path:
    """`net.ipv4.tcp_syncookies`, or with slashes, as sysctl(8) has both: the first separator tells which."""
    first = next((letter for letter in name if letter in "./"), "")
    text = name if first == "/" else name.translate(str.maketrans("./", "/."))
    if not _NAME.fullmatch(text):
        raise Invalid(
            f"sysctl {name!r}: wanted the name of a setting of the network, such as net.core.somaxconn"
        )
    return PROC / "sys" / text


def _set_up_inside(pid: int, settings: Mapping[Path, str], errors: list[OSError]) -> None:
    try:
        descriptor = os.open(PROC / str(pid) / "ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _LIBC.setns(descriptor, CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), f"the network namespace of process {pid}")
        finally:
            os.close(descriptor)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        for path, value in settings.items():
            path.write_text(value)
    except OSError as error:
        errors.append(error)
