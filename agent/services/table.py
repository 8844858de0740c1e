"""Who stands behind which service address, seen from one node: pure. Renderers of rules, DNS and ingress start here.

Source: Kubernetes' virtual IPs reference. Ready endpoints take the traffic; where there is none, those that still
serve while they terminate do ("last resort"), as kube-proxy does. IPv4 only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from gitops.kinds.core.service import Service, wants_health_check
from gitops.kinds.discovery import Endpoint, EndpointSlice
from gitops.kinds.objects import is_going, labels_of

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
AFFINITY_SECONDS_DEFAULT: Final = 10_800  # Kubernetes' sessionAffinityConfig.clientIP.timeoutSeconds.

Slices = Mapping[tuple[str, str], Sequence[EndpointSlice]]  # By (namespace, name) of their service.


class Backend(NamedTuple):
    address: str
    port: int


class Backends(NamedTuple):
    """Sorted, each once. `last_resort`: none is ready, these only finish what they have."""

    all: tuple[Backend, ...]
    last_resort: bool


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one service. `affinity_seconds` 0: no session affinity."""

    name: str  # shop/web:http
    protocol: str  # tcp, udp or sctp.
    address: str
    port: int
    backends: tuple[Backend, ...]
    last_resort: bool = False
    affinity_seconds: int = 0


@dataclass(frozen=True, slots=True)
class OutsidePort:
    """One way into a service port from outside of the cluster.

    `address` '': a port of the node. `backends`: whom callers outside get; `inside`: whom pods and the node itself get,
    which is more where callers keep their address (`externalTrafficPolicy: Local`). `sources`: who may call; (): all.
    """

    name: str
    protocol: str
    address: str
    port: int
    backends: tuple[Backend, ...]
    inside: tuple[Backend, ...]
    last_resort: bool = False
    affinity_seconds: int = 0
    keeps_caller: bool = False
    sources: tuple[str, ...] = ()


class HealthCheck(NamedTuple):
    """A port where a balancer outside asks whether this node has endpoints of a service."""

    port: int
    namespace: str
    name: str
    endpoints: int


class HostPort(NamedTuple):
    """A port of the node that leads to one pod of it. `address` '': on all of the node's addresses."""

    protocol: str  # tcp, udp or sctp.
    address: str
    port: int
    backend: Backend


@dataclass(frozen=True, slots=True)
class ServiceTable:
    ports: tuple[ServicePort, ...] = ()  # Sorted by address, port and protocol.
    host_ports: tuple[HostPort, ...] = ()  # Sorted.
    outside: tuple[OutsidePort, ...] = ()  # Sorted by address, port and protocol.
    health_checks: tuple[HealthCheck, ...] = ()  # Sorted by port.

    @property
    def ways(self) -> tuple[ServicePort | OutsidePort, ...]:
        return (*self.ports, *self.outside)

    def offers(self, address: str) -> bool:
        """Whether new connections go to this address although others could take them."""
        return any(
            backend.address == address
            for port in self.ways
            if not port.last_resort
            for backend in port.backends
        )


def build(
    services: Iterable[Service],
    slices: Slices,
    *,
    node: str,
    service_cidr: str,
    reserved: frozenset[str] = frozenset(),
) -> ServiceTable:
    """`reserved`: addresses of the service range that the node itself answers, such as the DNS service's."""
    network = IPv4Network(service_cidr)
    ports: list[ServicePort] = []
    outside: list[OutsidePort] = []
    checks: list[HealthCheck] = []
    for service in services:
        address, found = cluster_ip(service), slices.get(place(service), ())
        if not address or address in reserved or IPv4Address(address) not in network:
            continue
        ports += _ports(service, address, found, node)
        outside += _outside(service, found, node, network)
        checks += _health_checks(service, found, node)
    return ServiceTable(
        tuple(sorted(ports, key=lambda port: (IPv4Address(port.address), port.port, port.protocol))),
        outside=tuple(sorted(outside, key=lambda port: (port.address, port.port, port.protocol))),
        health_checks=tuple(sorted(checks)),
    )


def by_service(slices: Iterable[EndpointSlice]) -> Slices:
    found: dict[tuple[str, str], list[EndpointSlice]] = {}
    for each in slices:
        name = labels_of(each).get(SERVICE_NAME_LABEL)
        if name and each["addressType"] == "IPv4" and not is_going(each):
            found.setdefault((each["metadata"].get("namespace", ""), name), []).append(each)
    return found


def has_others(slices: Slices, address: str) -> bool:
    """Whether some service of the address (a pod that goes is still listed there) has another that is ready."""
    for each in slices.values():
        endpoints = [endpoint for one in each for endpoint in one["endpoints"]]
        if any(address in endpoint["addresses"] for endpoint in endpoints) and any(
            address not in endpoint["addresses"] and (endpoint.get("conditions") or {}).get("ready", True)
            for endpoint in endpoints
        ):
            return True
    return False


def place(service: Service) -> tuple[str, str]:
    """(namespace, name)."""
    return service["metadata"].get("namespace", ""), service["metadata"].get("name", "")


def cluster_ip(service: Service) -> str:
    """Its IPv4 address; '' for a headless or external service, and for one that has none yet."""
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return ""
    return next((ip for ip in (spec.get("clusterIPs") or [spec.get("clusterIP", "")]) if _is_ipv4(ip)), "")


def _ports(
    service: Service, address: str, slices: Sequence[EndpointSlice], node: str
) -> Iterable[ServicePort]:
    spec, (namespace, name) = service["spec"], place(service)
    only_node = node if spec.get("internalTrafficPolicy") == "Local" else None
    affinity = _affinity_seconds(service)
    for port in spec.get("ports") or ():
        port_name, protocol = port.get("name", ""), port["protocol"]
        backends = backends_of(slices, port_name, protocol, only_node=only_node)
        yield ServicePort(
            f"{namespace}/{name}{':' + port_name if port_name else ''}",
            protocol.lower(),
            address,
            port["port"],
            backends.all,
            backends.last_resort,
            affinity,
        )


def _outside(
    service: Service, slices: Sequence[EndpointSlice], node: str, network: IPv4Network
) -> Iterable[OutsidePort]:
    spec, (namespace, name) = service["spec"], place(service)
    own, lent = _outside_addresses(service, network)
    local = spec.get("externalTrafficPolicy") == "Local"
    ranges = tuple(text.strip() for text in spec.get("loadBalancerSourceRanges") or () if ":" not in text)
    affinity = _affinity_seconds(service)
    for port in spec.get("ports") or ():
        port_name, protocol = port.get("name", ""), port["protocol"]
        inside = backends_of(slices, port_name, protocol)
        backends = backends_of(slices, port_name, protocol, only_node=node) if local else inside
        ways: list[tuple[str, int, tuple[str, ...]]] = [(address, port["port"], ()) for address in own]
        ways += [(address, port["port"], ranges) for address in lent]
        if number := port.get("nodePort"):
            ways.append(("", number, ()))
        for address, number, sources in ways:
            yield OutsidePort(
                f"{namespace}/{name}{':' + port_name if port_name else ''}",
                protocol.lower(),
                address,
                number,
                backends.all,
                inside.all,
                backends.last_resort,
                affinity,
                local,
                sources,
            )


def _outside_addresses(service: Service, network: IPv4Network) -> tuple[list[str], list[str]]:
    """Its `externalIPs`, and what a balancer lent to it; admission judged them, so only the absurd is passed over."""
    spec, status = service["spec"], service.get("status") or {}
    lent = [
        one.get("ip", "")
        for one in (status.get("loadBalancer") or {}).get("ingress") or ()
        if spec["type"] == "LoadBalancer" and one.get("ipMode", "VIP") == "VIP"
    ]
    own = list(dict.fromkeys(spec.get("externalIPs") or ()))
    return [one for one in own if _is_usable(one, network)], [
        one for one in dict.fromkeys(lent) if one not in own and _is_usable(one, network)
    ]


def _is_usable(address: str, network: IPv4Network) -> bool:
    return _is_ipv4(address) and _is_ordinary(address) and IPv4Address(address) not in network


def _health_checks(service: Service, slices: Sequence[EndpointSlice], node: str) -> Iterable[HealthCheck]:
    if wants_health_check(service) and (number := service["spec"].get("healthCheckNodePort")):
        here = {
            address
            for each in slices
            for endpoint in each["endpoints"]
            if is_ready(endpoint) and endpoint.get("nodeName") == node
            for address in usable_addresses(endpoint)
        }
        yield HealthCheck(number, *place(service), len(here))


def backends_of(
    slices: Sequence[EndpointSlice], port_name: str, protocol: str, *, only_node: str | None = None
) -> Backends:
    """Those of one service port: a slice's port of the same name is it."""
    ready: set[Backend] = set()
    serving: set[Backend] = set()
    for each in slices:
        numbers = [
            port["port"]
            for port in each.get("ports") or ()
            if port.get("name", "") == port_name
            and port.get("protocol", "TCP") == protocol
            and port.get("port")
        ]
        for endpoint in each["endpoints"]:
            if only_node is not None and endpoint.get("nodeName") != only_node:
                continue
            found = {Backend(address, number) for address in usable_addresses(endpoint) for number in numbers}
            if is_ready(endpoint):
                ready |= found
            elif (endpoint.get("conditions") or {}).get("serving"):
                serving |= found
    return Backends(tuple(sorted(ready or serving)), last_resort=not ready)


def is_ready(endpoint: Endpoint) -> bool:
    """Unknown counts as ready, as the API says."""
    return (endpoint.get("conditions") or {}).get("ready") is not False


def usable_addresses(endpoint: Endpoint) -> Iterable[str]:
    """Kubernetes allows no endpoint on loopback, link-local or multicast addresses: they would lead to the node itself,
    or to a cloud's metadata service."""
    for address in endpoint["addresses"]:
        if _is_ipv4(address) and _is_ordinary(address):
            yield address


def _is_ordinary(address: str) -> bool:
    parsed = IPv4Address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified)


def _affinity_seconds(service: Service) -> int:
    spec = service["spec"]
    if spec["sessionAffinity"] != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return config.get("timeoutSeconds", AFFINITY_SECONDS_DEFAULT)


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
