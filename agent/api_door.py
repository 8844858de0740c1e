"""The way of pods to the API server: a port of the node's address in the pod network that leads to the master.

It is used where the Service `kubernetes` has no endpoint of its own, since the master listens on loopback, which no pod
reaches. Bytes pass as they are: TLS is between pod and master, whose certificate bears the Service's address.
"""

import asyncio
import logging
import socket
from collections import Counter
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from agent.services.iptables import API_PORT
from agent.services.table import Slices, backends_of
from gitops.kinds.discovery import EndpointSlice
from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

SERVICE: Final = ("default", "kubernetes")
PORT_NAME: Final = "https"
CONNECT_SECONDS: Final = 10.0
CHUNK_BYTES: Final = 64 << 10
CONNECTIONS_MAX: Final = 1_000  # Of all pods of the node; more are closed at once.
CONNECTIONS_OF_POD_MAX: Final = 100  # A client keeps a few; a pod that keeps more takes no other's place.
# A pod that was killed with its network says no farewell, and a watch may say nothing for long.
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class ApiDoor:
    """`address`: the node's own in the pod network. `url`: of the master, as the agent reaches it."""

    def __init__(self, address: str, url: str, port: int = API_PORT) -> None:
        parts = urlsplit(url)
        self._address, self._own_port = address, port
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._of_pod: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        """Repeatable. Raises Unavailable if the port is taken."""
        if self._server is not None:
            return
        try:
            self._server = await asyncio.start_server(self._accept, self._address, self._own_port)
        except OSError as error:
            why = error.strerror or error
            where = f"{self._address}:{self._own_port}"
            raise Unavailable(f"pods cannot reach the API: {where}: {why}") from error

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def leads(self, slices: Slices) -> Slices:
        """The endpoints, with this door as that of the API where it has none that pods can reach."""
        if self._server is None or backends_of(slices.get(SERVICE, ()), PORT_NAME, "TCP").all:
            return slices
        namespace, name = SERVICE
        door: EndpointSlice = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": namespace, "name": name},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self._address], "conditions": {"ready": True}}],
            "ports": [{"name": PORT_NAME, "port": self._own_port, "protocol": "TCP"}],
        }
        return {**slices, SERVICE: (door,)}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod = str((writer.get_extra_info("peername") or ("",))[0])
        if len(self._open) >= CONNECTIONS_MAX or self._of_pod[pod] >= CONNECTIONS_OF_POD_MAX:
            facts = {"pod": pod, "of_pod": self._of_pod[pod], "open": len(self._open)}
            log.debug("a pod's connection to the API is refused", extra={"fields": facts})
            writer.close()
            return
        _keep_alive(writer)
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._open.add(task)
        self._of_pod[pod] += 1
        task.add_done_callback(lambda done: self._ended(done, pod))

    def _ended(self, task: asyncio.Task[None], pod: str) -> None:
        self._open.discard(task)
        self._of_pod[pod] -= 1
        if not self._of_pod[pod]:
            del self._of_pod[pod]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                inner_reader, inner_writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError):
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, inner_writer))
                group.create_task(_copy(inner_reader, writer))
        finally:
            writer.close()
            inner_writer.close()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    accepted: socket.socket = writer.get_extra_info("socket")
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        accepted.setsockopt(socket.IPPROTO_TCP, option, value)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; the other is told so and may finish what it says."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
