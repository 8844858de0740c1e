"""One long-lived `git cat-file`: 0.05 ms a blob, 2 ms with a process for each. Later fetches are seen."""

import os
import select
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final

from gitops.kinds.errors import Unavailable
from gitops.sync.git import end, start

BATCH: Final = 500  # Requests of 50 bytes that fit into a pipe (64 KiB) while git is blocked on its answers.
ANSWER_SECONDS_MAX: Final = 60.0


class CatFile:
    """Reads objects of one repository. After an error it must be closed: its pipe may hold half an answer."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        arguments = (f"--git-dir={directory}", "cat-file", "--batch-command", "--buffer")
        self._process = start(arguments, environment=environment, stdin=subprocess.PIPE)
        self._buffer = bytearray()

    def contents(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(id, content) for each, in order. Unavailable: an id is unknown, or git does not answer."""
        for object_id, deadline in self._asked("contents", ids):
            yield object_id, self._content(deadline)

    def sizes(self, ids: Iterable[str]) -> list[int]:
        """In order. Unavailable as for `contents`."""
        return [int(self._header(deadline)[2]) for _, deadline in self._asked("info", ids)]

    def found(self, name: str) -> str | None:
        """The full id that a name such as `refs/heads/main^{commit}` stands for; None: there is none."""
        ((_, deadline),) = self._asked("info", [name])
        header = self._line(deadline).split()
        return header[0].decode() if len(header) == 3 else None

    def close(self) -> None:
        end(self._process)

    def _asked(self, command: str, ids: Iterable[str]) -> Iterator[tuple[str, float]]:
        """Each id once its answer is on the way, and until when that may take."""
        remaining = iter(ids)
        while batch := list(islice(remaining, BATCH)):
            deadline = monotonic() + ANSWER_SECONDS_MAX
            request = "".join(f"{command} {object_id}\n" for object_id in batch) + "flush\n"
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(request.encode("ascii"))
                self._process.stdin.flush()
            except BrokenPipeError as error:
                raise Unavailable("git cat-file has ended") from error
            for object_id in batch:
                yield object_id, deadline

    def _header(self, deadline: float) -> list[bytes]:
        header = self._line(deadline).split()
        if len(header) != 3:
            raise Unavailable(f"git cat-file: {b' '.join(header).decode(errors='replace')}")
        return header

    def _line(self, deadline: float) -> bytes:
        while (newline := self._buffer.find(b"\n")) < 0:
            self._more(deadline)
        line = bytes(self._buffer[:newline])
        del self._buffer[: newline + 1]
        return line

    def _content(self, deadline: float) -> bytes:
        size = int(self._header(deadline)[2])
        while len(self._buffer) < size + 1:
            self._more(deadline)
        content = bytes(self._buffer[:size])
        del self._buffer[: size + 1]
        return content

    def _more(self, deadline: float) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], max(deadline - monotonic(), 0))
        part = os.read(descriptor, 1 << 20) if ready else b""
        if not part:
            raise Unavailable("git cat-file does not answer")
        self._buffer += part
