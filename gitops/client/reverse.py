"""The way back: a node has no port, so the master asks over a connection that the agent opened.

The agent opens one WebSocket to `/gitward/v1/nodes/<name>/connect`. Master to agent, JSON text frames:
`{"id", "method", "params"}` opens a stream, `{"id", "cancel": true}` ends it. Agent to master, text frames
`{"id", "end": true}` or `{"id", "error": {"reason", "message"}}`, after which the id is free. Both ways: binary frames
of a stream's bytes (`streams.py`), and `{"id", "credit"}`, which allows that many more.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from gitops.client.client import Client
from gitops.client.streams import STDIN, Stream, decode_piece
from gitops.kinds.errors import BadRequest, GitwardError, Unavailable
from gitops.kinds.objects import micro_timestamp, moment_of

log = logging.getLogger(__name__)

STREAMS_MAX: Final = 256  # Per node; more are refused.
PAUSE_MIN_SECONDS: Final = 0.2
PAUSE_MAX_SECONDS: Final = 5.0

Handler = Callable[[Mapping[str, Any], Stream], Awaitable[None]]
"""Answers one method: given its params and the stream. Its return ends the stream; a `GitwardError` that it raises
reaches the asking client. It is cancelled when the asker goes away, or the connection does."""


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
    stream: str = ""  # stdout or stderr alone; '': both.

    def params(self) -> dict[str, Any]:
        return {**self._asdict(), "since": self.since and micro_timestamp(self.since)}

    @staticmethod
    def of(params: Mapping[str, Any]) -> "LogRequest":
        since = params.get("since")
        return LogRequest(**{**params, "since": since and moment_of(since)})


class ProcessRequest(NamedTuple):
    """The params of the methods `exec` and `attach`. The channels are those of `streams.py`.

    The agent's first piece is `{}` on STATUS: it has begun. Its last one there is `{"exitCode": n}`, if that is known.
    A piece on RESIZE is `{"Width", "Height"}`.
    """

    namespace: str
    pod: str
    pod_uid: str
    container: str
    command: tuple[str, ...] = ()  # Of `exec` alone.
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False

    def params(self) -> dict[str, Any]:
        return self._asdict()

    @staticmethod
    def of(params: Mapping[str, Any]) -> "ProcessRequest":
        return ProcessRequest(**{**params, "command": tuple(params.get("command", ()))})


class PortRequest(NamedTuple):
    """The params of the method `portforward`: one connection to a port of the pod, its bytes on channel 0."""

    namespace: str
    pod: str
    pod_uid: str
    port: int

    def params(self) -> dict[str, Any]:
        return self._asdict()

    @staticmethod
    def of(params: Mapping[str, Any]) -> "PortRequest":
        return PortRequest(**params)


def of_bytes(answer: Callable[[Mapping[str, Any]], AsyncGenerator[bytes, None]]) -> Handler:
    """A handler that sends what `answer` yields, on channel 0."""

    async def handler(params: Mapping[str, Any], stream: Stream) -> None:
        async with aclosing(answer(params)) as chunks:
            async for chunk in chunks:
                await stream.send(STDIN, chunk)

    return handler


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


class _Answering:
    """The streams of one connection, a task for each. All end with the connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, handlers: Mapping[str, Handler]) -> None:
        self._socket = socket
        self._handlers = handlers
        self._streams: dict[int, tuple[asyncio.Task[None], Stream]] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(message.data), group)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    number, piece = decode_piece(message.data)
                    if number in self._streams:
                        self._streams[number][1].arrived(piece)
            for task, _ in self._streams.values():
                task.cancel()

    def _take(self, frame: Mapping[str, Any], group: asyncio.TaskGroup) -> None:
        number = int(frame["id"])
        if "method" in frame:
            stream = Stream(number, self._send)
            task = group.create_task(self._answer(stream, frame))
            self._streams[number] = (task, stream)
            task.add_done_callback(lambda _: self._streams.pop(number, None))
        elif number not in self._streams:
            return  # It ended while this frame was under way.
        elif frame.get("cancel"):
            self._streams[number][0].cancel()
        else:
            self._streams[number][1].credited(int(frame["credit"]))

    async def _answer(self, stream: Stream, frame: Mapping[str, Any]) -> None:
        try:
            handler = self._handlers.get(frame["method"])
            if handler is None or len(self._streams) > STREAMS_MAX:
                raise BadRequest(f"this node answers no {frame['method']!r} now")
            await handler(frame.get("params") or {}, stream)
            last: dict[str, object] = {"id": stream.number, "end": True}
        except GitwardError as error:
            last = {"id": stream.number, "error": {"reason": error.reason, "message": str(error)}}
        except Exception as error:  # The top of a stream: one bad answer must not end the others.
            log.exception("answer failed", extra={"fields": {"method": frame.get("method")}})
            last = {
                "id": stream.number,
                "error": {"reason": "InternalError", "message": type(error).__name__},
            }
        with suppress(Unavailable):  # Whoever reads the connection hears of its end too.
            await self._send(orjson.dumps(last).decode())

    async def _send(self, frame: bytes | str) -> None:
        try:
            if isinstance(frame, str):
                await self._socket.send_str(frame)
            else:
                await self._socket.send_bytes(frame)
        except ConnectionError as error:
            raise Unavailable("the connection to the master was lost") from error
