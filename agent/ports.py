"""Answers the master's `portforward`: a connection to a port on the loopback of a pod, whatever the pod listens on.

Source: kubelet, CRI `PortForward`: 127.0.0.1 first, then ::1.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from agent.network.netns import inside, of_pid
from agent.runtime.protocol import SANDBOX, Phase, Runtime
from agent.sessions import Find, states_of
from gitops.client import Handler, PortRequest
from gitops.client.streams import STDIN, Stream
from gitops.kinds.errors import BadRequest, NotFound, Unavailable

DIAL_SECONDS: Final = 10.0
READ_MAX_BYTES: Final = 32 << 10
LOOPBACKS: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[int, int], Awaitable[Connection]]
"""Given the pid of a pod's sandbox and a port. Raises Unavailable."""


def port_handler(runtime: Runtime, pods: Find, dial: Dial) -> Handler:
    """The method `portforward` of the way back. The stream ends when the pod's side does."""

    async def forward(params: Mapping[str, Any], stream: Stream) -> None:
        asked = PortRequest.of(params)
        if not 0 < asked.port < 1 << 16:
            raise BadRequest(f"port: found {asked.port}, wanted 1 to 65535")
        states = await states_of(runtime, pods, asked.pod, asked.namespace, asked.pod_uid)
        sandbox = next((s for s in states if s.container == SANDBOX and s.phase is Phase.RUNNING), None)
        if sandbox is None:
            raise NotFound(f'pods "{asked.pod}" has no sandbox that runs')
        reader, writer = await dial(sandbox.pid, asked.port)
        feeding = asyncio.create_task(_feed(writer, stream))
        try:
            with suppress(ConnectionError):  # A reset from the pod is an end like any other.
                while data := await reader.read(READ_MAX_BYTES):
                    await stream.send(STDIN, data)
            await stream.finish(STDIN)
        finally:
            feeding.cancel()
            await asyncio.wait((feeding,))
            writer.close()

    return forward


async def _feed(writer: asyncio.StreamWriter, stream: Stream) -> None:
    """What the client sends, its half-close too."""
    while (piece := await stream.receive()) is not None:
        with suppress(OSError):  # The pod takes no more: its own end, which is read, decides.
            if piece.data:
                writer.write(piece.data)
                await writer.drain()
            elif writer.can_write_eof():
                writer.write_eof()


async def dial_loopback(pid: int, port: int) -> Connection:
    """Into the network namespace of a sandbox: a socket stays in the namespace that it was made in."""
    refused = ""
    for family, address in LOOPBACKS:
        try:
            made = await asyncio.to_thread(inside, of_pid(pid), lambda one=family: socket.socket(one))
        except OSError as error:
            raise Unavailable(f"the pod's network is gone: {error.strerror or error}") from error
        made.setblocking(False)
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
            return await asyncio.open_connection(sock=made)
        except (OSError, TimeoutError) as error:
            made.close()
            refused = refused or f"dial tcp {address}:{port}: {getattr(error, 'strerror', '') or 'no answer'}"
        except asyncio.CancelledError:
            made.close()
            raise
    raise Unavailable(refused)


async def dial_simulated(_pid: int, port: int) -> Connection:
    raise Unavailable(f"dial tcp 127.0.0.1:{port}: a simulated pod listens on nothing")
