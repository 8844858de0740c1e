"""The server's side of a SPDY connection: the streams that its client makes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn, Protocol

from gitops.api.spdy import frames
from gitops.kinds.errors import BadRequest, Unavailable

STREAMS_MAX: Final = 256  # Open at once on a connection.
HELD_MAX_BYTES: Final = 256 << 10  # Of a stream, not read yet: then the connection waits.
PING_SECONDS: Final = 5.0  # While nothing is read of a client, its end shows only in what is written to it.
DATA_MAX_BYTES: Final = 32 << 10


class Transport(Protocol):
    """The bytes below."""

    async def read(self) -> bytes:
        """b'': the client has gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Waits while the client takes nothing. Raises ConnectionError when it has gone."""
        ...


class SpdyStream:
    """One stream that the client made.

    Attributes:
        gone: the client has reset it, or left.
    """

    def __init__(
        self, number: int, headers: Mapping[str, str], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self.number, self.headers = number, headers
        self.gone = False
        self.closed = False  # By us.
        self.finished = False  # By the client.
        self._write = write
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self) -> bytes:
        """What came next; b'' at its end."""
        while not self._held:
            if self.finished or self.gone:
                return b""
            self._news.clear()
            await self._news.wait()
        data = self._held.popleft()
        self._held_bytes -= len(data)
        if self._held_bytes < HELD_MAX_BYTES:
            self._room.set()
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when nobody takes it any more."""
        view = memoryview(data)
        while view:
            if self.gone or self.closed:
                raise ConnectionResetError("the client has closed this stream")
            await self._write(frames.data(self.number, bytes(view[:DATA_MAX_BYTES])))
            view = view[DATA_MAX_BYTES:]

    async def close(self) -> None:
        """Nothing more comes from us. Twice is once."""
        if not self.closed and not self.gone:
            self.closed = True
            await self._write(frames.data(self.number, b"", fin=True))

    async def until_gone(self) -> None:
        """Until the client has reset it, or left."""
        await self._gone.wait()

    # What the connection tells.

    async def took(self, data: bytes, *, fin: bool) -> None:
        """Waits while too much is held."""
        if data and not self.finished:
            await self._room.wait()
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes >= HELD_MAX_BYTES:
                self._room.clear()
        self.finished = self.finished or fin
        self._news.set()

    def leave(self) -> None:
        self.gone = True
        self._gone.set()
        self._room.set()
        self._news.set()


class SpdySession:
    """One connection. `opened` is told each new stream, which was accepted already, and must not wait long."""

    def __init__(self, transport: Transport, opened: Callable[[SpdyStream], None]) -> None:
        self._transport, self._opened = transport, opened
        self._reader, self._writer = frames.Reader(), frames.Writer()
        self._streams: dict[int, SpdyStream] = {}
        self._last = 0

    async def run(self) -> None:
        """Until the client leaves; then its streams are gone. Raises BadRequest for what is no SPDY."""
        try:
            while data := await self._transport.read():
                for frame in self._reader.feed(data):
                    await self._take(frame)
        except ConnectionError:
            return
        finally:
            for stream in self._streams.values():
                stream.leave()

    async def keep_alive(self) -> NoReturn:
        """Until the client is found to have gone: then ConnectionError."""
        number = 2  # A server's are even.
        while True:
            await asyncio.sleep(PING_SECONDS)
            await self._transport.write(frames.ping(number))
            number += 2

    async def goodbye(self) -> None:
        await self._transport.write(frames.goaway(self._last))

    async def _take(self, frame: frames.Frame) -> None:
        match frame:
            case frames.Syn():
                await self._new(frame)
            case frames.Data(number, data, fin):
                if number in self._streams:
                    await self._streams[number].took(data, fin=fin)
            case frames.Reset(number):
                if number in self._streams:
                    self._streams.pop(number).leave()
            case frames.Ping(number) if number % 2:
                await self._transport.write(frames.ping(number))
            case frames.Ping() | frames.GoAway():
                return

    async def _new(self, frame: frames.Syn) -> None:
        if frame.stream <= self._last or not frame.stream % 2:
            raise BadRequest(f"SPDY stream {frame.stream} after {self._last}: a client's are odd and grow")
        self._last = frame.stream
        self._forget()
        if len(self._streams) >= STREAMS_MAX:
            raise Unavailable(f"{STREAMS_MAX} streams are open already")
        stream = SpdyStream(frame.stream, frame.headers, self._transport.write)
        stream.finished = frame.fin
        self._streams[frame.stream] = stream
        await self._transport.write(self._writer.reply(frame.stream))
        self._opened(stream)

    def _forget(self) -> None:
        """Those that both sides have ended."""
        for number, stream in list(self._streams.items()):
            if stream.finished and stream.closed:
                del self._streams[number]
