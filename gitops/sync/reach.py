"""Where a source that an object states may connect: nowhere that only this host, or its cloud, is meant to reach.

Else a committer could have the master ask services on its loopback, or the cloud's metadata server for its keys. The
host's addresses are looked up once, judged, and git is bound to those, so that a name cannot mean something else a
moment later; redirects are not followed at all. The operator's sources are not judged. What lies in private networks
may be reached: that is where forges are. Source: OWASP, Server-Side Request Forgery; RFC 6890 for the ranges.
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

from gitops.kinds.errors import BadRequest, Unavailable
from gitops.sync.git import shown_url

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

LOOK_UP_SECONDS_MAX: Final = 15.0
METADATA: Final = (
    tuple(  # Those that are not link-local: AWS over IPv6, Alibaba, Azure, Oracle's and GCP's are.
        ip_network(text) for text in ("fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32")
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_HOST: Final = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\])"
# Stricter than any reader of URLs, so that git, curl and we see the same host.
_URL: Final = re.compile(
    rf"(?P<scheme>https|ssh)://(?:[\w.~-]+@)?{_HOST}(?::(?P<port>\d{{1,5}}))?/[^?#\\]*\Z"
)
_SCP: Final = re.compile(rf"[\w.-]+@{_HOST}:[^\\]*\Z")


class Pin(NamedTuple):
    """A host with the addresses that it has at this moment, all of which may be asked."""

    host: str  # As in the URL; an IPv6 address without its brackets.
    port: int
    addresses: tuple[str, ...]
    is_https: bool


def pinned(url: str, allowed: Sequence[Network]) -> Pin:
    """Look the URL's host up and judge it. Blocks, within bounds.

    BadRequest: a URL that could be read in two ways, or a host with an address that is refused. Unavailable: no answer.
    """
    found = _URL.match(url) or _SCP.match(url)
    if found is None:
        raise BadRequest(
            f"{shown_url(url)}: wanted https://host/path or ssh://user@host/path, with nothing else"
        )
    groups = found.groupdict()
    host, is_https = groups["host"].strip("[]"), groups.get("scheme") == "https"
    port = int(groups.get("port") or (443 if is_https else 22))
    addresses = _looked_up(host, port, shown_url(url))
    for address in addresses:
        if (why := refused(ip_address(address), allowed)) is not None:
            raise BadRequest(
                f"{shown_url(url)}: {host} is {address}, {why}: a source that an object states may not reach it; "
                "the operator may allow it by --allow-source-network"
            )
    return Pin(host, port, addresses, is_https)


def refused(address: Address, allowed: Sequence[Network]) -> str | None:
    """Why an address is not asked; None: it may be. What is embedded in an IPv6 address counts as well."""
    for one in _embedded(address) or (address,):
        if any(one in network for network in allowed if network.version == one.version):
            continue
        if any(one in network for network in METADATA if network.version == one.version):
            return "the address of a cloud's metadata server"
        for what, holds in (
            ("this host itself", one.is_loopback or one.is_unspecified),
            ("a link-local address", one.is_link_local),
            ("a multicast address", one.is_multicast),
            ("a reserved address", one.is_reserved),
        ):
            if holds:
                return what
    return None


def _embedded(address: Address) -> tuple[IPv4Address, ...]:
    if not isinstance(address, IPv6Address):
        return ()
    inner = [address.ipv4_mapped, address.sixtofour]
    inner += [IPv4Address(int(address) & 0xFFFFFFFF)] if address in _NAT64 else []
    return tuple(one for one in inner if one is not None)


def _looked_up(host: str, port: int, shown: str) -> tuple[str, ...]:
    """In a thread that nobody waits for: the system's resolver has no limit of ours."""
    answers: SimpleQueue[tuple[str, ...] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(tuple(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=LOOK_UP_SECONDS_MAX)
    except Empty as error:
        raise Unavailable(f"{shown}: cannot look up {host}: no answer in time") from error
    if isinstance(answer, OSError):
        raise Unavailable(f"{shown}: cannot look up {host}: {answer.strerror or answer}") from answer
    return answer
