"""The hostname of a container whose sandbox was made before its pod was known: Docker gives it the sandbox's.

The engine makes a container's namespaces first and runs its program some ten milliseconds later. In between its
first process is found in its cgroup, beside that of its sandbox, and its name is set from within its UTS namespace.
Nothing holds the program back meanwhile: on a node with far more to do than it has cores it may ask first.
Source: namespaces(7), cgroups(7).
"""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, get_native_id
from time import sleep
from typing import Final, NamedTuple

CLONE_NEWUTS: Final = 0x04000000
LOOK_SECONDS: Final = 0.002
NICE: Final = -20
PROC: Final = Path("/proc")
CGROUPS: Final = Path("/sys/fs/cgroup")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Renaming(NamedTuple):
    """From the sandbox's hostname, which nothing else has, to the pod's."""

    before: str
    wanted: str
    sandbox_id: str
    sandbox_pid: int


@contextmanager
def renamed(container_id: str, change: Renaming) -> Iterator[Event]:
    """While the block starts the container, its name is set as soon as it has one; the event says that it is."""
    done, over = Event(), Event()
    watcher = Thread(target=_watch, args=(container_id, change, done, over), name="hostname", daemon=True)
    watcher.start()
    try:
        yield done
    finally:
        over.set()  # The watcher sees it at its next look, and nobody waits for that.


def rename(pid: int, change: Renaming) -> bool:
    """Whether the process is called as wanted now. Blocks; in a thread of its own, which enters the namespace."""
    found: list[bool] = []
    thread = Thread(target=lambda: found.append(_rename_here(pid, change)), name="hostname")
    thread.start()
    thread.join()
    return found == [True]


def cgroup_of(sandbox_cgroups: str, sandbox_id: str, container_id: str) -> str:
    """Where a container's cgroup is, by /proc/PID/cgroup of its sandbox; '' if that does not bear its id.

    Version 1: below the controller `pids`; version 2: the only one. Docker puts both beside each other.
    """
    for line in sandbox_cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "pids") and sandbox_id in path:
            return f"{controllers}{path.replace(sandbox_id, container_id)}".lstrip("/")
    return ""


def _watch(container_id: str, change: Renaming, done: Event, over: Event) -> None:
    with suppress(OSError):  # Of this thread alone: it has little to do, and a moment to do it in.
        os.setpriority(os.PRIO_PROCESS, get_native_id(), NICE)
    try:
        cgroups = (PROC / str(change.sandbox_pid) / "cgroup").read_text()
    except OSError:
        return
    folder = cgroup_of(cgroups, change.sandbox_id, container_id)
    if not folder:
        return
    processes = CGROUPS / folder / "cgroup.procs"
    while not over.is_set():
        with suppress(OSError):
            for pid in processes.read_text().split():
                if _rename_here(int(pid), change):
                    done.set()
                    return
        sleep(LOOK_SECONDS)


def _rename_here(pid: int, change: Renaming) -> bool:
    """In a throw-away thread. A namespace that has another name (the node's, until the engine made one) is left."""
    try:
        descriptor = os.open(PROC / str(pid) / "ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if _LIBC.setns(descriptor, CLONE_NEWUTS) != 0:
            return False
    finally:
        os.close(descriptor)
    if socket.gethostname() == change.before:
        socket.sethostname(change.wanted)
        return True
    return socket.gethostname() == change.wanted
