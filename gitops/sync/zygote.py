"""The master's side of the parser: texts go out by a socket, JSON trees come back, a child that hangs is killed.

The zygote is a fresh process with a clean environment, so nothing of the master's memory is in it: `render/child.py`.
"""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

import orjson

from gitops.kinds.errors import Unavailable
from gitops.sync.render.forks import Forks, kill
from gitops.sync.render.parse import Failure, Parsed, of_json
from gitops.sync.render.wire import Closed, receive_frame, send_frame

log = logging.getLogger(__name__)

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
        self._forks = Forks("the parser's process", "gitops.sync.render.child", [str(empty_root)])

    @property
    def isolation(self) -> str:
        """What the zygote has given up."""
        return self._forks.hello or "not started"

    @property
    def pid(self) -> int | None:
        """The zygote's; None: it has not been started."""
        return self._forks.pid

    def start(self) -> None:
        """Start the zygote if it does not run. Unavailable: it does not come up."""
        self._empty_root.mkdir(parents=True, exist_ok=True)
        self._empty_root.chmod(0o555)
        if self._forks.start():
            fields = {"pid": self.pid, "isolation": self.isolation}
            log.info("parser started", extra={"fields": fields})

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
        self._forks.close()

    @contextmanager
    def _child(self) -> "Iterator[_Child]":
        self.start()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pidfd = self._forks.fork(theirs.fileno())
            child = _Child(ours, pidfd)
            try:
                yield child
            finally:
                child.kill()


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
        kill(self._pidfd)
        os.close(self._pidfd)
