"""Queries that are not the cluster's, handed to the host's own resolvers as they are."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Unavailable

UPSTREAMS_MAX: Final = 2
ATTEMPT_SECONDS: Final = 2.0
PORT: Final = 53
HEADER_BYTES: Final = 12


async def ask(upstreams: Sequence[str], query: bytes, *, tcp: bool) -> bytes:
    """The first answer, under the query's own id. Raises Unavailable if nobody answers, at once if there is nobody."""
    for address in upstreams[:UPSTREAMS_MAX]:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                answer = await (_by_tcp(address, query) if tcp else _by_udp(address, query))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
        return query[:2] + answer[2:]
    raise Unavailable("no upstream resolver answers" if upstreams else "this host has no upstream resolver")


class _Exchange(asyncio.DatagramProtocol):
    """One question and its answer, on a connected socket of its own: nobody can foretell its port."""

    def __init__(self, query: bytes, answered: "asyncio.Future[bytes]") -> None:
        self._query, self._answered = query, answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        if len(data) >= HEADER_BYTES and data[:2] == self._query[:2] and not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


async def _by_udp(address: str, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    ours = os.urandom(2) + query[2:]
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Exchange(ours, answered), remote_addr=(address, PORT)
    )
    try:
        transport.sendto(ours)
        return await answered
    finally:
        transport.close()


async def _by_tcp(address: str, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address, PORT)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


def of_host(resolv_conf: Path, *, except_for: Iterable[str]) -> list[str]:
    """The host's resolvers. `except_for`: our own address, which would ask itself."""
    try:
        lines = resolv_conf.read_text().splitlines()
    except OSError:
        return []
    found = [words[1] for line in lines if len(words := line.split()) >= 2 and words[0] == "nameserver"]
    return [address for address in found if address not in except_for and ":" not in address]
