"""exec and attach over SPDY/3.1, for clients that do not speak WebSocket (kubectl before 1.31): a stream per channel.

Source: kubelet/pkg/cri/streaming/remotecommand/httpstream.go.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn

import orjson
from aiohttp import web

from gitops.api.spdy import SpdySession, SpdyStream
from gitops.api.upgrades import RawConnection
from gitops.client.reverse import ProcessRequest
from gitops.client.streams import RESIZE, STATUS, STDERR, STDIN, STDOUT, Piece
from gitops.kinds.errors import BadRequest, GitwardError

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io")
STATUS_FROM: Final = PROTOCOLS[:2]  # Those that end with a Status; the others with plain text.
WITHOUT_RESIZE: Final = PROTOCOLS[-1]
OPEN_SECONDS: Final = 30.0
LEAVE_SECONDS: Final = 2.0
_CHANNELS: Final = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": STATUS, "resize": RESIZE}


class SpdyLink:
    """A client's end of a process's streams."""

    def __init__(self, protocol: str, connection: RawConnection) -> None:
        self._protocol = protocol
        self._streams: dict[int, SpdyStream] = {}
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue(1)
        self._opened = asyncio.Event()
        self._gone = False
        self._readers: set[asyncio.Task[None]] = set()
        self.session = SpdySession(connection, self._open)

    def _open(self, stream: SpdyStream) -> None:
        channel = _CHANNELS.get(stream.headers.get("streamtype", ""))
        if channel is not None and channel not in self._streams:
            self._streams[channel] = stream
            if channel in (STDIN, RESIZE):
                self._readers.add(asyncio.create_task(self._read(channel, stream)))
        self._opened.set()

    async def _read(self, channel: int, stream: SpdyStream) -> None:
        while data := await stream.read():
            await self._pieces.put(Piece(channel, data))
        if channel == STDIN and not stream.gone:
            await self._pieces.put(Piece(STDIN, b""))

    async def run(self) -> None:
        """Until the client leaves."""
        try:
            await self.session.run()
        except GitwardError:
            return  # What is no SPDY is as good as gone.
        finally:
            self._gone = True
            with suppress(asyncio.QueueFull):  # Then there is something to take before the end.
                self._pieces.put_nowait(None)

    async def all_open(self, wanted: set[int]) -> None:
        """Until the client has made every stream that it asked for. Raises BadRequest after a while."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                while not wanted <= self._streams.keys():
                    self._opened.clear()
                    await self._opened.wait()
        except TimeoutError as error:
            raise BadRequest("timed out waiting for the client to create streams") from error

    async def stop(self) -> None:
        for task in self._readers:
            task.cancel()
        if self._readers:
            await asyncio.wait(self._readers)

    async def greet(self, *, stdout: bool, stderr: bool) -> None:
        return

    async def keep_alive(self) -> NoReturn:
        await self.session.keep_alive()

    async def receive(self) -> Piece | None:
        if self._gone and self._pieces.empty():
            return None
        return await self._pieces.get()

    async def send(self, channel: int, data: bytes) -> None:
        if channel in self._streams:
            await self._streams[channel].write(data)

    async def conclude(self, status: Mapping[str, Any]) -> None:
        if self._protocol in STATUS_FROM:
            await self.send(STATUS, orjson.dumps(status))
        elif status["status"] != "Success":
            await self.send(STATUS, str(status["message"]).encode())
        for stream in self._streams.values():
            await stream.close()
        await self.session.goodbye()


@asynccontextmanager
async def open_spdy(
    request: web.Request, asked: ProcessRequest
) -> AsyncIterator[tuple[web.StreamResponse, SpdyLink]]:
    """The connection as SPDY, with the streams that were asked for."""
    offered = [
        one.strip()
        for line in request.headers.getall("X-Stream-Protocol-Version", [])
        for one in line.split(",")
    ]
    protocol = next((one for one in PROTOCOLS if one in offered), "")
    if not protocol:
        raise BadRequest(f"unable to upgrade: none of {', '.join(offered) or 'nothing'} is spoken here")
    connection = RawConnection(request)
    link = SpdyLink(protocol, connection)
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol}
    response = await connection.accept(headers)
    running = asyncio.create_task(link.run())
    try:
        resizes = asked.tty and protocol != WITHOUT_RESIZE
        flags = {STDIN: asked.stdin, STDOUT: asked.stdout, STDERR: asked.stderr, RESIZE: resizes}
        await link.all_open({STATUS, *(channel for channel, wanted in flags.items() if wanted)})
        yield response, link
        await asyncio.wait((running,), timeout=LEAVE_SECONDS)  # It closes when it has read everything.
    finally:
        running.cancel()
        await asyncio.wait((running,))
        await link.stop()
