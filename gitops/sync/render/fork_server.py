"""The other side of `forks.py`: a loop that forks a process for each order, and answers with a pidfd of it."""

import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from gitops.sync.render.wire import send_frame

REAP_SECONDS: Final = 1.0


def say_nothing(nothing: int) -> None:
    """`nothing`: /dev/null, opened while there was one. A traceback would show what a repository holds."""
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def serve_forks(
    control: socket.socket, hello: str, run: Callable[[Sequence[int]], NoReturn], *, descriptors_max: int
) -> None:
    """Until the master is gone. `run`: what a forked process does with its order's descriptors; it never returns."""
    send_frame(control, hello.encode())
    children = 0
    while True:
        ready, _, _ = select.select([control], [], [], REAP_SECONDS if children else None)
        children -= _reaped()
        if not ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1, descriptors_max)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            run(descriptors)
        children += 1
        for descriptor in descriptors:
            os.close(descriptor)
        pidfd = os.pidfd_open(pid)
        socket.send_fds(control, [b"+"], [pidfd])
        os.close(pidfd)


def _reaped() -> int:
    count = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            count += 1
    except ChildProcessError:
        pass
    return count
