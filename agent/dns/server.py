"""The sockets: wire answers from memory in the event loop's reader, everything else by parsing.

A cached answer is found by the query's bytes without its id, so flags, EDNS and the case of the name are right by
themselves. The cache is dropped whole when the table changes.
"""

import asyncio
import logging
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from agent.dns import upstream
from agent.dns.answers import Zone, failure, udp_limit
from agent.dns.table import DnsTable
from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

CACHE_ENTRIES_MAX: Final = 20_000
VARIANTS_MAX: Final = 8  # Orders of one answer's addresses that are given in turn.
HAND_OVER_ROUNDS: Final = 32  # So many times as many datagrams may have waited.
DRAIN_DATAGRAMS: Final = 64  # Per wake-up: then others have their turn.
DATAGRAM_BYTES_MAX: Final = 4096
FORWARDS_END_SECONDS: Final = 2.0  # Less than an agent waits for the end of a helper.
FORWARDS_MAX: Final = 1000
TCP_CONNECTIONS_MAX: Final = 200
TCP_IDLE_SECONDS: Final = 10.0
TCP_MESSAGE_BYTES_MAX: Final = 65_535
HEADER_BYTES: Final = 12
IP_FREEBIND: Final = 15  # linux/in.h; Python 3.11 has no name for it.


class DnsServer:
    def __init__(self, table: DnsTable) -> None:
        self._zone = Zone(table)
        self._cache: dict[bytes, list[bytes]] = {}
        self._turn = 0
        self._forwards: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._udp: socket.socket | None = None
        self._tcp: asyncio.Server | None = None

    def load(self, table: DnsTable) -> None:
        self._zone = Zone(table)
        self._cache.clear()

    async def start(self, address: str, port: int) -> None:
        self._udp = _socket(socket.SOCK_DGRAM, address, port)
        tcp = _socket(socket.SOCK_STREAM, address, port)
        self._tcp = await asyncio.start_server(self._serve, sock=tcp)
        asyncio.get_running_loop().add_reader(self._udp, self._drain, self._udp)

    async def close(self) -> None:
        if self._udp is not None:
            asyncio.get_running_loop().remove_reader(self._udp)
            self._hand_over(self._udp)
        if self._tcp is not None:
            self._tcp.close()
        if self._forwards:
            await asyncio.wait(self._forwards, timeout=FORWARDS_END_SECONDS)
        for task in tuple(self._forwards):
            task.cancel()
        if self._udp is not None:
            self._udp.close()

    def _hand_over(self, udp: socket.socket) -> None:
        """A connected socket gets no more datagrams of others: a successor does. What came before is answered."""
        with suppress(OSError):
            udp.connect(udp.getsockname())
        for _ in range(HAND_OVER_ROUNDS):
            self._drain(udp)

    def _drain(self, udp: socket.socket) -> None:
        """Benchmark: dnsperf, as fast as unbound; so no objects on the way of a hit."""
        cache = self._cache
        for _ in range(DRAIN_DATAGRAMS):
            try:
                data, client = udp.recvfrom(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # An ICMP answer to something that we sent before.
            variants = cache.get(data[2:])
            if variants is None:
                self._miss(udp, data, client)
            else:
                self._turn += 1
                _send(udp, data[:2] + variants[self._turn % len(variants)][2:], client)

    def _miss(self, udp: socket.socket, data: bytes, client: tuple[str, int]) -> None:
        query = _parse(data)
        if query is None:
            return
        answered = self._zone.answer(query)
        if answered is not None and not answered.chase:
            variants = _variants(answered.response, udp_limit(query))
            if len(self._cache) >= CACHE_ENTRIES_MAX:
                self._cache.clear()
            self._cache[data[2:]] = variants
            _send(udp, variants[0], client)
        elif len(self._forwards) >= FORWARDS_MAX:
            _send(udp, failure(query).to_wire(), client)
        else:
            self._own(self._forward_udp(udp, data, query, client))

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._forwards.add(task)
        task.add_done_callback(self._forwards.discard)

    async def _forward_udp(
        self, udp: socket.socket, data: bytes, query: dns.message.Message, client: tuple[str, int]
    ) -> None:
        answer = await self._resolve(data, query, tcp=False)
        if self._udp is udp:
            _send(udp, answer, client)

    async def _resolve(self, data: bytes, query: dns.message.Message, *, tcp: bool) -> bytes:
        """The answer by the table or by the upstreams, in wire form."""
        limit = TCP_MESSAGE_BYTES_MAX if tcp else udp_limit(query)
        answered = self._zone.answer(query)
        upstreams = self._zone.table["upstreams"]
        try:
            if answered is None:
                return await upstream.ask(upstreams, data, tcp=tcp)
            response = answered.response
            if answered.chase:
                # Stub resolvers do not follow a CNAME: they want the addresses in the same answer.
                question = dns.message.make_query(answered.chase + ".", query.question[0].rdtype)
                found = dns.message.from_wire(await upstream.ask(upstreams, question.to_wire(), tcp=True))
                response.answer.extend(found.answer)
                response.set_rcode(found.rcode())
            return response.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=False)
        except (Unavailable, dns.exception.DNSException) as error:
            log.debug("not resolved", extra={"fields": {"error": str(error)}})
            return failure(query).to_wire()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            while self._connections <= TCP_CONNECTIONS_MAX:
                async with asyncio.timeout(TCP_IDLE_SECONDS):
                    data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                query = _parse(data)
                if query is None:
                    return
                answer = await self._resolve(data, query, tcp=True)
                writer.write(len(answer).to_bytes(2, "big") + answer)
                async with asyncio.timeout(TCP_IDLE_SECONDS):
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._connections -= 1
            writer.close()


def _parse(data: bytes) -> dns.message.Message | None:
    """None: not a query; such a thing gets no answer, or two servers would answer each other for ever."""
    if len(data) < HEADER_BYTES or data[2] & 0x80:
        return None
    try:
        return dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError):
        return None


def _variants(response: dns.message.Message, limit: int) -> list[bytes]:
    """The answer's wire forms: of several addresses each comes first in its turn."""
    rrset = response.answer[-1] if response.answer else None
    if rrset is None or rrset.rdtype != dns.rdatatype.A or len(rrset) < 2:
        return [response.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=False)]
    records = list(rrset)
    wires = []
    for start in range(min(len(records), VARIANTS_MAX)):
        response.answer[-1] = dns.rrset.from_rdata_list(
            rrset.name, rrset.ttl, records[start:] + records[:start]
        )
        wires.append(response.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=False))
    return wires


def _send(udp: socket.socket, data: bytes, client: tuple[str, int]) -> None:
    try:
        udp.sendto(data, client)
    except OSError as error:
        log.debug("answer not sent", extra={"fields": {"error": str(error)}})


def _socket(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """REUSEPORT: a successor is there before the old one goes. FREEBIND: the address may come later than we do."""
    opened = socket.socket(socket.AF_INET, kind)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    opened.setblocking(False)
    opened.bind((address, port))
    return opened
