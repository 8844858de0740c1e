"""What exists from the start: the four namespaces, and the service `kubernetes` with its endpoint.

A plain list: the composition root creates what is missing when it starts. Source: kube-apiserver's bootstrap.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Final

from gitops.kinds.core.endpoints import Endpoints
from gitops.kinds.core.namespace import Namespace
from gitops.kinds.core.service import Service
from gitops.kinds.discovery import EndpointSlice
from gitops.kinds.objects import KubeObject

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
API_SERVICE: Final = "kubernetes"
API_PORT: Final = 443
API_LABELS: Final = {"component": "apiserver", "provider": "kubernetes"}


def bootstrap(service_cidr: IPv4Network, api_address: IPv4Address, api_port: int) -> tuple[KubeObject, ...]:
    """In the order in which they can be created; `api_address` and `api_port` are where pods reach the API.

    The last two, slice and Endpoints, are for an address that pods can reach.
    """
    return (
        *map(_namespace, NAMESPACES),
        _service(service_cidr),
        _endpoint(api_address, api_port),
        _endpoints(api_address, api_port),
    )


def _namespace(name: str) -> Namespace:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}


def _service(service_cidr: IPv4Network) -> Service:
    """At the first address of the range, by which every client finds it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": API_SERVICE, "namespace": "default", "labels": dict(API_LABELS)},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": str(service_cidr[1]),
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP", "targetPort": API_PORT}],
        },
    }


def _endpoint(address: IPv4Address, port: int) -> EndpointSlice:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": API_SERVICE,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": API_SERVICE},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [str(address)], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


def _endpoints(address: IPv4Address, port: int) -> Endpoints:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": API_SERVICE,
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},  # The slice is made here, too.
        },
        "subsets": [
            {
                "addresses": [{"ip": str(address)}],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            }
        ],
    }
