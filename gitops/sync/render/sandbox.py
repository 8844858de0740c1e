"""The master's side of a render: files and arguments go to a confined process, its output comes back, in bounds."""

import json
import logging
import os
import select
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Unavailable
from gitops.sync.render.box import ERROR_BYTES_MAX, ORDER_BYTES_MAX, OUTPUT_BYTES_MAX, WALL_SECONDS_MAX, End
from gitops.sync.render.forks import Forks, kill
from gitops.sync.render.wire import receive_frame, send_frame

log = logging.getLogger(__name__)

ANSWER_SECONDS_MAX: Final = WALL_SECONDS_MAX + 20.0  # Writing the files on a busy machine comes on top.
KILL_SECONDS_MAX: Final = 5.0
_SLACK_BYTES: Final = 2 << 20  # A last read may pass the bound before it is seen.


class Sandbox:
    """Starts renderers. Calls block, for threads; any number at once."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of ours; each render gets an empty one below it, which is gone afterwards."""
        self._folder = folder.absolute()  # The server runs elsewhere.
        self._forks = Forks("the renderers' sandbox", "gitops.sync.render.box")
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
                    f"the renderers' sandbox does not answer: {error or type(error).__name__}"
                ) from error
            self.isolation = str(told["held"])
            shown = errors.decode(errors="replace").replace(f"{private}/", "").replace(private, ".")
            return End(int(told["status"]), str(told["killed"]), output, shown.encode())

    def close(self) -> None:
        """End the server; keepers end with their sockets."""
        self._forks.close()

    def _answer(self, requests: socket.socket, bytes_max: int) -> bytes:
        return receive_frame(requests, bytes_max=bytes_max, timeout_seconds=ANSWER_SECONDS_MAX)

    @contextmanager
    def _keeper(self, binary: int) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                if self._forks.start():
                    log.info("renderers' sandbox started", extra={"fields": {"pid": self._forks.pid}})
                pidfd = self._forks.fork(theirs.fileno(), binary)
            try:
                yield ours
            finally:
                kill(pidfd)
                select.select([pidfd], [], [], KILL_SECONDS_MAX)  # Its folder is removed when it is gone.
                os.close(pidfd)
