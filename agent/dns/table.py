"""The names of a cluster, as JSON that the agent writes and the DNS process reads: pure.

Source: Kubernetes DNS-Based Service Discovery, schema version 1.1.0. Names are relative to the cluster's domain and in
lower case.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, NotRequired, TypedDict

from agent.services.table import Slices, cluster_ip, is_ready, place, usable_addresses
from gitops.kinds.core.service import Service, is_headless
from gitops.kinds.discovery import Endpoint

DOMAIN_DEFAULT: Final = "cluster.local"
SCHEMA_VERSION: Final = "1.1.0"


class Name(TypedDict):
    """The records of one name. A name without records exists nevertheless (NOERROR, not NXDOMAIN)."""

    A: NotRequired[list[str]]
    CNAME: NotRequired[str]  # A full name outside or inside of the cluster.
    SRV: NotRequired[list[tuple[int, str]]]  # (port, target relative to the domain).
    TXT: NotRequired[str]


class DnsTable(TypedDict):
    domain: str
    pod_cidr: str  # Of the cluster: 10-77-0-2.<namespace>.pod is answered for its addresses.
    service_cidr: str
    upstreams: list[str]
    names: dict[str, Name]
    pointers: dict[str, list[str]]  # Address -> names relative to the domain.


class _Endpoint(NamedTuple):
    address: str
    label: str  # Its host name, or its address with dashes.
    has_name: bool


def build(
    services: Iterable[Service],
    slices: Slices,
    *,
    pod_cidr: str,
    service_cidr: str,
    upstreams: Iterable[str],
    domain: str = DOMAIN_DEFAULT,
) -> DnsTable:
    names: dict[str, Name] = {"dns-version": Name(TXT=SCHEMA_VERSION)}
    pointers: dict[str, list[str]] = {}
    for service in sorted(services, key=place):
        namespace, name = place(service)
        base = f"{name}.{namespace}.svc"
        if service["spec"]["type"] == "ExternalName":
            names[base] = Name(CNAME=service["spec"].get("externalName", "").rstrip("."))
        elif is_headless(service):
            _add_headless(names, pointers, service, base, slices)
        elif address := cluster_ip(service):
            names[base] = Name(A=[address])
            pointers[address] = [base]
            for port in service["spec"].get("ports") or ():
                if port.get("name"):
                    record = names.setdefault(
                        f"_{port.get('name', '')}._{port['protocol'].lower()}.{base}", Name()
                    )
                    record["SRV"] = [(port["port"], base)]
    return DnsTable(
        domain=domain,
        pod_cidr=pod_cidr,
        service_cidr=service_cidr,
        upstreams=list(upstreams),
        names=names,
        pointers=pointers,
    )


def _add_headless(
    names: dict[str, Name], pointers: dict[str, list[str]], service: Service, base: str, slices: Slices
) -> None:
    addresses: set[str] = set()
    every = bool(service["spec"].get("publishNotReadyAddresses"))
    for each in slices.get(place(service), ()):
        endpoints = list(_endpoints(each["endpoints"], every=every))
        addresses.update(endpoint.address for endpoint in endpoints)
        for endpoint in endpoints:
            own = names.setdefault(f"{endpoint.label}.{base}", Name(A=[]))
            own["A"] = sorted({*own.get("A", ()), endpoint.address})
            if endpoint.has_name:
                pointers.setdefault(endpoint.address, []).append(f"{endpoint.label}.{base}")
        for port in each.get("ports") or ():
            if port.get("name") and port.get("port"):
                protocol = port.get("protocol", "TCP").lower()
                record = names.setdefault(f"_{port.get('name', '')}._{protocol}.{base}", Name())
                targets = {(port["port"], f"{endpoint.label}.{base}") for endpoint in endpoints}
                record["SRV"] = sorted({*record.get("SRV", ()), *targets})
    names[base] = Name(A=sorted(addresses))


def _endpoints(endpoints: Iterable[Endpoint], *, every: bool) -> Iterator[_Endpoint]:
    """Those that are ready; `every`: all."""
    for endpoint in endpoints:
        if every or is_ready(endpoint):
            hostname = endpoint.get("hostname", "")
            for address in usable_addresses(endpoint):
                yield _Endpoint(address, hostname or address.replace(".", "-"), bool(hostname))
