"""Which address a new pod gets: pure. What is used is read back from links and labels, so nothing is kept here."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from typing import Final

from gitops.kinds.errors import Unavailable

RESERVED_FIRST: Final = 2  # The network's own address and the node's (`NetworkSettings.gateway`).


def pick(pod_cidr: str, used: Collection[str], last: str | None = None) -> str:
    """The lowest free address after `last`, from the start again at the end.

    A just freed address comes round as late as possible: proxies and caches elsewhere may still know its old owner.
    Raises Unavailable when every address is used.
    """
    network = IPv4Network(pod_cidr)
    first, end = RESERVED_FIRST, network.num_addresses - 1  # Without the broadcast address.
    start = int(IPv4Address(last)) - int(network.network_address) + 1 if last else first
    start = start if first <= start < end else first
    for host in chain(range(start, end), range(first, start)):
        if (address := str(network[host])) not in used:
            return address
    raise Unavailable(f"no free pod address: all {end - first} of {pod_cidr} are used on this node")
