"""Work inside another network namespace: in a throw-away thread, since a thread that entered one must not come back.

pyroute2 keeps one socket per thread: an `IPRoute` made in here must be used and closed in here. Python 3.11 has no
`os.setns`.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Final, Generic, TypeVar

R = TypeVar("R")

CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Job(Generic[R]):
    def __init__(self, path: Path, call: Callable[[], R]) -> None:
        self.path, self.call = path, call
        self.results: list[R] = []
        self.error: BaseException | None = None

    def __call__(self) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _LIBC.setns(descriptor, CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, f"setns: {os.strerror(number)}", str(self.path))
            finally:
                os.close(descriptor)
            self.results.append(self.call())
        except BaseException as error:  # noqa: BLE001 # Carried to the caller's thread and raised there.
            self.error = error


def inside(namespace: Path, call: Callable[[], R]) -> R:
    """Run `call` in the namespace of `namespace` (such as /proc/PID/ns/net). Blocks; what it raises is raised here."""
    job = _Job(namespace, call)
    thread = Thread(target=job, name="in-netns")
    thread.start()
    thread.join()
    if job.error is not None:
        raise job.error
    return job.results[0]


def is_ours(pid: int) -> bool:
    """Whether a process is in this very namespace: a pid may be another process's by now. Raises OSError."""
    return of_pid(pid).samefile(of_pid(os.getpid()))


def of_pid(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net")
