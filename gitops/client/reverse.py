"""The way back: a node has no port, so the master asks over a connection that the agent opened.

The agent opens one WebSocket to `/gitward/v1/nodes/<name>/connect`. Master to agent, JSON text frames:
`{"id", "method", "params"}` opens a stream, `{"id", "credit"}` allows that many more bytes, `{"id", "cancel": true}`
ends it. Agent to master: binary frames of a stream's bytes, its id before them as four bytes, big endian; and text
frames `{"id", "end": true}` or `{"id", "error": {"reason", "message"}}`, after which the id is free. A stream may send
`WINDOW_BYTES` and then waits for credit, so a reader that is slow or gone holds up no other stream.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from gitops.client.client import Client
from gitops.kinds.errors import BadRequest, GitwardError
from gitops.kinds.objects import micro_timestamp, moment_of

log = logging.getLogger(__name__)

WINDOW_BYTES: Final = 256 << 10
CHUNK_MAX_BYTES: Final = 32 << 10
STREAMS_MAX: Final = 256  # Per node; more are refused.
PAUSE_MIN_SECONDS: Final = 0.2
PAUSE_MAX_SECONDS: Final = 5.0
_ID_BYTES: Final = 4

Handler = Callable[[Mapping[str, Any]], AsyncGenerator[bytes, None]]
"""Answers one method: given its params, yields bytes; a `GitwardError` that it raises reaches the asking client.
The iterator is closed when the asker goes away."""


class LogRequest(NamedTuple):
    """The params of the method `logs`. `previous`: the container's attempt before the present one."""

    namespace: str
    pod: str
    pod_uid: str
    container: str
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None  # The master counts these; an agent may stop early.

    def params(self) -> dict[str, Any]:
        return {**self._asdict(), "since": self.since and micro_timestamp(self.since)}

    @staticmethod
    def of(params: Mapping[str, Any]) -> "LogRequest":
        since = params.get("since")
        return LogRequest(**{**params, "since": since and moment_of(since)})


def encode_chunk(stream: int, chunk: bytes) -> bytes:
    return stream.to_bytes(_ID_BYTES, "big") + chunk


def decode_chunk(frame: bytes) -> tuple[int, memoryview]:
    return int.from_bytes(frame[:_ID_BYTES], "big"), memoryview(frame)[_ID_BYTES:]


def connect_path(node: str) -> str:
    return f"/gitward/v1/nodes/{node}/connect"


async def serve_reverse(client: Client, node: str, handlers: Mapping[str, Handler]) -> None:
    """Answer what the master asks, for ever: reconnects with back-off (0.2 to 5 s). Stop it by cancelling."""
    pause_seconds = PAUSE_MIN_SECONDS
    while True:
        try:
            async with client.websocket(connect_path(node)) as socket:
                log.debug("way back open", extra={"fields": {"node": node}})
                pause_seconds = PAUSE_MIN_SECONDS
                await _Answering(socket, handlers).run()
        except GitwardError as error:
            log.info("way back closed", extra={"fields": {"node": node, "error": str(error)}})
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, PAUSE_MAX_SECONDS)


class _Credit:
    """How many bytes a stream may still send."""

    def __init__(self) -> None:
        self._bytes = WINDOW_BYTES
        self._more = asyncio.Event()

    def add(self, count: int) -> None:
        self._bytes += count
        self._more.set()

    async def take(self, wanted: int) -> int:
        """Some of what is wanted, at least one byte; waits while there is none."""
        while self._bytes <= 0:
            self._more.clear()
            await self._more.wait()
        taken = min(wanted, self._bytes, CHUNK_MAX_BYTES)
        self._bytes -= taken
        return taken


class _Answering:
    """The streams of one connection: each a task and its credit. All end with the connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, handlers: Mapping[str, Handler]) -> None:
        self._socket = socket
        self._handlers = handlers
        self._streams: dict[int, tuple[asyncio.Task[None], _Credit]] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(message.data), group)
            for task, _ in self._streams.values():
                task.cancel()

    def _take(self, frame: Mapping[str, Any], group: asyncio.TaskGroup) -> None:
        stream = int(frame["id"])
        if "method" in frame:
            credit = _Credit()
            task = group.create_task(self._answer(stream, frame, credit))
            self._streams[stream] = (task, credit)
            task.add_done_callback(lambda _: self._streams.pop(stream, None))
        elif stream not in self._streams:
            return  # It ended while this frame was under way.
        elif frame.get("cancel"):
            self._streams[stream][0].cancel()
        else:
            self._streams[stream][1].add(int(frame["credit"]))

    async def _answer(self, stream: int, frame: Mapping[str, Any], credit: _Credit) -> None:
        try:
            await self._send_all(stream, frame, credit)
            last: dict[str, object] = {"id": stream, "end": True}
        except GitwardError as error:
            last = {"id": stream, "error": {"reason": error.reason, "message": str(error)}}
        except Exception as error:  # The top of a stream: one bad answer must not end the others.
            log.exception("answer failed", extra={"fields": {"method": frame.get("method")}})
            last = {"id": stream, "error": {"reason": "InternalError", "message": type(error).__name__}}
        if not self._socket.closed:
            await self._socket.send_str(orjson.dumps(last).decode())

    async def _send_all(self, stream: int, frame: Mapping[str, Any], credit: _Credit) -> None:
        handler = self._handlers.get(frame["method"])
        if handler is None or len(self._streams) > STREAMS_MAX:
            raise BadRequest(f"this node answers no {frame['method']!r} now")
        async with aclosing(handler(frame.get("params") or {})) as answer:
            async for chunk in answer:
                start = 0
                while start < len(chunk):
                    size = await credit.take(len(chunk) - start)
                    await self._socket.send_bytes(encode_chunk(stream, chunk[start : start + size]))
                    start += size
