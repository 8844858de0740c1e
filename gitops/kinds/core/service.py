"""Service (core/v1): a stable address in front of pods. Source: Kubernetes API reference 1.35."""

from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import Condition, KubeObject


class ServicePort(TypedDict):
    port: int
    protocol: str  # TCP, UDP or SCTP.
    targetPort: int | str
    name: NotRequired[str]  # Absent only where it is the single port.
    nodePort: NotRequired[int]
    appProtocol: NotRequired[str]


class ClientIPConfig(TypedDict):
    timeoutSeconds: NotRequired[int]


class SessionAffinityConfig(TypedDict):
    clientIP: NotRequired[ClientIPConfig]


class ServiceSpec(TypedDict):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
    sessionAffinity: str  # None or ClientIP.
    ports: NotRequired[list[ServicePort]]
    selector: NotRequired[dict[str, str]]
    clusterIP: NotRequired[str]  # `None`: headless. Allocated by admission.
    clusterIPs: NotRequired[list[str]]
    ipFamilies: NotRequired[list[str]]
    ipFamilyPolicy: NotRequired[str]
    internalTrafficPolicy: NotRequired[str]
    externalName: NotRequired[str]
    publishNotReadyAddresses: NotRequired[bool]
    sessionAffinityConfig: NotRequired[SessionAffinityConfig]


class LoadBalancerIngress(TypedDict):
    ip: NotRequired[str]
    hostname: NotRequired[str]


class LoadBalancerStatus(TypedDict):
    ingress: NotRequired[list[LoadBalancerIngress]]


class ServiceStatus(TypedDict):
    loadBalancer: NotRequired[LoadBalancerStatus]
    conditions: NotRequired[list[Condition]]


class Service(KubeObject):
    spec: ServiceSpec
    status: NotRequired[ServiceStatus]


def is_headless(service: Service) -> bool:
    return service["spec"].get("clusterIP") == "None"


SERVICE: Final[Kind[Service]] = Kind(
    "v1",
    "Service",
    "services",
    short=("svc",),
    categories=("all",),
    subresources=("status",),
    shape=Service,
    field_selectors=("spec.clusterIP", "spec.type"),
)
