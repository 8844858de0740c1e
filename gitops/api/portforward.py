"""pods/portforward: connections to a pod's loopback, each a stream of its own to the pod's node.

Three ways in, as upstream: SPDY/3.1 tunnelled through a WebSocket (kubectl), SPDY/3.1 itself (older kubectl), and a
WebSocket with two channels for each port that the URL names (other clients). Source: client-go/tools/portforward,
kubelet/pkg/cri/streaming/portforward.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp import web

from gitops.api.channels import keep_alive, piece_of, websocket
from gitops.api.context import STORE, STREAMING, Target
from gitops.api.hub import HUB, AgentHub
from gitops.api.rights import authorize_stream, until_revoked
from gitops.api.spdy import SpdySession, SpdyStream, Transport
from gitops.api.status import not_found
from gitops.api.upgrades import RawConnection, Upgrade, upgrade_of
from gitops.client.reverse import PortRequest
from gitops.client.streams import STDIN, Stream
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import BadRequest, GitwardError, Unavailable
from gitops.kinds.objects import uid

PROTOCOL: Final = "portforward.k8s.io"
TUNNEL: Final = f"SPDY/3.1+{PROTOCOL}"
CHANNELS: Final = ("v4.channel.k8s.io", "")
PORTS_MAX: Final = 64

R = TypeVar("R")


async def port_forward(request: web.Request, target: Target) -> web.StreamResponse:
    authorize_stream(request, target)
    pod = request.app[STORE].view().get(POD, POD.key(target.namespace, target.name))
    if pod is None:
        raise not_found(target)
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {target.name} does not have a host assigned")
    dialer, how = _Dialer(request.app[HUB], pod), upgrade_of(request)
    if dialer.node not in request.app[HUB].connected():
        raise Unavailable(f"node {dialer.node} is not connected to the master now")
    if how is Upgrade.SPDY:
        connection = RawConnection(request)
        headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": PROTOCOL}
        response = await connection.accept(headers)
        request[STREAMING] = True
        await _guarded(request, target, _forward_spdy(connection, dialer))
        return response
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if TUNNEL in offered:
        socket = await websocket(request, (TUNNEL,))
        request[STREAMING] = True
        await _guarded(request, target, _forward_spdy(_Tunnel(socket), dialer))
    else:
        ports = ports_of(request.query.getall("ports", []))
        socket = await websocket(request, CHANNELS)
        request[STREAMING] = True
        await _guarded(request, target, _forward_channels(socket, ports, dialer))
    with suppress(ConnectionError):
        await socket.close()
    return socket


def ports_of(texts: list[str]) -> tuple[int, ...]:
    """`ports=80&ports=81` or `ports=80,81`. Raises BadRequest."""
    words = [word for text in texts for word in text.split(",")]
    if not 0 < len(words) <= PORTS_MAX:
        raise BadRequest(f'query parameter "ports": found {len(words)} ports, wanted 1 to {PORTS_MAX}')
    return tuple(_port(word) for word in words)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 1 << 16:
        return int(text)
    raise BadRequest(f"unable to parse {text[:40]!r} as a port")


async def _guarded(
    request: web.Request,
    target: Target,
    work: Coroutine[Any, Any, None],
) -> None:
    """`work` until it ends, or the right to do it does."""
    with suppress(ConnectionError, GitwardError):  # The end of the connection tells it.
        await first_of(work, until_revoked(request, target))


async def first_of(*work: Coroutine[Any, Any, R]) -> R:
    """The result of the first that ends; the others are cancelled."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return next(task for task in tasks if task in done).result()


class _Dialer:
    """Opens connections to one pod."""

    def __init__(self, hub: AgentHub, pod: Pod) -> None:
        self._hub, self._pod = hub, pod
        self.node = pod["spec"].get("nodeName", "")
        self.name = pod["metadata"].get("name", "")

    async def connect(
        self,
        port: int,
        read: Callable[[], Awaitable[bytes]],
        write: Callable[[bytes], Awaitable[None]],
    ) -> str:
        """Copies both ways until the pod's side ends or the client leaves. What went wrong, '' if nothing did.

        `read` gives b'' at the end of what the client sends: the pod sees it as a half-closed connection.
        """
        meta = self._pod["metadata"]
        asked = PortRequest(meta.get("namespace", ""), self.name, uid(self._pod), port)
        try:
            async with self._hub.open(
                self.node, "portforward", asked.params(), scope=uid(self._pod)
            ) as stream:
                feeding = asyncio.create_task(_feed(stream, read))
                try:
                    while (piece := await stream.receive()) is not None and piece.data:
                        await write(piece.data)
                finally:
                    feeding.cancel()
                    await asyncio.wait((feeding,))
        except GitwardError as error:
            return f"error forwarding port {port} to pod {self.name}, uid {uid(self._pod)}: {error}"
        except ConnectionError:
            return ""  # The client's side of this connection is gone: there is nobody to tell.
        return ""


async def _feed(stream: Stream, read: Callable[[], Awaitable[bytes]]) -> None:
    with suppress(GitwardError):  # Its end, which the other direction hears too.
        while data := await read():
            await stream.send(STDIN, data)
        await stream.finish(STDIN)


class _Tunnel:
    """The bytes of a WebSocket's binary messages."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        message = await self._socket.receive()
        while message.type is aiohttp.WSMsgType.BINARY and not message.data:
            message = await self._socket.receive()
        return bytes(message.data) if message.type is aiohttp.WSMsgType.BINARY else b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


async def _forward_spdy(transport: Transport, dialer: _Dialer) -> None:
    """For each connection the client makes two streams with the same request id: first for errors, then for data."""
    waiting: dict[str, SpdyStream] = {}
    running: set[asyncio.Task[None]] = set()

    def opened(stream: SpdyStream) -> None:
        request_id = stream.headers.get("requestid", "")
        if stream.headers.get("streamtype") == "error":
            waiting[request_id] = stream
        elif (errors := waiting.pop(request_id, None)) is not None:
            task = asyncio.create_task(_connect_pair(dialer, errors, stream))
            running.add(task)
            task.add_done_callback(running.discard)
        # Data without a stream for its errors is left: the client gives up on it.

    session = SpdySession(transport, opened)
    try:
        await first_of(session.run(), session.keep_alive())
    finally:
        for task in tuple(running):
            task.cancel()
        if running:
            await asyncio.wait(running)


async def _connect_pair(dialer: _Dialer, errors: SpdyStream, data: SpdyStream) -> None:
    wrong: str | None
    with suppress(ConnectionError):
        try:
            port = _port(data.headers.get("port", ""))
        except BadRequest as error:
            wrong = str(error)
        else:
            # One that the client resets ends at once, whether or not the pod has something to say.
            wrong = await first_of(dialer.connect(port, data.read, data.write), data.until_gone())
        if wrong:
            await errors.write(wrong.encode())
        await data.close()
        await errors.close()


async def _forward_channels(socket: web.WebSocketResponse, ports: tuple[int, ...], dialer: _Dialer) -> None:
    """Channel 2i is the data of the i-th port, 2i+1 its errors; each begins with the port, little endian."""
    inbound: list[asyncio.Queue[bytes]] = [asyncio.Queue(4) for _ in ports]

    async def connect(index: int, port: int) -> None:
        data, errors = bytes((2 * index,)), bytes((2 * index + 1,))
        for channel in (data, errors):
            await socket.send_bytes(channel + port.to_bytes(2, "little"))
        wrong = await dialer.connect(
            port, inbound[index].get, lambda content: socket.send_bytes(data + content)
        )
        if wrong:
            await socket.send_bytes(errors + wrong.encode())

    async def receive() -> None:
        while (message := await socket.receive()).type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            piece = piece_of("", message.data)
            if piece is not None and piece.data and not piece.channel % 2 and piece.channel // 2 < len(ports):
                await inbound[piece.channel // 2].put(piece.data)

    async def connect_all() -> None:
        async with asyncio.TaskGroup() as group:
            for index, port in enumerate(ports):
                group.create_task(connect(index, port))

    await first_of(receive(), connect_all(), keep_alive(socket))
