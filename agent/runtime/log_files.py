"""Follows a container's json-file log itself, file after file: Docker 20.10's own follow loses or repeats lines where
it begins a new file.

Docker appends to PATH; at its limit it renames PATH to PATH.1, PATH.1 to PATH.2 and so on, and begins PATH anew. A file
that was opened stays the same file whatever it is called, so that one reads on in it to its end, and then in the next.
Source: moby/daemon/logger/loggerutils/logfile.go.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson

from agent.runtime.docker_answers import moment

FILES_MAX: Final = 5  # As we ask Docker for.
READ_MAX_BYTES: Final = 1 << 20
POLL_SECONDS: Final = 0.2


class Wanted(NamedTuple):
    """Which lines: the last `tail_lines` of what is there; none before `since`; of one `stream` or of both ('')."""

    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    stream: str = ""


class _Position(NamedTuple):
    file: IO[bytes]
    inode: int


def is_readable(path: Path) -> bool:
    """Whether the engine's files are ours to read: not where the agent's container lacks its data folder."""
    return path.is_file() and os.access(path, os.R_OK)


def files_of(path: Path) -> list[Path]:
    """The files that are there, the oldest first."""
    every = [*(path.with_name(f"{path.name}.{number}") for number in range(FILES_MAX, 0, -1)), path]
    return [one for one in every if one.exists()]


async def follow(
    path: Path, wanted: Wanted, running: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    """Lines as they were written, until the container has ended and everything is read.

    `running`: asked again and again while nothing new comes. Raises OSError where the files cannot be read.
    """
    position = await asyncio.to_thread(_begin, path, wanted)
    held, ended = b"", False
    try:
        while True:
            data = await asyncio.to_thread(position.file.read, READ_MAX_BYTES)
            if data:
                *lines, held = (held + data).split(b"\n")
                if chunk := b"".join(_shown(lines, wanted)):
                    yield chunk
            elif (successor := await asyncio.to_thread(_next, path, position)) is not None:
                # Once more: it was renamed only after its last line.
                rest = await asyncio.to_thread(position.file.read)
                *lines, held = (held + rest).split(b"\n")
                if chunk := b"".join(_shown(lines, wanted)):
                    yield chunk
                position.file.close()
                position, held = successor, b""
            elif ended:
                return
            else:
                ended = not await running()  # And then one more look: its last words may have come since.
                if not ended:
                    await asyncio.sleep(POLL_SECONDS)
    finally:
        position.file.close()


def _begin(path: Path, wanted: Wanted) -> _Position:
    """Where the wanted lines begin: of `tail_lines` by counting back, file by file."""
    files = files_of(path)
    if not files:
        raise FileNotFoundError(str(path))
    left = wanted.tail_lines
    start, offset = files[0], 0
    if left is not None:
        for one in reversed(files):
            start, (offset, found) = one, _tail(one, left)
            left -= found
            if left <= 0:
                break
    file = start.open("rb")
    file.seek(offset)
    return _Position(file, os.fstat(file.fileno()).st_ino)


def _tail(path: Path, lines: int) -> tuple[int, int]:
    """Where the last `lines` entries of a file begin, and how many of them it has."""
    found = 0
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        if not lines:
            return at, 0
        while at:
            size = min(READ_MAX_BYTES, at)
            at -= size
            file.seek(at)
            block = file.read(size)
            end = size
            while (end := block.rfind(b"\n", 0, end)) >= 0:
                if found == lines:
                    return at + end + 1, lines
                found += 1
    return 0, found


def _next(path: Path, position: _Position) -> _Position | None:
    """The file after the one that is open; None while that is the newest."""
    files = files_of(path)
    inodes = [one.stat().st_ino for one in files]
    if not files or position.inode == inodes[-1]:
        return None
    # One that is not there any more was older than all that are.
    index = inodes.index(position.inode) + 1 if position.inode in inodes else 0
    file = files[index].open("rb")
    return _Position(file, os.fstat(file.fileno()).st_ino)


def _shown(lines: list[bytes], wanted: Wanted) -> Iterator[bytes]:
    for line in lines:
        with suppress(orjson.JSONDecodeError, KeyError):  # A torn one, as after a power cut.
            entry: dict[str, Any] = orjson.loads(line)
            if wanted.stream and entry["stream"] != wanted.stream:
                continue
            if wanted.since is not None and (at := moment(entry["time"])) is not None and at < wanted.since:
                continue
            text = str(entry["log"]).encode(errors="surrogatepass")
            yield f"{entry['time']} ".encode() + text if wanted.timestamps else text
