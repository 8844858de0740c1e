"""What exists from the start: the namespaces, the default storage class, the service `kubernetes` and its endpoint.

A plain list: the composition root creates what is missing when it starts. Source: kube-apiserver's bootstrap.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Final

from gitops.kinds.core.endpoints import Endpoints
from gitops.kinds.core.namespace import Namespace
from gitops.kinds.core.service import Service
from gitops.kinds.core.storage import DRIVER
from gitops.kinds.discovery import EndpointSlice
from gitops.kinds.objects import KubeObject
from gitops.kinds.official_tables import DEFAULT_CLASS
from gitops.kinds.storage import LATE, LOCAL_PATH, STORAGE_CLASS, StorageClass

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
        _storage_class(),
        _service(service_cidr),
        _endpoint(api_address, api_port),
        _endpoints(api_address, api_port),
    )


def _namespace(name: str) -> Namespace:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}


def _storage_class() -> StorageClass:
    """Directories on nodes. Whoever wants another default takes the annotation off, or gives it to a newer class."""
    return {
        "apiVersion": STORAGE_CLASS.api_version,
        "kind": STORAGE_CLASS.kind,
        "metadata": {"name": LOCAL_PATH, "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": DRIVER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": LATE,
    }


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
