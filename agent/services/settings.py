"""What both renderers are told of the cluster and of this node."""

from dataclasses import dataclass
from typing import Final, NamedTuple

VXLAN_PORT: Final = 8472  # As `agent.network.overlay`.
MASQUERADE_MARK: Final = (
    0x4000  # kube-proxy's bit: what is to leave with the node's address in the pod network.
)


class PeerRange(NamedTuple):
    """Another node: who may send to pods here, since its sender is inside the cluster."""

    pod_cidr: str
    address: str

    @property
    def sources(self) -> tuple[str, str]:
        """Its pods, and the node itself where it hands on what came to one of its own ports."""
        return self.pod_cidr, f"{self.address}/32"


@dataclass(frozen=True, slots=True)
class RuleSettings:
    pod_cidr: str  # This node's.
    cluster_pod_cidr: str
    service_cidr: str
    gateway: str
    dns_address: str
    peers: tuple[PeerRange, ...] = ()
