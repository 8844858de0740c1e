"""One gRPC health check: `grpc.health.v1.Health/Check` over HTTP/2 without TLS, by the library h2.

gRPC's own client would weigh twenty times as much, for one message of a few bytes. Source: grpc/doc/health-checking.md
and PROTOCOL-HTTP2.md; kubernetes/pkg/probe/grpc.
"""

import asyncio
import os
from contextlib import suppress
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from agent.probes.tally import Outcome

PATH: Final = "/grpc.health.v1.Health/Check"
USER_AGENT: Final = "kube-probe/1.35"
READ_BYTES: Final = 16 << 10
BODY_MAX_BYTES: Final = 64 << 10
SERVING: Final = 1
STATES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
OK: Final = "0"
PREFIX_BYTES: Final = 5  # Of a message: compressed or not, and four bytes of length.


async def health(host: str, port: int, service: str) -> Outcome:
    """Success is SERVING and nothing else. The caller bounds the time."""
    where = f"{host}:{port}"
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome(
            False, f'error: failed to connect gRPC service "{where}": {os.strerror(error.errno or 0)}'
        )
    try:
        return await _ask(reader, writer, where, service)
    except (ProtocolError, OSError, ValueError) as error:
        return Outcome(False, f"error: no gRPC at {where}: {error}")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str, service: str
) -> Outcome:
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", where),
        (":path", PATH),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", USER_AGENT),
    ]
    connection.send_headers(stream, headers)
    connection.send_data(stream, request(service), end_stream=True)
    answer = _Answer()
    while not answer.complete:
        writer.write(connection.data_to_send())
        await writer.drain()
        received = await reader.read(READ_BYTES)
        if not received:
            break
        for event in connection.receive_data(received):
            answer.take(event)
            if isinstance(event, DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    return answer.outcome()


class _Answer:
    def __init__(self) -> None:
        self.complete = False
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def take(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self._headers |= {str(name): str(value) for name, value in event.headers or ()}
            case DataReceived():
                self._body += (event.data or b"")[: BODY_MAX_BYTES - len(self._body)]
            case StreamEnded() | StreamReset() | ConnectionTerminated():
                self.complete = True
            case _:
                pass

    def outcome(self) -> Outcome:
        status = self._headers.get("grpc-status", "")
        if status == "12":
            return Outcome(
                False,
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
            )
        if status != OK:
            said = self._headers.get("grpc-message", "")
            return Outcome(
                False, f"error: health rpc probe failed: status {status or 'missing'} {said}".rstrip()
            )
        state = response(bytes(self._body))
        name = STATES.get(state, str(state))
        return Outcome(
            state == SERVING, f"service unhealthy (responded with {name!r})" if state != SERVING else ""
        )


def request(service: str) -> bytes:
    """HealthCheckRequest{service = 1}, as one uncompressed message."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def response(body: bytes) -> int:
    """The `status` (field 1) of a HealthCheckResponse. Raises ValueError for what is none."""
    size = int.from_bytes(body[1:PREFIX_BYTES], "big")
    message = body[PREFIX_BYTES : PREFIX_BYTES + size]
    if len(body) < PREFIX_BYTES or body[0] != 0 or len(message) != size:
        raise ValueError("the answer is no uncompressed gRPC message")
    at, state = 0, 0
    while at < size:
        key, at = _read_varint(message, at)
        if key & 7 == 0:
            value, at = _read_varint(message, at)
            state = value if key >> 3 == 1 else state
        elif key & 7 == 2:  # Length and bytes: a field that a later version may add.
            length, at = _read_varint(message, at)
            at += length
        else:
            raise ValueError("the answer is no HealthCheckResponse")
    return state


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # Seven bits in each byte.
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:  # Of ten bytes at most.
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("the answer ends in the middle of a number")
