"""SPDY/3.1's frames: bytes to values and back. Pure. Source: SPDY Protocol Draft 3.1, section 2."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from gitops.api.spdy.dictionary import DICTIONARY
from gitops.kinds.errors import BadRequest

VERSION: Final = 3
HEAD_BYTES: Final = 8
FRAME_MAX_BYTES: Final = 1 << 20  # Clients send 32 KiB.
HEADERS_MAX_BYTES: Final = 16 << 10
FIN: Final = 1  # The flag of a sender's last frame on a stream.
_CONTROL: Final = 0x8000
_STREAM_MASK: Final = 0x7FFFFFFF

SYN_STREAM: Final = 1
SYN_REPLY: Final = 2
RST_STREAM: Final = 3
PING: Final = 6
GOAWAY: Final = 7

CANCEL: Final = 5  # The status of a RST_STREAM.


class Data(NamedTuple):
    stream: int
    data: bytes
    fin: bool


class Syn(NamedTuple):
    """A new stream. Names of headers are lower case."""

    stream: int
    headers: Mapping[str, str]
    fin: bool


class Reset(NamedTuple):
    stream: int


class Ping(NamedTuple):
    number: int


class GoAway(NamedTuple):
    """The peer makes no more streams."""


Frame = Data | Syn | Reset | Ping | GoAway


class Reader:
    """Bytes in pieces of any size become frames. The state of the headers' compression lasts for a connection."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Whatever is complete now; other kinds of frames are passed over. Raises BadRequest for what is no SPDY."""
        self._held += data
        while len(self._held) >= HEAD_BYTES:
            first, second = struct.unpack(">II", self._held[:HEAD_BYTES])
            size = second & 0xFFFFFF
            if size > FRAME_MAX_BYTES:
                raise BadRequest(f"a SPDY frame of {size} bytes, more than {FRAME_MAX_BYTES}")
            if len(self._held) < HEAD_BYTES + size:
                return
            body = bytes(self._held[HEAD_BYTES : HEAD_BYTES + size])
            del self._held[: HEAD_BYTES + size]
            fin = bool(second >> 24 & FIN)
            if not first >> 31:
                yield Data(first & _STREAM_MASK, body, fin)
            elif (frame := self._control(first, body, fin=fin)) is not None:
                yield frame

    def _control(self, first: int, body: bytes, *, fin: bool) -> Frame | None:
        if first >> 16 & 0x7FFF != VERSION:
            raise BadRequest(f"SPDY version {first >> 16 & 0x7FFF}, wanted {VERSION}")
        try:
            match first & 0xFFFF:
                case 1:  # SYN_STREAM: its id, another's, priority and slot, headers.
                    stream, _, _ = struct.unpack(">IIH", body[:10])
                    return Syn(stream & _STREAM_MASK, self._headers(body[10:]), fin)
                case 2 | 8:  # SYN_REPLY, HEADERS: nothing that we ask for, but the compression goes on.
                    self._headers(body[4:])
                case 3:
                    return Reset(struct.unpack(">I", body[:4])[0] & _STREAM_MASK)
                case 6:
                    return Ping(struct.unpack(">I", body[:4])[0])
                case 7:
                    return GoAway()
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise BadRequest(f"a SPDY frame that cannot be read: {error}") from error
        return None

    def _headers(self, block: bytes) -> Mapping[str, str]:
        plain = self._inflate.decompress(block, HEADERS_MAX_BYTES)
        if self._inflate.unconsumed_tail:
            raise BadRequest(f"SPDY headers of more than {HEADERS_MAX_BYTES} bytes")
        (left,), at, found = struct.unpack(">I", plain[:4]), 4, {}
        while left:
            name, at = _text(plain, at)
            value, at = _text(plain, at)
            found[name.lower()] = value
            left -= 1
        return found


def _text(plain: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack(">I", plain[at : at + 4])
    if at + 4 + size > len(plain):
        raise struct.error("a text beyond its block")
    return plain[at + 4 : at + 4 + size].decode("latin-1"), at + 4 + size


class Writer:
    """Frames as bytes. They must be sent in the order in which they were made."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def syn(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """A new stream; what a client sends."""
        return _frame(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._block(headers))

    def reply(self, stream: int) -> bytes:
        """The stream is accepted."""
        return _frame(SYN_REPLY, struct.pack(">I", stream) + self._block({}))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        texts = [text.encode("latin-1") for pair in headers.items() for text in pair]
        plain = struct.pack(">I", len(headers)) + b"".join(struct.pack(">I", len(t)) + t for t in texts)
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data(stream: int, content: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">II", stream, int(fin) << 24 | len(content)) + content


def reset(stream: int) -> bytes:
    return _frame(RST_STREAM, struct.pack(">II", stream, CANCEL))


def ping(number: int) -> bytes:
    return _frame(PING, struct.pack(">I", number))


def goaway(last_stream: int) -> bytes:
    return _frame(GOAWAY, struct.pack(">II", last_stream, 0))


def _frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", _CONTROL | VERSION, kind, len(body)) + body
