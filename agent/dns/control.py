"""One JSON line asked, one answered, over a unix socket: `hello` (which code and table), `reload` (read the file)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypedDict

import orjson

from gitops.kinds.errors import Unavailable

LINE_BYTES_MAX: Final = 4096
ANSWER_SECONDS_MAX: Final = 5.0


class Hello(TypedDict):
    version: str
    pid: int
    table: str  # Digest of the table's file, as it was when it was read.


Question = Literal["hello", "reload"]


async def serve(path: Path, answer: Callable[[Question], Hello]) -> asyncio.Server:
    _clear(path)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                line = await reader.readline()
                question = orjson.loads(line)
                if question in ("hello", "reload"):
                    writer.write(orjson.dumps(answer(question)) + b"\n")
                    await writer.drain()
        except (TimeoutError, OSError, ValueError):
            return
        finally:
            writer.close()

    return await asyncio.start_unix_server(talk, path, limit=LINE_BYTES_MAX)


def _clear(path: Path) -> None:
    """The socket of a predecessor, who may still be there: from now on we are asked."""
    path.unlink(missing_ok=True)


async def ask(path: Path, question: Question) -> Hello:
    """Raises Unavailable if nobody answers."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
            try:
                writer.write(orjson.dumps(question) + b"\n")
                answer: Hello = orjson.loads(await reader.readline())
            finally:
                writer.close()
    except (TimeoutError, OSError, ValueError) as error:
        raise Unavailable(f"DNS at {path}: {error}") from error
    return answer
