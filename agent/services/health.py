"""`healthCheckNodePort`: tells a balancer outside whether this node has endpoints of a service; HTTP, one answer each.

Source: kube-proxy, pkg/proxy/healthcheck: 200 with at least one endpoint here, 503 with none.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Final

import orjson

from agent.services.table import HealthCheck
from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

REQUEST_SECONDS_MAX: Final = 5.0
REQUEST_BYTES_MAX: Final = 16 << 10
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 # A balancer asks from outside.


class HealthServer:
    """Listens on the port of each check."""

    def __init__(self) -> None:
        self._servers: dict[int, asyncio.Server] = {}
        self._checks: dict[int, HealthCheck] = {}

    async def apply(self, checks: Iterable[HealthCheck]) -> None:
        """Raises Unavailable naming the ports that could not be listened on; the others are."""
        self._checks = {check.port: check for check in checks}
        for port in self._servers.keys() - self._checks.keys():
            self._servers.pop(port).close()
        refused = []
        for port in self._checks.keys() - self._servers.keys():
            try:
                self._servers[port] = await asyncio.start_server(
                    partial(self._answer, port),
                    EVERYWHERE,
                    port,
                    limit=REQUEST_BYTES_MAX,
                )
            except OSError as error:
                check = self._checks[port]
                refused.append(f"{port} of {check.namespace}/{check.name}: {error.strerror or error}")
        if refused:
            raise Unavailable(f"healthCheckNodePort {'; '.join(refused)}")

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _answer(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(self._checks.get(port)))
                await writer.drain()
        writer.close()


def _response(check: HealthCheck | None) -> bytes:
    here = check.endpoints if check is not None else 0
    named = {"namespace": check.namespace, "name": check.name} if check is not None else {}
    body = orjson.dumps({"service": named, "localEndpoints": here, "serviceProxyHealthy": True})
    status = "200 OK" if here else "503 Service Unavailable"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
        f"X-Load-Balancing-Endpoint-Weight: {here}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
