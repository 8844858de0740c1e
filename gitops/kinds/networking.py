"""networking.k8s.io/v1: Ingress and IngressClass (API reference 1.35)."""

from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject


class ServiceBackendPort(TypedDict):
    """Exactly one is there."""

    name: NotRequired[str]
    number: NotRequired[int]


class IngressServiceBackend(TypedDict):
    name: str
    port: NotRequired[ServiceBackendPort]


class IngressBackend(TypedDict):
    service: NotRequired[IngressServiceBackend]


class HTTPIngressPath(TypedDict):
    backend: IngressBackend
    pathType: Literal["Exact", "Prefix", "ImplementationSpecific"]
    path: NotRequired[str]


class HTTPIngressRuleValue(TypedDict):
    paths: list[HTTPIngressPath]


class IngressRule(TypedDict):
    host: NotRequired[str]
    http: NotRequired[HTTPIngressRuleValue]


class IngressTLS(TypedDict):
    hosts: NotRequired[list[str]]
    secretName: NotRequired[str]


class IngressSpec(TypedDict):
    ingressClassName: NotRequired[str]
    defaultBackend: NotRequired[IngressBackend]
    rules: NotRequired[list[IngressRule]]
    tls: NotRequired[list[IngressTLS]]


class IngressPortStatus(TypedDict):
    port: int
    protocol: str
    error: NotRequired[str]


class IngressLoadBalancerIngress(TypedDict):
    ip: NotRequired[str]
    hostname: NotRequired[str]
    ports: NotRequired[list[IngressPortStatus]]


class IngressLoadBalancerStatus(TypedDict):
    ingress: NotRequired[list[IngressLoadBalancerIngress]]


class IngressStatus(TypedDict):
    loadBalancer: NotRequired[IngressLoadBalancerStatus]


class Ingress(KubeObject):
    spec: IngressSpec
    status: NotRequired[IngressStatus]


class IngressClassSpec(TypedDict):
    controller: NotRequired[str]


class IngressClass(KubeObject):
    spec: IngressClassSpec


INGRESS: Final[Kind[Ingress]] = Kind(
    "networking.k8s.io/v1", "Ingress", "ingresses", short=("ing",), subresources=("status",), shape=Ingress
)
INGRESS_CLASS: Final[Kind[IngressClass]] = Kind(
    "networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False, shape=IngressClass
)
