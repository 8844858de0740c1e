"""discovery.k8s.io/v1: EndpointSlice, the addresses behind a Service (API reference 1.35)."""

from typing import Final, NotRequired, TypedDict

from gitops.kinds.core.event import ObjectReference
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject


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


ENDPOINT_SLICE: Final[Kind[EndpointSlice]] = Kind(
    "discovery.k8s.io/v1", "EndpointSlice", "endpointslices", shape=EndpointSlice
)
