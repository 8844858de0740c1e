"""discovery.k8s.io/v1: EndpointSlice, the addresses behind a Service (API reference 1.35)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.core.event import ObjectReference
from gitops.kinds.filling import change_each, fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.tables import Row, age_of, columns, listed, name_of

ENDPOINTS_MAX: Final = 1000  # Of one slice, as Kubernetes.


class EndpointConditions(TypedDict):
    ready: NotRequired[bool]
    serving: NotRequired[bool]
    terminating: NotRequired[bool]


class Endpoint(TypedDict):
    addresses: list[str]
    conditions: NotRequired[EndpointConditions]
    hostname: NotRequired[str]
    nodeName: NotRequired[str]
    targetRef: NotRequired[ObjectReference]
    zone: NotRequired[str]


class EndpointPort(TypedDict):
    name: NotRequired[str]
    port: NotRequired[int]
    protocol: NotRequired[str]
    appProtocol: NotRequired[str]


class EndpointSlice(KubeObject):
    addressType: str  # IPv4, IPv6 or FQDN.
    endpoints: list[Endpoint]
    ports: NotRequired[list[EndpointPort]]


def default_endpoint_slice(endpoint_slice: EndpointSlice) -> EndpointSlice:
    endpoint_slice = fill(endpoint_slice, endpoints=[])
    return change_each(endpoint_slice, "ports", lambda port: fill(port, name="", protocol="TCP"))


def check_endpoint_slice(endpoint_slice: EndpointSlice) -> Iterator[Problem]:
    family = endpoint_slice["addressType"]
    yield from wording.one_of("addressType", family, ("FQDN", "IPv4", "IPv6"))
    if len(endpoint_slice["endpoints"]) > ENDPOINTS_MAX:
        yield wording.too_many("endpoints", len(endpoint_slice["endpoints"]), ENDPOINTS_MAX)
    for index, endpoint in enumerate(endpoint_slice["endpoints"]):
        field = f"endpoints[{index}].addresses"
        if not endpoint["addresses"]:
            yield wording.required(field, "must contain at least 1 address")
        for place, address in enumerate(endpoint["addresses"]):
            if family == "IPv4" and (wrong := names.ip(address)):
                yield wording.invalid(f"{field}[{place}]", address, wrong)


def check_endpoint_slice_update(old: EndpointSlice, new: EndpointSlice) -> Iterator[Problem]:
    if old["addressType"] != new["addressType"]:
        yield wording.invalid("addressType", new["addressType"], wording.IMMUTABLE)


def _cells(endpoint_slice: EndpointSlice, now: datetime) -> Row:
    ports = [str(port.get("port") or port.get("name") or "*") for port in endpoint_slice.get("ports") or ()]
    addresses = [address for one in endpoint_slice["endpoints"] for address in one["addresses"]]
    return (
        name_of(endpoint_slice),
        endpoint_slice["addressType"],
        listed(ports, "<unset>"),
        listed(addresses, "<unset>"),
        age_of(endpoint_slice, now),
    )


ENDPOINT_SLICE: Final[Kind[EndpointSlice]] = Kind(
    "discovery.k8s.io/v1",
    "EndpointSlice",
    "endpointslices",
    shape=EndpointSlice,
    defaults=default_endpoint_slice,
    check=check_endpoint_slice,
    check_update=check_endpoint_slice_update,
    columns=columns("Name", "AddressType", "Ports", "Endpoints", "Age"),
    cells=_cells,
)
