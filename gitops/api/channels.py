"""exec and attach over a WebSocket: one byte before each message says which channel it belongs to.

Source: apimachinery/pkg/util/httpstream/wsstream and remotecommand. In `v5` a client may end a channel (255 and its
number); before `v4` an error is plain text on channel 3, and success is silence.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import aiohttp
import orjson
from aiohttp import web

from gitops.client.streams import STATUS, STDERR, STDIN, STDOUT, Piece

V5: Final = "v5.channel.k8s.io"
BASE64: Final = frozenset({"base64.channel.k8s.io", "v4.base64.channel.k8s.io"})
PLAIN_STATUS: Final = frozenset({"", "channel.k8s.io", "base64.channel.k8s.io"})
PROTOCOLS: Final = (
    V5, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io",
)  # fmt: skip
CLOSE: Final = 255
MESSAGE_MAX_BYTES: Final = 4 << 20
CLOSE_SECONDS: Final = 2.0
PING_SECONDS: Final = 5.0  # While nothing is read of a client, its end shows only in what is written to it.


class WebSocketLink:
    """A client's end of a process's streams."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._protocol = socket.ws_protocol or ""

    async def greet(self, *, stdout: bool, stderr: bool) -> None:
        """An empty message, as upstream sends one: some clients wait for it."""
        await self.send(STDOUT if stdout else STDERR if stderr else STATUS, b"")

    async def keep_alive(self) -> NoReturn:
        await keep_alive(self._socket)

    async def receive(self) -> Piece | None:
        """None: the client has gone."""
        while True:
            message = await self._socket.receive()
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                return None
            if (piece := piece_of(self._protocol, message.data)) is not None:
                return piece

    async def send(self, channel: int, data: bytes) -> None:
        if self._protocol in BASE64:
            await self._socket.send_str(f"{channel}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes((channel,)) + data)

    async def conclude(self, status: Mapping[str, Any]) -> None:
        """The last word, and the end."""
        if self._protocol not in PLAIN_STATUS:
            await self.send(STATUS, orjson.dumps(status))
        elif status["status"] != "Success":
            await self.send(STATUS, str(status["message"]).encode())
        await self._socket.close()


def piece_of(protocol: str, message: bytes | str) -> Piece | None:
    """What a client's message says. None: nothing; an empty message opens a channel.

    Some clients send text where bytes are meant: its first character is the channel then.
    """
    if not message:
        return None
    if protocol in BASE64:
        text = message if isinstance(message, str) else message.decode("latin-1")
        try:
            data = base64.b64decode(text[1:], validate=True)
        except (ValueError, binascii.Error):
            return None
        return Piece(int(text[0]), data) if text[0] in "0123456789" and data else None
    raw = message.encode() if isinstance(message, str) else message
    if protocol == V5 and raw[0] == CLOSE:
        return Piece(raw[1], b"") if len(raw) > 1 and raw[1] == STDIN else None
    return Piece(raw[0], raw[1:]) if len(raw) > 1 else None


async def websocket(request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
    """An accepted WebSocket. It is not closed for silence: a client that takes nothing answers no ping either."""
    socket = web.WebSocketResponse(
        protocols=protocols, compress=False, max_msg_size=MESSAGE_MAX_BYTES, timeout=CLOSE_SECONDS
    )
    await socket.prepare(request)
    return socket


async def keep_alive(socket: web.WebSocketResponse) -> NoReturn:
    """Until the client is found to have gone: then ConnectionError."""
    while True:
        await asyncio.sleep(PING_SECONDS)
        await socket.ping()
