"""Requests that ask for another protocol on their connection: a WebSocket, or SPDY/3.1 of older clients."""

import asyncio
from collections import deque
from enum import StrEnum
from typing import Final

from aiohttp import web

from gitops.kinds.errors import BadRequest, Unavailable

READ_MAX_BYTES: Final = 256 << 10  # Held for a reader; more pauses the socket.


class Upgrade(StrEnum):
    WEBSOCKET = "websocket"
    SPDY = "spdy/3.1"


def upgrade_of(request: web.Request) -> Upgrade:
    """Which one is asked for. Raises BadRequest if none is that we speak."""
    connection = request.headers.get("Connection", "").lower()
    found = request.headers.get("Upgrade", "").lower()
    if "upgrade" not in connection or found not in tuple(Upgrade):
        raise BadRequest(
            "unable to upgrade: missing upgrade headers in request: websocket or SPDY/3.1 is wanted"
        )
    return Upgrade(found)


class RawConnection:
    """The bytes of a request's connection after a `101 Switching Protocols`."""

    def __init__(self, request: web.Request) -> None:
        """Raises Unavailable if the client has gone already."""
        if request.transport is None:
            raise Unavailable("the client has gone")
        self._transport, self._protocol = request.transport, request.protocol
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._ended = False
        self._paused = False
        self._news = asyncio.Event()

    async def accept(self, headers: dict[str, str]) -> web.StreamResponse:
        """Answers 101. What is returned is for the server, which must believe that the request was answered."""
        self._protocol.set_parser(self)  # type: ignore[arg-type] # It calls two methods of it, which we have.
        self._protocol.keep_alive(False)
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items())]
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        return _Answered()

    async def read(self) -> bytes:
        """b'': the client has gone."""
        while not self._held:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        data = self._held.popleft()
        self._held_bytes -= len(data)
        if self._paused and self._held_bytes < READ_MAX_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._ended or self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        await self._protocol._drain_helper()  # As aiohttp's own writers wait.

    # What aiohttp calls, as it calls its own parsers.

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._held.append(bytes(data))
        self._held_bytes += len(data)
        if self._held_bytes >= READ_MAX_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._news.set()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._news.set()


class _Answered(web.StreamResponse):
    """An answer that was given by hand."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        return

    async def write_eof(self, data: bytes = b"") -> None:
        return
