"""Which ways lead to the pods of the other nodes: pure. Direct where nodes share a network, else VXLAN.

Nothing is learnt and nothing is asked for on the wire (flannel's scheme): a node's VXLAN endpoint has a hardware
address that follows from its range, so three entries for each peer say it all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from gitops.kinds.core.node import Node
from gitops.kinds.objects import is_going

AUTO: Final = "auto"
DIRECT: Final = "direct"
VXLAN: Final = "vxlan"
OVERLAYS: Final = (AUTO, DIRECT, VXLAN)
VXLAN_BYTES: Final = 50  # What it adds to a packet: outer Ethernet, IP, UDP and its own header.


class Peer(NamedTuple):
    """Another node: where it is, and which addresses its pods have."""

    name: str
    address: str
    pod_cidr: str

    @property
    def endpoint(self) -> str:
        """The address of its VXLAN endpoint: its range's own, which no pod gets."""
        return str(IPv4Network(self.pod_cidr).network_address)

    @property
    def mac(self) -> str:
        return endpoint_mac(self.pod_cidr)


class Way(NamedTuple):
    """A route to a peer's pods: `via` its address on a shared network, or its endpoint through the overlay."""

    cidr: str
    via: str
    overlay: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`through`: the peers behind the overlay. `unreachable`: those that the operator's choice leaves without a way."""

    ways: tuple[Way, ...] = ()
    through: tuple[Peer, ...] = ()
    unreachable: tuple[Peer, ...] = ()


def peers_of(nodes: Iterable[Node], own: str, own_cidr: str) -> tuple[Peer, ...]:
    """The other nodes that have a range and an address that is reached from elsewhere, by name.

    A range that overlaps ours or that of a node with a lesser name is left out: its pods could be anybody's.
    """
    taken = [IPv4Network(own_cidr)]
    found = []
    for node in sorted(nodes, key=lambda one: one["metadata"].get("name", "")):
        peer = _peer(node)
        if peer is None or peer.name == own or is_going(node):
            continue
        network = IPv4Network(peer.pod_cidr)
        if not any(network.overlaps(each) for each in taken):
            taken.append(network)
            found.append(peer)
    return tuple(found)


def plan(peers: Iterable[Peer], mode: str, is_near: Callable[[str], bool]) -> Plan:
    """`is_near`: whether an address is reached without a router."""
    ways, through, unreachable = [], [], []
    for peer in peers:
        near = is_near(peer.address)
        if mode == VXLAN or (mode == AUTO and not near):
            ways.append(Way(peer.pod_cidr, peer.endpoint, overlay=True))
            through.append(peer)
        elif near:
            ways.append(Way(peer.pod_cidr, peer.address, overlay=False))
        else:
            unreachable.append(peer)
    return Plan(tuple(ways), tuple(through), tuple(unreachable))


def endpoint_mac(pod_cidr: str) -> str:
    """Locally administered, unicast; the same on every node without asking."""
    digest = sha256(f"gitward vxlan {IPv4Network(pod_cidr)}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x0A, *digest[:5]))


def _peer(node: Node) -> Peer | None:
    """None where it says too little, or what no other host can use."""
    cidr = node["spec"].get("podCIDR", "")
    told = (node.get("status") or {}).get("addresses") or ()
    address = next((one["address"] for one in told if one["type"] == "InternalIP"), "")
    try:
        IPv4Network(cidr)
        is_reached = not IPv4Address(address).is_loopback
    except ValueError:
        return None
    return Peer(node["metadata"].get("name", ""), address, cidr) if is_reached else None
