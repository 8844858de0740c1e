"""EndpointSlice: the addresses of the pods behind each Service that has a selector.

Source: kubernetes/pkg/controller/endpointslice and staging/src/k8s.io/endpointslice, 1.35. IPv4 only. Selector-less
Services keep the slices that others made for them.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple, cast

from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod, is_ready, is_terminal, pod_status
from gitops.kinds.core.service import SERVICE, Service, ServicePort, is_headless
from gitops.kinds.discovery import ENDPOINT_SLICE, Endpoint, EndpointPort, EndpointSlice
from gitops.kinds.keys import Key
from gitops.kinds.objects import (
    KubeObject,
    ObjectMeta,
    is_going,
    key_of,
    labels_of,
    owner_reference,
    uid,
    with_meta,
)
from gitops.kinds.selectors import matches_map
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

ENDPOINTS_MAX: Final = 100  # Per slice, as Kubernetes: a change of one pod must not resend a thousand.
SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
OUR_NAME: Final = "endpointslice-controller.k8s.io"  # Kubernetes' own: clients look for it.
HEADLESS: Final = "service.kubernetes.io/headless"
ZONE: Final = "topology.kubernetes.io/zone"
GENERATED_NAME_MAX: Final = 247


class PodPort(NamedTuple):
    """A port of a Service as one pod serves it; `name` is '' for a single one."""

    name: str
    port: int
    protocol: str
    app_protocol: str


_Ports = tuple[PodPort, ...]


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Make the slices of a Service say what its pods are.

    Args:
        view: read are `key`, the pods that it selects, their nodes and its slices.
        key: a Service. If it is gone, nothing is written: its slices leave by owner reference.
        now: not used; a slice carries no times.
    Returns:
        Slices grouped by what named ports mean on their pods. An endpoint stays in the slice where it is, so that a
        pod's change touches one slice. Pods that stop stay listed, `terminating`, until they are gone.
    """
    service = view.get(SERVICE, key)
    if service is None or is_going(service) or not selects_pods(service):
        return NOTHING
    selector = service["spec"].get("selector") or {}
    wanted: dict[_Ports, dict[str, Endpoint]] = {}
    for pod in view.select(POD, key.namespace, {"matchLabels": selector}):
        if pod_status(pod).get("podIP") and not is_terminal(pod):
            wanted.setdefault(ports_of_pod(service, pod), {})[uid(pod)] = _endpoint(view, service, pod)
    return _bring(view, service, wanted)


def selects_pods(service: Service) -> bool:
    """It has a selector and is not just a name for something elsewhere."""
    return bool(service["spec"].get("selector")) and service["spec"]["type"] != "ExternalName"


def _bring(view: Reader, service: Service, wanted: Mapping[_Ports, Mapping[str, Endpoint]]) -> Writes:
    """The difference between the slices that are there and the endpoints that should be."""
    create: list[KubeObject] = []
    update: list[KubeObject] = []
    delete: list[Key] = []
    present = [one for one in _slices(view, service) if not is_going(one)]
    keep_empty = not wanted  # A Service always has a slice, so that clients can tell "none" from "not yet".
    for ports in {_ports_of(one): None for one in present} | dict.fromkeys(wanted):
        missing = dict(wanted.get(ports, {}))
        filled = [(one, _kept(one, missing)) for one in present if _ports_of(one) == ports]
        for one, endpoints in filled:
            room = ENDPOINTS_MAX - len(endpoints)
            for identity in sorted(missing, key=lambda identity: _order(missing[identity]))[: max(room, 0)]:
                endpoints.append(missing.pop(identity))
            if not endpoints and not keep_empty:
                delete.append(key_of(one))
                continue
            keep_empty = keep_empty and bool(endpoints)
            target = _with(one, service, endpoints)
            if target != one:
                update.append(target)
        rest = sorted(missing.values(), key=_order)
        create += [
            _new(service, ports, rest[at : at + ENDPOINTS_MAX]) for at in range(0, len(rest), ENDPOINTS_MAX)
        ]
    if keep_empty and not create and not present:
        create.append(_new(service, _declared_ports(service), []))
    return Writes(create=tuple(create), update=tuple(update), delete=tuple(delete))


def _endpoint(view: Reader, service: Service, pod: Pod) -> Endpoint:
    """One pod. `ready` says "send new connections here": not to a pod that stops, but for publishNotReadyAddresses."""
    meta, node = pod["metadata"], pod["spec"].get("nodeName", "")
    serving, terminating = is_ready(pod), is_going(pod)
    published = service["spec"].get("publishNotReadyAddresses", False)
    endpoint: Endpoint = {
        "addresses": [pod_status(pod).get("podIP", "")],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": meta.get("namespace", ""),
            "name": meta.get("name", ""),
            "uid": uid(pod),
        },
    }
    if node:
        endpoint["nodeName"] = node
        found = view.get(NODE, NODE.key("", node))
        if found is not None and (zone := labels_of(found).get(ZONE)):
            endpoint["zone"] = zone
    hostname = pod["spec"].get("hostname")
    if hostname and pod["spec"].get("subdomain") == service["metadata"].get("name"):
        endpoint["hostname"] = hostname
    return endpoint


def ports_of_pod(service: Service, pod: Pod) -> _Ports:
    """The Service's ports as this pod serves them; one whose name the pod does not know is left out."""
    found = [(port, _target(port, pod)) for port in service["spec"].get("ports") or ()]
    return tuple(sorted(_port(port, number) for port, number in found if number is not None))


def _declared_ports(service: Service) -> _Ports:
    """Where no pod says what a name means: the numbers."""
    ports = service["spec"].get("ports") or ()
    return tuple(
        sorted(_port(port, port["targetPort"]) for port in ports if isinstance(port["targetPort"], int))
    )


def _target(port: ServicePort, pod: Pod) -> int | None:
    target = port["targetPort"]
    if isinstance(target, int):
        return target
    sidecars = [
        one for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"
    ]
    for container in (*pod["spec"]["containers"], *sidecars):
        for own in container.get("ports") or ():
            if own.get("name") == target and own["protocol"] == port["protocol"]:
                return own["containerPort"]
    return None


def _port(port: ServicePort, number: int) -> PodPort:
    return PodPort(port.get("name", ""), number, port["protocol"], port.get("appProtocol", ""))


def _ports_of(one: EndpointSlice) -> _Ports:
    """The inverse of `_written`."""
    return tuple(
        sorted(
            PodPort(
                port.get("name", ""),
                port.get("port", 0),
                port.get("protocol", "TCP"),
                port.get("appProtocol", ""),
            )
            for port in one.get("ports") or ()
        )
    )


def _written(ports: _Ports) -> list[EndpointPort]:
    written: list[EndpointPort] = []
    for port in ports:
        one: EndpointPort = {"name": port.name, "port": port.port, "protocol": port.protocol}
        if port.app_protocol:
            one["appProtocol"] = port.app_protocol
        written.append(one)
    return written


def _kept(one: EndpointSlice, missing: dict[str, Endpoint]) -> list[Endpoint]:
    """The endpoints of a slice that are still wanted, brought up to date; they are taken out of `missing`."""
    uids = [(endpoint.get("targetRef") or {}).get("uid", "") for endpoint in one["endpoints"]]
    return [missing.pop(identity) for identity in uids if identity in missing]


def _order(endpoint: Endpoint) -> tuple[str, list[str]]:
    return (endpoint.get("targetRef") or {}).get("name", ""), endpoint["addresses"]


def _labels(service: Service) -> dict[str, str]:
    labels = {**labels_of(service), SERVICE_NAME: service["metadata"].get("name", ""), MANAGED_BY: OUR_NAME}
    labels.pop(HEADLESS, None)
    return {**labels, HEADLESS: ""} if is_headless(service) else labels


def _with(one: EndpointSlice, service: Service, endpoints: Iterable[Endpoint]) -> EndpointSlice:
    labelled = with_meta(one, labels=_labels(service))
    return cast(EndpointSlice, {**labelled, "endpoints": list(endpoints)})


def _new(service: Service, ports: _Ports, endpoints: list[Endpoint]) -> EndpointSlice:
    name = service["metadata"].get("name", "")
    meta: ObjectMeta = {
        "generateName": f"{name[:GENERATED_NAME_MAX]}-",
        "namespace": service["metadata"].get("namespace", ""),
        "labels": _labels(service),
        "ownerReferences": [owner_reference(service)],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": _written(ports),
    }


def _slices(view: Reader, service: Service) -> Iterator[EndpointSlice]:
    """Those that this controller made for it."""
    labels = {SERVICE_NAME: service["metadata"].get("name", ""), MANAGED_BY: OUR_NAME}
    return view.select(ENDPOINT_SLICE, service["metadata"].get("namespace", ""), {"matchLabels": labels})


def _of_pod(view: Reader, obj: KubeObject) -> Iterator[Key]:
    for service in view.list(SERVICE, obj["metadata"].get("namespace", "")):
        if matches_map(service["spec"].get("selector"), labels_of(obj)):
            yield key_of(service)


def _of_slice(_: Reader, obj: KubeObject) -> Iterator[Key]:
    labels = labels_of(obj)
    if labels.get(MANAGED_BY) == OUR_NAME and (name := labels.get(SERVICE_NAME)):
        yield SERVICE.key(obj["metadata"].get("namespace", ""), name)


ENDPOINT_SLICE_CONTROLLER: Final = Controller(
    "endpointslice",
    reconcile,
    (
        Trigger("", "Service", lambda _, obj: (key_of(obj),)),
        Trigger("", "Pod", _of_pod),
        Trigger("discovery.k8s.io", "EndpointSlice", _of_slice),
    ),
    resync=lambda view: (key_of(one) for one in view.list(SERVICE)),
)
