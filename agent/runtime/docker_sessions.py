"""exec and attach with all their streams, over connections to Docker that stop being HTTP after their first answer.

Source: Docker Engine API 1.41, "Attach to a container" (the frames of a container without a terminal).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from agent.runtime.docker_stream import CONNECT_SECONDS, FRAME_HEADER_BYTES, DockerStream, error_of
from agent.runtime.processes import end_session
from agent.runtime.protocol import Session, Streams
from gitops.kinds.errors import GitwardError, Unavailable

READ_MAX_BYTES: Final = 32 << 10
BODY_MAX_BYTES: Final = 16 << 10
POLL_MIN_SECONDS: Final = 0.02
POLL_MAX_SECONDS: Final = 1.0
RESIZE_TRIES: Final = 20  # A terminal is there only some time after its start was asked for.
RESIZE_PAUSE_SECONDS: Final = 0.1
BEGIN_SECONDS: Final = 5.0  # Within which a process that was asked for has begun, or never will.
STDOUT: Final = 1


class DockerSessions:
    """Makes sessions at one engine. `stream` asks it what is ordinary HTTP."""

    def __init__(self, host: str, api_version: str, stream: DockerStream) -> None:
        self._host, self._version, self._stream = host, api_version, stream

    @asynccontextmanager
    async def open_exec(
        self, container_id: str, command: tuple[str, ...], streams: Streams
    ) -> AsyncIterator[Session]:
        wanted = {
            "AttachStdin": streams.stdin,
            "AttachStdout": streams.stdout,
            "AttachStderr": streams.stderr and not streams.tty,
            "Tty": streams.tty,
            "Cmd": list(command),
        }
        path = f"/containers/{container_id}/exec"
        async with self._stream.ask("POST", path, body=wanted, timeout=CONNECT_SECONDS) as answer:
            exec_id = str((await answer.json())["Id"])
        start = orjson.dumps({"Detach": False, "Tty": streams.tty})
        async with self._hijacked(f"/exec/{exec_id}/start", start) as (reader, writer):
            session = _Exec(self._stream, f"/exec/{exec_id}", reader, writer, tty=streams.tty)
            try:
                yield session
            finally:
                if not session.known_to_have_ended:
                    await asyncio.shield(asyncio.ensure_future(self._kill(exec_id)))

    @asynccontextmanager
    async def attach(self, container_id: str, streams: Streams) -> AsyncIterator[Session]:
        path = f"/containers/{container_id}"
        async with self._stream.ask("GET", f"{path}/json", timeout=CONNECT_SECONDS) as answer:
            config = (await answer.json())["Config"]
        wanted = {"stdin": streams.stdin, "stdout": streams.stdout, "stderr": streams.stderr}
        query = {"stream": "1", **{name: str(int(value)) for name, value in wanted.items()}}
        if config["Tty"]:
            query["stdout"] = str(int(streams.stdout or streams.stderr))
        async with self._hijacked(f"{path}/attach?{urlencode(query)}", b"") as (reader, writer):
            yield _Session(self._stream, path, reader, writer, tty=config["Tty"])

    async def _kill(self, exec_id: str) -> None:
        """Docker has no call for it, so the process is ended by its number on the host, which is ours too."""
        with suppress(GitwardError, TimeoutError):
            async with asyncio.timeout(BEGIN_SECONDS):
                while (state := await exec_state(self._stream, exec_id))["ExitCode"] is None:
                    if state["Running"] and state["Pid"] > 1:
                        await end_session(state["Pid"])
                        return
                    await asyncio.sleep(POLL_MIN_SECONDS)

    @asynccontextmanager
    async def _hijacked(
        self, path: str, body: bytes
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A POST after whose answer the connection is the process's streams."""
        head = (
            f"POST /v{self._version}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await self._connect()
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"Docker at {self._host}: {error or type(error).__name__}") from error
        try:
            writer.write(head.encode() + body)
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._answered(reader)
            yield reader, writer
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unavailable(f"Docker at {self._host}: {error or type(error).__name__}") from error
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = self._host.removeprefix("unix://")
        if path != self._host:
            return await asyncio.open_unix_connection(path)
        address, _, port = self._host.removeprefix("tcp://").rpartition(":")
        return await asyncio.open_connection(address, int(port))

    async def _answered(self, reader: asyncio.StreamReader) -> None:
        """Raises what Docker says instead of handing the connection over."""
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status < 400:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        size = min(int(lengths[0].partition(b":")[2]) if lengths else 0, BODY_MAX_BYTES)
        raise error_of(status, await reader.readexactly(size), self._host)


class _Session:
    """A container's own process, attached. `path`: what a terminal is resized under."""

    def __init__(
        self,
        docker: DockerStream,
        path: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        tty: bool,
    ) -> None:
        self._docker, self._path, self._tty = docker, path, tty
        self._reader, self._writer = reader, writer
        self._channel, self._left = STDOUT, 0  # Of the frame that is being read.

    async def read(self) -> tuple[int, bytes] | None:
        if self._tty:
            data = await self._reader.read(READ_MAX_BYTES)
            return (STDOUT, data) if data else None
        while not self._left:
            try:
                header = await self._reader.readexactly(FRAME_HEADER_BYTES)
            except asyncio.IncompleteReadError:
                return None
            self._channel, self._left = header[0], int.from_bytes(header[4:], "big")
        data = await self._reader.read(min(self._left, READ_MAX_BYTES))
        self._left -= len(data)
        return (self._channel, data) if data else None

    async def write(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def finish(self) -> None:
        with suppress(OSError):
            self._writer.write_eof()

    async def resize(self, width: int, height: int) -> None:
        """Tried again while the engine does not know the terminal yet."""
        if not self._tty:
            return
        query = {"w": str(width), "h": str(height)}
        for _ in range(RESIZE_TRIES):
            with suppress(GitwardError):
                async with self._docker.ask("POST", f"{self._path}/resize", query, timeout=CONNECT_SECONDS):
                    return
            await asyncio.sleep(RESIZE_PAUSE_SECONDS)

    async def exit_code(self) -> int | None:
        return None


class _Exec(_Session):
    known_to_have_ended = False

    async def exit_code(self) -> int | None:
        """A process may close its output and run on."""
        pause_seconds, exec_id = POLL_MIN_SECONDS, self._path.rpartition("/")[2]
        while (code := (await exec_state(self._docker, exec_id))["ExitCode"]) is None:
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, POLL_MAX_SECONDS)
        self.known_to_have_ended = True
        return int(code)


async def exec_state(docker: DockerStream, exec_id: str) -> Mapping[str, Any]:
    """`Running`, `Pid` on the host, and `ExitCode`, which is None until the end."""
    async with docker.ask("GET", f"/exec/{exec_id}/json", timeout=CONNECT_SECONDS) as answer:
        found: Mapping[str, Any] = await answer.json()
        return found
