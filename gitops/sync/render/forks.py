"""Processes that are forked at our asking by a server of our own, whose memory holds nothing of the master's.

`fork_server.py` is the other side. The server is a fresh Python with a clean environment.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Final

from gitops.kinds.errors import Unavailable
from gitops.sync.render.wire import receive_frame

START_SECONDS_MAX: Final = 30.0
HELLO_BYTES_MAX: Final = 1_000


class Forks:
    """One server and what it forks. Calls block, for threads; any number at once."""

    def __init__(self, what: str, module: str, arguments: Sequence[str] = ()) -> None:
        """`what`: as errors call it. `module` is run with the control socket's number and `arguments`."""
        self._what, self._module, self._arguments = what, module, tuple(arguments)
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.hello = ""

    @property
    def pid(self) -> int | None:
        """The server's; None: it has not been started."""
        return self._process.pid if self._process is not None else None

    def start(self) -> bool:
        """Start the server if it does not run; whether it had to be. Unavailable: it does not come up."""
        with self._lock:
            return self._start()

    def fork(self, *descriptors: int) -> int:
        """A pidfd of a new process that has these descriptors. A server that has ended is started again, once."""
        with self._lock:
            for attempt in (1, 2):
                self._start()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [b"+"], descriptors)
                    self._control.settimeout(START_SECONDS_MAX)
                    _, answered, _, _ = socket.recv_fds(self._control, 1, 1)
                    if answered:
                        return answered[0]
                except OSError as error:
                    if attempt == 2:
                        raise Unavailable(f"{self._what} does not answer: {error}") from error
                self._end()
        raise Unavailable(f"{self._what} has ended")

    def close(self) -> None:
        """End the server; what it forked ends with its sockets."""
        with self._lock:
            self._end()

    def _start(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return False
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno()), *self._arguments],
                env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "LANG": "C.UTF-8"},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # A terminal's Ctrl-C is for the master alone.
            )
        try:
            hello = receive_frame(ours, bytes_max=HELLO_BYTES_MAX, timeout_seconds=START_SECONDS_MAX)
        except (OSError, ValueError) as error:
            ours.close()
            self._end()
            raise Unavailable(f"{self._what} does not start") from error
        self._control, self.hello = ours, hello.decode()
        return True

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def kill(pidfd: int) -> None:
    """SIGKILL to a process that may have ended. The descriptor stays open."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
