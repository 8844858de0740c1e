"""What slices and Endpoints have in common, whoever makes them: ports, labels, references, and how a slice is found."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from gitops.controllers.service_pods import Member, NamedPorts, service_pods
from gitops.kinds.core.event import ObjectReference
from gitops.kinds.core.service import Service, ServicePort
from gitops.kinds.discovery import ENDPOINT_SLICE, Endpoint, EndpointPort, EndpointSlice
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, ObjectMeta, labels_of, owner_reference
from gitops.reconcile import Reader

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS: Final = "service.kubernetes.io/headless"
GENERATED_NAME_MAX: Final = 247  # Room for five characters and a dash within Kubernetes' 253.


class PodPort(NamedTuple):
    """A port of a Service as one pod serves it; `name` is '' for a single one."""

    name: str
    port: int
    protocol: str
    app_protocol: str


Ports = tuple[PodPort, ...]  # Sorted.


def selects_pods(service: Service) -> bool:
    """It has a selector and is not just a name for something elsewhere."""
    return bool(service["spec"].get("selector")) and service["spec"]["type"] != "ExternalName"


def services_of(view: Reader, pod: KubeObject) -> list[Key]:
    """The Services that select it."""
    return service_pods(view).selecting(pod["metadata"].get("namespace", ""), labels_of(pod))


def ports_of(service: Service) -> Callable[[Member], Ports]:
    """The Service's ports as a pod serves them; one whose name the pod does not know is left out. Most pods of a
    Service are alike, so what was found for one holds for the next."""
    known: dict[NamedPorts, Ports] = {}

    def found(member: Member) -> Ports:
        ports = known.get(member.ports)
        if ports is None:
            numbers = [(port, _target(port, member.ports)) for port in service["spec"].get("ports") or ()]
            ports = tuple(sorted(_port(port, number) for port, number in numbers if number is not None))
            known[member.ports] = ports
        return ports

    return found


def declared_ports(service: Service) -> Ports:
    """Where no pod says what a name means: the numbers."""
    ports = service["spec"].get("ports") or ()
    return tuple(
        sorted(_port(port, port["targetPort"]) for port in ports if isinstance(port["targetPort"], int))
    )


def ports_in(stated: Iterable[Mapping[str, Any]] | None) -> Ports:
    """Of a slice, or of a subset of Endpoints. The inverse of `written`."""
    return tuple(
        sorted(
            PodPort(
                port.get("name", ""),
                port.get("port", 0),
                port.get("protocol", "TCP"),
                port.get("appProtocol", ""),
            )
            for port in stated or ()
        )
    )


def written(ports: Ports) -> list[EndpointPort]:
    """As a slice states them."""
    listed: list[EndpointPort] = []
    for port in ports:
        one: EndpointPort = {"name": port.name, "port": port.port, "protocol": port.protocol}
        if port.app_protocol:
            one["appProtocol"] = port.app_protocol
        listed.append(one)
    return listed


def reference_to(namespace: str, member: Member) -> ObjectReference:
    return {"kind": "Pod", "namespace": namespace, "name": member.name, "uid": member.uid}


def hostname_in(service: Service, member: Member) -> str:
    """Under which name the Service knows the pod; '' for none."""
    return member.hostname if member.subdomain == service["metadata"].get("name") else ""


def new_slice(
    owner: KubeObject, labels: dict[str, str], ports: Ports, endpoints: list[Endpoint]
) -> EndpointSlice:
    name = owner["metadata"].get("name", "")
    meta: ObjectMeta = {
        "generateName": f"{name[:GENERATED_NAME_MAX]}-",
        "namespace": owner["metadata"].get("namespace", ""),
        "labels": labels,
        "ownerReferences": [owner_reference(owner)],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": written(ports),
    }


def slices_of(view: Reader, service: Key, manager: str) -> Iterator[EndpointSlice]:
    """Those that this controller made for a Service, or for the Endpoints of its name."""
    labels = {SERVICE_NAME: service.name, MANAGED_BY: manager}
    return view.select(ENDPOINT_SLICE, service.namespace, {"matchLabels": labels})


def service_name_in(obj: KubeObject, manager: str) -> str:
    """Whose slice it is; '' if another controller's."""
    labels = labels_of(obj)
    return labels.get(SERVICE_NAME, "") if labels.get(MANAGED_BY) == manager else ""


def _target(port: ServicePort, ports: NamedPorts) -> int | None:
    target = port["targetPort"]
    if isinstance(target, int):
        return target
    named = (number for name, protocol, number in ports if (name, protocol) == (target, port["protocol"]))
    return next(named, None)


def _port(port: ServicePort, number: int) -> PodPort:
    return PodPort(port.get("name", ""), number, port["protocol"], port.get("appProtocol", ""))
