"""The agents that are connected, and how to ask one of them: the master's side of `gitops.client.reverse`.

A stream holds at most `WINDOW_BYTES` that its reader has not taken; credit is given as they are taken. A node that
connects again replaces its older connection, whose streams end with Unavailable.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from itertools import count
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from gitops.api.context import USER
from gitops.api.nodes import node_of
from gitops.client.reverse import STREAMS_MAX, WINDOW_BYTES, decode_chunk
from gitops.client.wire import error_of
from gitops.kinds.errors import Forbidden, GitwardError, Unavailable

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 10.0  # A dead agent is noticed within 15.
CREDIT_FROM_BYTES: Final = (
    WINDOW_BYTES // 4
)  # Smaller returns are saved up: one frame for each would be chatter.
FRAME_MAX_BYTES: Final = 1 << 20


class _Stream:
    """What came for one request and was not taken yet."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._end: GitwardError | None = None
        self._ended = False
        self._news = asyncio.Event()

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > WINDOW_BYTES:
            self.finish(Unavailable("the node sent more than it was allowed to"))
        self._news.set()

    def finish(self, error: GitwardError | None) -> None:
        if not self._ended:
            self._ended, self._end = True, error
        self._news.set()

    async def take(self) -> bytes | None:
        """The next chunk; None at the end; raises what the node reported."""
        while not self._chunks:
            if self._end is not None:
                raise self._end
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        return chunk


class _Connection:
    """One agent's WebSocket and the streams on it."""

    def __init__(self, node: str, socket: web.WebSocketResponse) -> None:
        self.node = node
        self.socket = socket
        self._streams: dict[int, _Stream] = {}
        self._ids = count(1)

    async def run(self) -> None:
        """Read frames until the connection ends; then all its streams do."""
        try:
            async for message in self.socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    number, chunk = decode_chunk(message.data)
                    if number in self._streams:
                        self._streams[number].add(bytes(chunk))
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._finish(orjson.loads(message.data))
        finally:
            for stream in self._streams.values():
                stream.finish(Unavailable(f"node {self.node}: the connection was lost"))

    async def ask(self, method: str, params: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        if len(self._streams) >= STREAMS_MAX:
            raise Unavailable(f"node {self.node}: {STREAMS_MAX} requests are open already")
        number, stream = next(self._ids), _Stream()
        self._streams[number] = stream
        done, owed_bytes = False, 0
        try:
            await self._send({"id": number, "method": method, "params": params})
            while (chunk := await stream.take()) is not None:
                yield chunk
                owed_bytes += len(chunk)
                if owed_bytes >= CREDIT_FROM_BYTES:
                    await self._send({"id": number, "credit": owed_bytes})
                    owed_bytes = 0
            done = True
        except GitwardError:
            done = True
            raise
        finally:
            del self._streams[number]
            if not done and not self.socket.closed:
                await self._send({"id": number, "cancel": True})

    async def _send(self, frame: Mapping[str, Any]) -> None:
        try:
            await self.socket.send_str(orjson.dumps(frame).decode())
        except ConnectionError as error:
            raise Unavailable(f"node {self.node}: the connection was lost") from error

    def _finish(self, frame: Mapping[str, Any]) -> None:
        stream = self._streams.get(int(frame["id"]))
        if stream is not None:
            stream.finish(error_of(frame["error"]) if "error" in frame else None)


class AgentHub:
    """Which node is connected by what. The one instance of a master is given to `make_app`."""

    def __init__(self) -> None:
        self._connections: dict[str, _Connection] = {}

    def connected(self) -> tuple[str, ...]:
        """The names of the nodes that can be asked now."""
        return tuple(sorted(self._connections))

    def ask(self, node: str, method: str, params: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The answer's bytes as they come. Close it (`aclosing`) to cancel. Unavailable: not connected, or lost."""
        connection = self._connections.get(node)
        if connection is None:
            raise Unavailable(f"node {node} is not connected to the master now")
        return connection.ask(method, params)

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """`GET /gitward/v1/nodes/{node}/connect`: an agent's connection, for as long as it lasts."""
        node = request.match_info["node"]
        if node_of(request[USER]) != node:
            raise Forbidden(
                f'nodes "{node}" is forbidden: User "{request[USER].name}" cannot connect as this node'
            )
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=FRAME_MAX_BYTES)
        await socket.prepare(request)
        connection = _Connection(node, socket)
        older = self._connections.get(node)
        self._connections[node] = connection
        if older is not None:
            await older.socket.close(message=b"replaced by a newer connection")
        log.info("agent connected", extra={"fields": {"node": node}})
        try:
            await connection.run()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("agent sent an odd frame", extra={"fields": {"node": node, "error": repr(error)}})
            await socket.close(code=aiohttp.WSCloseCode.PROTOCOL_ERROR)
        finally:
            if self._connections.get(node) is connection:
                del self._connections[node]
                log.info("agent left", extra={"fields": {"node": node}})
        return socket

    async def close(self) -> None:
        """End every connection: the master is going."""
        for connection in tuple(self._connections.values()):
            await connection.socket.close(message=b"the master is going")


HUB: Final = web.AppKey("hub", AgentHub)
