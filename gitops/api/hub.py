"""The agents that are connected, and how to ask one of them: the master's side of `gitops.client.reverse`.

A stream holds at most `WINDOW_BYTES` that its reader has not taken; credit is given as they are taken. A node that
connects again replaces its older connection, whose streams end with Unavailable.
"""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from gitops.api.context import USER
from gitops.api.nodes import node_of
from gitops.client.reverse import STREAMS_MAX
from gitops.client.streams import Stream, decode_piece
from gitops.client.wire import error_of
from gitops.kinds.errors import Forbidden, Unavailable

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 10.0  # A dead agent is noticed within 15.
SCOPE_STREAMS_MAX: Final = 64
FRAME_MAX_BYTES: Final = 1 << 20


class _Connection:
    """One agent's WebSocket and the streams on it."""

    def __init__(self, node: str, socket: web.WebSocketResponse) -> None:
        self.node = node
        self.socket = socket
        self._streams: dict[int, Stream] = {}
        self._of_scope: Counter[str] = Counter()
        self._ids = count(1)

    async def run(self) -> None:
        """Read frames until the connection ends; then all its streams do."""
        try:
            async for message in self.socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    number, piece = decode_piece(message.data)
                    if number in self._streams:
                        self._streams[number].arrived(piece)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._told(orjson.loads(message.data))
        finally:
            for stream in self._streams.values():
                stream.over(Unavailable(f"node {self.node}: the connection was lost"))

    @asynccontextmanager
    async def open(self, method: str, params: Mapping[str, Any], scope: str) -> AsyncIterator[Stream]:
        if len(self._streams) >= STREAMS_MAX:
            raise Unavailable(f"node {self.node}: {STREAMS_MAX} requests are open already")
        if scope and self._of_scope[scope] >= SCOPE_STREAMS_MAX:
            raise Unavailable(f"node {self.node}: {SCOPE_STREAMS_MAX} requests to this pod are open already")
        stream = Stream(next(self._ids), self._send)
        self._streams[stream.number] = stream
        self._of_scope[scope] += 1
        try:
            await self._send(_text({"id": stream.number, "method": method, "params": params}))
            yield stream
        finally:
            del self._streams[stream.number]
            self._of_scope[scope] -= 1
            if not self._of_scope[scope]:
                del self._of_scope[scope]
            if not stream.ended and not self.socket.closed:
                await self._send(_text({"id": stream.number, "cancel": True}))

    async def _send(self, frame: bytes | str) -> None:
        try:
            if isinstance(frame, str):
                await self.socket.send_str(frame)
            else:
                await self.socket.send_bytes(frame)
        except ConnectionError as error:
            raise Unavailable(f"node {self.node}: the connection was lost") from error

    def _told(self, frame: Mapping[str, Any]) -> None:
        stream = self._streams.get(int(frame["id"]))
        if stream is None:
            return
        if "credit" in frame:
            stream.credited(int(frame["credit"]))
        else:
            stream.over(error_of(frame["error"]) if "error" in frame else None)


def _text(frame: Mapping[str, Any]) -> str:
    return orjson.dumps(frame).decode()


class AgentHub:
    """Which node is connected by what. The one instance of a master is given to `make_app`."""

    def __init__(self) -> None:
        self._connections: dict[str, _Connection] = {}

    def connected(self) -> tuple[str, ...]:
        """The names of the nodes that can be asked now."""
        return tuple(sorted(self._connections))

    def open(
        self, node: str, method: str, params: Mapping[str, Any], *, scope: str = ""
    ) -> AbstractAsyncContextManager[Stream]:
        """A stream both ways; leaving the block cancels what has not ended. Unavailable: not connected, or lost.

        `scope`: of one scope (a pod's uid) at most `SCOPE_STREAMS_MAX` are open at once.
        """
        connection = self._connections.get(node)
        if connection is None:
            raise Unavailable(f"node {node} is not connected to the master now")
        return connection.open(method, params, scope)

    async def ask(
        self, node: str, method: str, params: Mapping[str, Any], *, scope: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """The answer's bytes as they come. Close it (`aclosing`) to cancel. Errors as those of `open`."""
        async with self.open(node, method, params, scope=scope) as stream:
            while (piece := await stream.receive()) is not None:
                yield piece.data

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
