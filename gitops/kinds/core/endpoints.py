"""Endpoints (core/v1): the older picture of what is behind a Service (API reference 1.35)."""

from collections.abc import Iterator
from typing import Final, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.core.event import ObjectReference
from gitops.kinds.filling import change_each, fill_zero
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.official_tables import TABLES


class EndpointAddress(TypedDict):
    ip: str
    hostname: NotRequired[str]
    nodeName: NotRequired[str]
    targetRef: NotRequired[ObjectReference]


class EndpointsPort(TypedDict):
    port: int
    name: NotRequired[str]
    protocol: NotRequired[str]
    appProtocol: NotRequired[str]


class EndpointSubset(TypedDict):
    """Every address serves every port."""

    addresses: NotRequired[list[EndpointAddress]]
    notReadyAddresses: NotRequired[list[EndpointAddress]]
    ports: NotRequired[list[EndpointsPort]]


class Endpoints(KubeObject):
    subsets: NotRequired[list[EndpointSubset]]


def default_endpoints(endpoints: Endpoints) -> Endpoints:
    return change_each(
        endpoints,
        "subsets",
        lambda subset: change_each(subset, "ports", lambda port: fill_zero(port, protocol="TCP")),
    )


def check_endpoints(endpoints: Endpoints) -> Iterator[Problem]:
    """Source: Kubernetes, pkg/apis/core/validation, ValidateEndpoints."""
    for index, subset in enumerate(endpoints.get("subsets") or ()):
        field = f"subsets[{index}]"
        ports = subset.get("ports") or []
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield wording.required(field, "must specify `addresses` or `notReadyAddresses`")
        for name, addresses in (
            ("addresses", subset.get("addresses") or []),
            ("notReadyAddresses", subset.get("notReadyAddresses") or []),
        ):
            for place, address in enumerate(addresses):
                if wrong := names.ip(address["ip"]):
                    yield wording.invalid(f"{field}.{name}[{place}].ip", address["ip"], wrong)
        for place, port in enumerate(ports):
            at = f"{field}.ports[{place}]"
            yield from wording.port(f"{at}.port", port["port"])
            yield from wording.one_of(f"{at}.protocol", port.get("protocol") or "TCP", ("SCTP", "TCP", "UDP"))
            if not port.get("name") and len(ports) > 1:
                yield wording.required(f"{at}.name")


ENDPOINTS: Final[Kind[Endpoints]] = Kind(
    "v1",
    "Endpoints",
    "endpoints",
    short=("ep",),
    shape=Endpoints,
    defaults=default_endpoints,
    check=check_endpoints,
    columns=TABLES["Endpoints"].columns,
    cells=TABLES["Endpoints"].cells,
)
