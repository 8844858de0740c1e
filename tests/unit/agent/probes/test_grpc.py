"""gRPC health checks, against a server on loopback that speaks HTTP/2."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.grpc import health, request, response
from agent.probes.tally import Outcome

Headers = list[tuple[str, str]]


async def asked(service: str, status: str, body: bytes) -> tuple[Outcome, Headers, bytes]:
    """The outcome, and what the server was asked. `status`: grpc-status in the trailers."""
    seen: Headers = []
    sent = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        while received := await reader.read(1 << 16):
            for event in connection.receive_data(received):
                if isinstance(event, RequestReceived):
                    seen.extend((str(name), str(value)) for name, value in event.headers or ())
                if isinstance(event, DataReceived):
                    sent.extend(event.data or b"")
                    stream = event.stream_id
                    answer = [(":status", "200"), ("content-type", "application/grpc")]
                    connection.send_headers(stream, answer)
                    if body:
                        connection.send_data(stream, body)
                    trailers = [("grpc-status", status), ("grpc-message", "words")]
                    connection.send_headers(stream, trailers, end_stream=True)
            writer.write(connection.data_to_send())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(10):
            return await health("127.0.0.1", port, service), seen, bytes(sent)


def test_a_server_that_serves_is_healthy() -> None:
    outcome, headers, sent = asyncio.run(asked("shop.Cart", "0", b"\0\0\0\0\x02\x08\x01"))

    assert outcome == Outcome(True)
    assert (":path", "/grpc.health.v1.Health/Check") in headers
    assert ("user-agent", "kube-probe/1.35") in headers
    assert sent == b"\0\0\0\0\x0b\x0a\x09shop.Cart"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        ("0", b"\0\0\0\0\x02\x08\x02", "service unhealthy (responded with 'NOT_SERVING')"),
        ("0", b"\0\0\0\0\0", "service unhealthy (responded with 'UNKNOWN')"),
        ("5", b"", "error: health rpc probe failed: status 5 words"),
        (
            "12",
            b"",
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
        ),
    ],
)
def test_anything_else_is_a_failure(status: str, body: bytes, message: str) -> None:
    outcome, _, _ = asyncio.run(asked("", status, body))

    assert outcome == Outcome(False, message)


def against(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Outcome:
    async def main() -> Outcome:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(10):
            return await health("127.0.0.1", server.sockets[0].getsockname()[1], "")

    return asyncio.run(main())


def test_a_server_that_speaks_something_else_is_no_grpc() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    assert against(serve).ok is False


def test_a_server_that_hangs_up_is_a_failure() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert against(serve).ok is False


def test_nobody_listens() -> None:
    outcome = asyncio.run(health("127.0.0.1", 1, ""))

    assert outcome == Outcome(
        False, 'error: failed to connect gRPC service "127.0.0.1:1": Connection refused'
    )


@given(st.text(max_size=400))
def test_the_name_of_a_service_is_sent_whole(service: str) -> None:
    sent = request(service)

    assert int.from_bytes(sent[1:5], "big") == len(sent) - 5
    assert sent.endswith(service.encode())


@given(st.binary(max_size=40))
def test_whatever_a_server_answers_is_a_state_or_no_answer(body: bytes) -> None:
    try:
        state = response(body)
    except ValueError:
        return
    assert state >= 0


@given(state=st.integers(0, 3), more=st.binary(max_size=100))
def test_fields_that_a_later_version_adds_are_passed_over(state: int, more: bytes) -> None:
    message = b"\x12" + bytes((len(more),)) + more + b"\x08" + bytes((state,))

    assert response(b"\0" + len(message).to_bytes(4, "big") + message) == state
