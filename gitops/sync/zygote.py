"""The master's side of the parser: texts go out by a socket, JSON trees come back, a child that hangs is killed.

The zygote is a fresh process with a clean environment, so nothing of the master's memory is in it: `render/child.py`.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, Literal, NamedTuple

import orjson

from gitops.kinds.errors import Unavailable
from gitops.sync.render.parse import Failure, Parsed, of_json
from gitops.sync.render.wire import Closed, receive_frame, send_frame

log = logging.getLogger(__name__)

START_SECONDS_MAX: Final = 30.0
FILE_SECONDS_MAX: Final = 10.0  # The densest 3 MB take 3 s on a busy machine.
ANSWER_BYTES_MAX: Final = 64 << 20
CHILD_FILES_MAX: Final = (
    2_000  # Then a fresh child, so that the limits on one child are limits on a few files.
)
DEATHS_MAX: Final = 20  # Of children in one look; each costs FILE_SECONDS_MAX at most.
CONFINED: Final = frozenset(("empty root", "Landlock"))  # One of them is enough.

What = Literal["manifests", "rendered", "input"]


class Parser:
    """The zygote and its children. Calls block, for a thread; any number at once."""

    def __init__(self, empty_root: Path) -> None:
        """`empty_root`: a directory of ours that stays empty, the parser's whole file system."""
        self._empty_root = empty_root
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.isolation = "not started"

    def start(self) -> None:
        """Start the zygote if it does not run. Unavailable: it does not come up."""
        with self._lock:
            self._start()

    def is_confined(self) -> bool:
        """Whether what reads a repository cannot reach our files. Unavailable: it does not come up."""
        self.start()
        return bool(CONFINED & {*self.isolation.split(", ")})

    def parse(self, files: Sequence[tuple[str, bytes]], *, what: What = "manifests") -> list[bytes | Failure]:
        """(path, content) of each file into what `unpacked` takes. What kills its child is a failure of that file.
        `what`: manifests, what a renderer put out, or what it is to read (`render/parse.py`)."""
        results: list[bytes | Failure] = []
        deaths = 0
        while len(results) < len(files):
            begun = len(results)
            with self._child() as child:
                for _, content in files[begun : begun + CHILD_FILES_MAX]:
                    failure, answer = child.ask(content, what=what)
                    results.append(failure or answer)
                    if failure:
                        deaths += 1
                        break
            if deaths > DEATHS_MAX:
                raise Unavailable(
                    f"more than {DEATHS_MAX} files cannot be parsed within their limits; the last: {files[-1][0]}"
                )
        return results

    def lines_of(self, content: bytes, index: int) -> dict[str, int]:
        """Field path -> line in document `index`; empty if it cannot be told."""
        with self._child() as child:
            failure, answer = child.ask(content, lines_of=index)
        return {} if failure else {str(path): int(line) for path, line in orjson.loads(answer).items()}

    def close(self) -> None:
        """End the zygote; its children end with their sockets."""
        with self._lock:
            self._end()

    @contextmanager
    def _child(self) -> "Iterator[_Child]":
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pidfd = self._forked(theirs)
            child = _Child(ours, pidfd)
            try:
                yield child
            finally:
                child.kill()

    def _forked(self, theirs: socket.socket) -> int:
        """A pidfd of a new child that answers on `theirs`. A zygote that has ended is started again, once."""
        with self._lock:
            for attempt in (1, 2):
                self._start()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [b"+"], [theirs.fileno()])
                    self._control.settimeout(START_SECONDS_MAX)
                    _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
                    if descriptors:
                        return descriptors[0]
                except OSError as error:
                    if attempt == 2:
                        raise Unavailable(f"the parser's process does not answer: {error}") from error
                self._end()
        raise Unavailable("the parser's process has ended")

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        self._empty_root.mkdir(parents=True, exist_ok=True)
        self._empty_root.chmod(0o555)
        ours, theirs = socket.socketpair()
        with theirs:
            command = [
                sys.executable,
                "-m",
                "gitops.sync.render.child",
                str(theirs.fileno()),
                str(self._empty_root),
            ]
            self._process = subprocess.Popen(
                command,
                env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "LANG": "C.UTF-8"},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # A terminal's Ctrl-C is for the master alone.
            )
        try:
            hello = receive_frame(ours, bytes_max=1_000, timeout_seconds=START_SECONDS_MAX)
        except (OSError, ValueError) as error:
            ours.close()
            self._end()
            raise Unavailable("the parser's process does not start") from error
        self._control, self.isolation = ours, hello.decode()
        log.info("parser started", extra={"fields": {"pid": self._process.pid, "isolation": self.isolation}})

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def unpacked(answer: bytes | Failure) -> Parsed:
    """What a file holds. Answers are kept packed: as trees they would take ten times the memory."""
    if isinstance(answer, Failure):
        return Parsed(failure=answer)
    try:
        return of_json(orjson.loads(answer))
    except (
        KeyError,
        TypeError,
        ValueError,
    ):  # The child was made to say something else: hostile, but only to its file.
        return Parsed(failure=Failure(1, "parsing it gives no answer that makes sense"))


class _Answer(NamedTuple):
    failure: Failure | None
    content: bytes


class _Child:
    def __init__(self, requests: socket.socket, pidfd: int) -> None:
        self._requests, self._pidfd = requests, pidfd

    def ask(self, content: bytes, *, what: What = "manifests", lines_of: int | None = None) -> _Answer:
        try:
            self._requests.settimeout(FILE_SECONDS_MAX)
            send_frame(self._requests, orjson.dumps({"lines_of": lines_of, "as": what}))
            send_frame(self._requests, content)
            answer = receive_frame(
                self._requests, bytes_max=ANSWER_BYTES_MAX, timeout_seconds=FILE_SECONDS_MAX
            )
        except TimeoutError:
            return _Answer(
                Failure(1, f"parsing it takes longer than {FILE_SECONDS_MAX:.0f} s", is_bomb=True), b""
            )
        except (Closed, OSError):
            return _Answer(Failure(1, "parsing it takes more memory or time than it may", is_bomb=True), b"")
        except ValueError as error:
            return _Answer(Failure(1, f"parsing it gives {error}"), b"")
        return _Answer(None, answer)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
