"""The master's side of a render: files and arguments go to a confined process, its output comes back, in bounds."""

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from gitops.kinds.errors import Unavailable
from gitops.sync.render.box import ERROR_BYTES_MAX, ORDER_BYTES_MAX, OUTPUT_BYTES_MAX, WALL_SECONDS_MAX, End
from gitops.sync.render.wire import receive_frame, send_frame

log = logging.getLogger(__name__)

START_SECONDS_MAX: Final = 30.0
ANSWER_SECONDS_MAX: Final = WALL_SECONDS_MAX + 20.0  # Writing the files on a busy machine comes on top.
KILL_SECONDS_MAX: Final = 5.0
_SLACK_BYTES: Final = 2 << 20  # A last read may pass the bound before it is seen.


class Sandbox:
    """Starts renderers. Calls block, for threads; any number at once."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of ours; each render gets an empty one below it, which is gone afterwards."""
        self._folder = folder.absolute()  # The server runs elsewhere.
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.isolation = "not started"

    def run(self, binary: int, arguments: Sequence[str], files: Sequence[tuple[str, bytes]]) -> End:
        """Run the open file `binary` in an empty folder that holds `files` (relative path, content).

        Unavailable: the sandbox itself does not work. What the renderer does wrong is in the result.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        with tempfile.TemporaryDirectory(dir=self._folder) as private, self._keeper(binary) as requests:
            order = {"folder": private, "arguments": list(arguments), "paths": [path for path, _ in files]}
            requests.settimeout(ANSWER_SECONDS_MAX)
            try:
                send_frame(requests, json.dumps(order).encode())
                for _, content in files:
                    send_frame(requests, content)
                told = json.loads(self._answer(requests, ORDER_BYTES_MAX))
                output = self._answer(requests, OUTPUT_BYTES_MAX + _SLACK_BYTES)
                errors = self._answer(requests, ERROR_BYTES_MAX + _SLACK_BYTES)
            except (OSError, ValueError) as error:
                raise Unavailable(
                    f"the renderer's sandbox does not answer: {error or type(error).__name__}"
                ) from error
            self.isolation = str(told["held"])
            shown = errors.decode(errors="replace").replace(f"{private}/", "").replace(private, ".")
            return End(int(told["status"]), str(told["killed"]), output, shown.encode())

    def close(self) -> None:
        """End the server; keepers end with their sockets."""
        with self._lock:
            self._end()

    def _answer(self, requests: socket.socket, bytes_max: int) -> bytes:
        return receive_frame(requests, bytes_max=bytes_max, timeout_seconds=ANSWER_SECONDS_MAX)

    @contextmanager
    def _keeper(self, binary: int) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pidfd = self._forked(theirs, binary)
            try:
                yield ours
            finally:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                select.select([pidfd], [], [], KILL_SECONDS_MAX)  # Its folder is removed when it is gone.
                os.close(pidfd)

    def _forked(self, theirs: socket.socket, binary: int) -> int:
        """A pidfd of a new keeper that answers on `theirs`. A server that has ended is started again, once."""
        with self._lock:
            for attempt in (1, 2):
                self._start()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [b"+"], [theirs.fileno(), binary])
                    self._control.settimeout(START_SECONDS_MAX)
                    _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
                    if descriptors:
                        return descriptors[0]
                except OSError as error:
                    if attempt == 2:
                        raise Unavailable(f"the renderer's sandbox does not answer: {error}") from error
                self._end()
        raise Unavailable("the renderer's sandbox has ended")

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gitops.sync.render.box", str(theirs.fileno())],
                env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "LANG": "C.UTF-8"},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # A terminal's Ctrl-C is for the master alone.
            )
        try:
            receive_frame(ours, bytes_max=1_000, timeout_seconds=START_SECONDS_MAX)
        except (OSError, ValueError) as error:
            ours.close()
            self._end()
            raise Unavailable("the renderer's sandbox does not start") from error
        self._control = ours
        log.info("renderers' sandbox started", extra={"fields": {"pid": self._process.pid}})

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
