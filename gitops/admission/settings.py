"""What admission is told from outside: the cluster's address range, how far pods may go, and where ids come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Protocol

from gitops.kinds.core.pod_security import Level
from gitops.kinds.source_spec import GitSourceSpec

NODE_PORTS: Final = (30_000, 32_767)  # Kubernetes' --service-node-port-range.


class Mint(Protocol):
    """Where ids come from: random in production, counted in the simulator and in tests."""

    def uid(self) -> str:
        """A UUID that no object ever had."""
        ...

    def suffix(self) -> str:
        """Five characters of `bcdfghjklmnpqrstvwxz2456789`, for `generateName`."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the cluster as a whole; the same for every write.

    Attributes:
        pod_security: what no pod may pass, wherever it comes from.
        operator_sources: the sources that the operator states, as stated; objects of all others are held to `baseline`.
            None: all are the operator's.
        node_ports: the first and the last port that a Service may have at the nodes.
        external_ips: what a Service may claim by `externalIPs`. Empty: nothing.
    """

    service_cidr: IPv4Network
    pod_security: Level = Level.PRIVILEGED
    operator_sources: Mapping[str, GitSourceSpec] | None = None
    node_ports: tuple[int, int] = NODE_PORTS
    external_ips: tuple[IPv4Network, ...] = ()

    @property
    def api_address(self) -> IPv4Address:
        """The first address of the service range: the service `kubernetes`."""
        return self.service_cidr[1]

    @property
    def dns_address(self) -> IPv4Address:
        """The tenth address of the service range: the cluster's DNS."""
        return self.service_cidr[10]


DEFAULT: Final = Settings(service_cidr=IPv4Network("10.78.0.0/16"))
