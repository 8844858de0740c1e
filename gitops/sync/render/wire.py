"""Frames between the master and the parser's processes: four bytes of length, then that many bytes."""

import socket
import struct
from time import monotonic
from typing import Final

_LENGTH: Final = struct.Struct(">I")


class Closed(ConnectionError):
    """The other side ended."""


def send_frame(to: socket.socket, content: bytes) -> None:
    to.sendall(_LENGTH.pack(len(content)) + content)


def receive_frame(source: socket.socket, *, bytes_max: int, timeout_seconds: float | None = None) -> bytes:
    """Raises Closed, TimeoutError, or ValueError if the frame is larger than it may be."""
    deadline = None if timeout_seconds is None else monotonic() + timeout_seconds
    (length,) = _LENGTH.unpack(_exactly(source, _LENGTH.size, deadline))
    if length > bytes_max:
        raise ValueError(f"a frame of {length} bytes, at most {bytes_max} are taken")
    return _exactly(source, length, deadline)


def _exactly(source: socket.socket, count: int, deadline: float | None) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        if deadline is not None:
            source.settimeout(max(deadline - monotonic(), 0.001))
        part = source.recv(min(count - len(taken), 1 << 20))
        if not part:
            raise Closed
        taken += part
    return bytes(taken)
