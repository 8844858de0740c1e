"""Programs for the fake engine: coroutines with stdin, stdout, stderr and a terminal, killed when nobody attends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from agent.runtime.protocol import Session, Streams

PIPE_PIECES: Final = 4  # As a pipe, it holds little: who writes more waits for whoever reads.
STDOUT: Final = 1
STDERR: Final = 2


class Process:
    """What a program sees. `killed`: set when its session was left before its end."""

    def __init__(self, command: tuple[str, ...], streams: Streams) -> None:
        self.command, self.streams = command, streams
        self.size = (0, 0)
        self.resized = asyncio.Event()
        self.input: asyncio.Queue[bytes] = asyncio.Queue(PIPE_PIECES)  # b'': its end.
        self.output: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(PIPE_PIECES)

    async def print(self, text: str, channel: int = STDOUT) -> None:
        await self.output.put((STDOUT if self.streams.tty else channel, text.encode()))


Program = Callable[[Process], Awaitable[int]]
"""Runs to its end and gives its exit code."""


class _Running:
    def __init__(self, process: Process, task: "asyncio.Task[int]", *, own: bool) -> None:
        self._process, self._task, self._own = process, task, own

    async def read(self) -> tuple[int, bytes] | None:
        return await self._process.output.get()

    async def write(self, data: bytes) -> None:
        await self._process.input.put(data)

    async def finish(self) -> None:
        await self._process.input.put(b"")

    async def resize(self, width: int, height: int) -> None:
        self._process.size = (width, height)
        self._process.resized.set()

    async def exit_code(self) -> int | None:
        code = await self._task
        return None if self._own else code


@asynccontextmanager
async def running(
    program: Program, command: tuple[str, ...], streams: Streams, *, own: bool = False
) -> AsyncIterator[Session]:
    """One run. `own`: the container's own process, whose exit code is not an exec's."""
    process = Process(command, streams)

    async def run() -> int:
        code = await program(process)
        await process.output.put(None)
        return code

    task = asyncio.create_task(run())
    try:
        yield _Running(process, task, own=own)
    finally:
        task.cancel()
        await asyncio.wait((task,))
