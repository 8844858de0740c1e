"""A program for test_render_sandbox: confines itself as a renderer is, and tells what it can still do.

Arguments: the private folder, the descriptors of the renderer's binary, of where the answer goes (JSON) and of what
ends when it has been looked at from outside, and 1 or 0: whether this host shall allow namespaces.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gitops.sync.render.confine import Private

CAP_SYS_ADMIN = 21
LIMITED = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
PROBE_SECONDS_MAX = 20


def tried(act: Callable[[], Any]) -> str:
    try:
        return f"done: {act()}"
    except OSError as error:
        return f"refused: {error.strerror}"


def probes() -> dict[str, str]:
    """What Python needs for it is loaded already."""
    libc = ctypes.CDLL(None, use_errno=True)
    return {
        "user": str(os.getuid()),
        "root": ",".join(sorted(map(str, Path().iterdir()))),
        "read": tried(lambda: Path("input").read_text()),
        "host": tried(lambda: list(Path("/etc").iterdir())),
        "proc": tried(lambda: Path("/proc/self/environ").read_bytes()),
        "write": tried(lambda: Path("output").write_text("x")),
        "tcp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
        "udp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        "unix": tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)),
        "process": str(os.getpid()),
        "again": str(libc.unshare(0x10000000)),
        "root again": tried(lambda: os.setuid(0)),
        "limits": ",".join(str(resource.getrlimit(one)[1]) for one in LIMITED),
    }


def without_namespaces() -> None:
    """As in a container: root, but without CAP_SYS_ADMIN."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    held = struct.unpack("6I", data.raw)
    kept = [word & ~(1 << CAP_SYS_ADMIN) if place < 2 else word for place, word in enumerate(held)]
    assert libc.capset(header, struct.pack("6I", *kept)) == 0


def main(folder: str, binary: int, writing: int, seen: int, namespaces: bool) -> None:
    signal.alarm(PROBE_SECONDS_MAX)
    if not namespaces:
        without_namespaces()
    private = Private(folder)
    private.enter()
    Path("input").write_text("hello")
    private.seal(binary)
    inner = os.fork()  # The first process in a new space of process ids cannot be signalled by itself.
    if inner == 0:
        private.limit()
        os.write(writing, json.dumps({**probes(), "held": ", ".join(private.held)}).encode())
        return
    _, status = os.waitpid(inner, 0)
    os.close(writing)
    os.read(seen, 1)  # It is looked at from outside first.
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1")
