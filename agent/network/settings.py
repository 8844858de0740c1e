"""What a node's network is told, and the names by which it finds its own things again: a stable contract.

Everything that we make in the kernel is marked: links begin with `gw`, aliases name the cluster, routes carry a
protocol number of ours. So `down` finds all of it without any file, and removes nothing of another cluster or program.
"""

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, NamedTuple

from gitops.kinds.errors import Invalid

BRIDGE: Final = "gw0"
LINK_PREFIX: Final = "gw"
OVERLAY: Final = "gwx"
POD_INTERFACE: Final = "eth0"
ROUTE_PROTOCOL: Final = 77  # Free in /etc/iproute2/rt_protos; `ip route show proto 77` lists ours.
UNREACHABLE_METRIC: Final = (
    77_000  # Above (so beneath) every route that we or the host would set for these ranges.
)
ALIAS_LENGTH_MAX: Final = 255  # The kernel's IFALIASZ, less the ending zero.
DNS_HOST: Final = 10  # The DNS service is the tenth address of the service range, as kubeadm has it.


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`pod_cidr` is this node's share (a /24) of `cluster_pod_cidr`. `state_dir` keeps the originals of sysctls."""

    cluster: str
    node: str
    pod_cidr: str
    cluster_pod_cidr: str
    service_cidr: str
    state_dir: Path
    node_address: str = ""  # Where other nodes reach this one; '': nowhere.
    overlay: str = "auto"  # One of `peers.OVERLAYS`.

    def __post_init__(self) -> None:
        for name in ("pod_cidr", "cluster_pod_cidr", "service_cidr"):
            try:
                network = IPv4Network(getattr(self, name))
            except ValueError as error:
                raise Invalid(
                    f"{name}: found {getattr(self, name)!r}, wanted an IPv4 range: {error}"
                ) from error
            if network.prefixlen > (28 if name == "service_cidr" else 30):
                raise Invalid(f"{name}: found {network}, wanted a larger range")
        if not IPv4Network(self.pod_cidr).subnet_of(IPv4Network(self.cluster_pod_cidr)):
            raise Invalid(f"pod_cidr: found {self.pod_cidr}, wanted a part of {self.cluster_pod_cidr}")

    @property
    def gateway(self) -> str:
        """The node's own address in the pod network: the first of its range."""
        return str(IPv4Network(self.pod_cidr)[1])

    @property
    def endpoint(self) -> str:
        """The address of this node's VXLAN link: its range's own, which no pod gets."""
        return str(IPv4Network(self.pod_cidr).network_address)

    @property
    def dns_address(self) -> str:
        return str(IPv4Network(self.service_cidr)[DNS_HOST])


def bridge_alias(cluster: str, node: str) -> str:
    """The lock against a second cluster in one network namespace."""
    return f"gitward:{cluster}:{node}"[:ALIAS_LENGTH_MAX]


def overlay_alias(cluster: str) -> str:
    return f"gitward:{cluster}:overlay"


class LinkMark(NamedTuple):
    """What a pod link's alias says."""

    cluster: str
    uid: str
    address: str

    @property
    def alias(self) -> str:
        return f"gitward:{self.cluster}:{self.uid}:{self.address}"


def cluster_of_alias(alias: str) -> str | None:
    """The cluster that owns the link with this alias; None: not ours at all."""
    parts = alias.split(":")
    return parts[1] if len(parts) >= 3 and parts[0] == "gitward" else None


def mark_of_alias(alias: str) -> LinkMark | None:
    parts = alias.split(":")
    return LinkMark(*parts[1:]) if len(parts) == 4 and parts[0] == "gitward" else None


def link_name(uid: str) -> str:
    """The node's end of a pod's veth: 14 of the kernel's 15 characters."""
    return LINK_PREFIX + sha256(uid.encode()).hexdigest()[:12]
