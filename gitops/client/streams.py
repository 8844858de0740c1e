"""A two-way stream between master and agent: numbered channels of bytes, each way with credit. The same at both ends.

What is not taken at one end is not sent at the other, beyond `WINDOW_BYTES`: a reader that is slow or gone holds up no
other stream. Nothing here does I/O: `reverse.py` and the API's hub hand frames in and out.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from gitops.kinds.errors import GitwardError, Unavailable

WINDOW_BYTES: Final = 256 << 10
CHUNK_MAX_BYTES: Final = 32 << 10
CREDIT_FROM_BYTES: Final = (
    WINDOW_BYTES // 4
)  # Smaller returns are saved up: a frame for each would be chatter.
_ID_BYTES: Final = 4
_HEAD_BYTES: Final = _ID_BYTES + 1

# The channels of a process's stream, as Kubernetes numbers them.
STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
STATUS: Final = 3
RESIZE: Final = 4

Send = Callable[[bytes | str], Awaitable[None]]


class Piece(NamedTuple):
    """`data` b'': nothing more comes on this channel."""

    channel: int
    data: bytes


def encode_piece(stream: int, channel: int, data: bytes) -> bytes:
    """A binary frame: the stream as four bytes, big endian; the channel; the data."""
    return stream.to_bytes(_ID_BYTES, "big") + bytes((channel,)) + data


def decode_piece(frame: bytes) -> tuple[int, Piece]:
    """Raises ValueError for a frame that is too short."""
    if len(frame) < _HEAD_BYTES:
        raise ValueError("a frame without a head")
    return int.from_bytes(frame[:_ID_BYTES], "big"), Piece(frame[_ID_BYTES], bytes(frame[_HEAD_BYTES:]))


def _cost(data: bytes) -> int:
    """The end of a channel costs as much as a byte: else a peer could send ends without a bound."""
    return len(data) or 1


class Stream:
    """One stream at one end of it.

    Attributes:
        ended: the other end has said that nothing more comes.
    """

    def __init__(self, number: int, send: Send) -> None:
        """`send`: hands a frame to the connection; raises Unavailable when that is lost."""
        self.number = number
        self._send = send
        self._credit_bytes = WINDOW_BYTES
        self._credited = asyncio.Event()
        self._pieces: deque[Piece] = deque()
        self._held_bytes = 0
        self._owed_bytes = 0
        self._news = asyncio.Event()
        self._error: GitwardError | None = None
        self.ended = False

    async def send(self, channel: int, data: bytes) -> None:
        """All of it, in pieces; waits while the other end takes nothing. Raises what ended the stream."""
        view = memoryview(data)
        while view:
            size = await self._allowed(len(view))
            await self._send(encode_piece(self.number, channel, bytes(view[:size])))
            view = view[size:]

    async def finish(self, channel: int) -> None:
        """Nothing more comes on this channel."""
        await self._allowed(1)
        await self._send(encode_piece(self.number, channel, b""))

    async def receive(self) -> Piece | None:
        """The next piece in order; None at the end of the stream. Raises what the other end reported."""
        if self._owed_bytes >= CREDIT_FROM_BYTES and not self.ended:
            owed, self._owed_bytes = self._owed_bytes, 0
            await self._send(orjson.dumps({"id": self.number, "credit": owed}).decode())
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.ended:
                return None
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        self._held_bytes -= _cost(piece.data)
        self._owed_bytes += _cost(piece.data)
        return piece

    # What the connection tells. None of these waits.

    def arrived(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._held_bytes += _cost(piece.data)
        if self._held_bytes > WINDOW_BYTES:
            self._pieces.clear()
            self.over(Unavailable("the other end sent more than it was allowed to"))
        self._news.set()

    def credited(self, count: int) -> None:
        self._credit_bytes += count
        self._credited.set()

    def over(self, error: GitwardError | None = None) -> None:
        """The other end ended it, or the connection did. What came before is still taken."""
        if not self.ended:
            self.ended, self._error = True, error
        self._news.set()
        self._credited.set()

    async def _allowed(self, wanted: int) -> int:
        """How many bytes may be sent now, at least one; waits while there are none."""
        while self._credit_bytes <= 0 and not self.ended:
            self._credited.clear()
            await self._credited.wait()
        if self.ended:
            raise self._error or Unavailable("the other end takes nothing more")
        taken = min(wanted, self._credit_bytes, CHUNK_MAX_BYTES)
        self._credit_bytes -= taken
        return taken


def json_of(piece: Piece) -> Mapping[str, Any]:
    """What a piece of the channels STATUS or RESIZE says; empty for what is no JSON object."""
    try:
        found = orjson.loads(piece.data)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
