"""Slices for Endpoints that people wrote: of a Service without a selector, whose addresses lie outside the cluster.

Source: kubernetes/pkg/controller/endpointslicemirroring, 1.35. IPv4 only.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from gitops.controllers.endpointslice import MANAGED_BY, SERVICE_NAME
from gitops.kinds.core.endpoints import ENDPOINTS, EndpointAddress, Endpoints, EndpointSubset
from gitops.kinds.core.service import SERVICE
from gitops.kinds.discovery import ENDPOINT_SLICE, Endpoint, EndpointPort, EndpointSlice
from gitops.kinds.keys import Key
from gitops.kinds.objects import (
    KubeObject,
    ObjectMeta,
    annotations_of,
    is_going,
    key_of,
    labels_of,
    owner_reference,
    with_meta,
)
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

OUR_NAME: Final = "endpointslicemirroring-controller.k8s.io"
SKIP: Final = "endpointslice.kubernetes.io/skip-mirror"
LEADER: Final = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
ADDRESSES_MAX: Final = 1_000  # Of a subset; the rest is left out, as in Kubernetes.
GENERATED_NAME_MAX: Final = 247

_Ports = tuple[tuple[str, int, str, str], ...]


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Make the slices that mirror an Endpoints object say what it says.

    Args:
        view: read are `key`, the Service of its name, and the mirrors.
        key: an Endpoints object. If it is gone, nothing is written: its mirrors leave by owner reference.
        now: not used.
    """
    endpoints = view.get(ENDPOINTS, key)
    if endpoints is None or is_going(endpoints):
        return NOTHING
    present = [one for one in _mirrors(view, key) if not is_going(one)]
    wanted = _wanted(endpoints) if _is_mirrored(view, endpoints) else {}
    create: list[KubeObject] = []
    update: list[KubeObject] = []
    kept: set[Key] = set()
    for ports, addresses in wanted.items():
        one = next((each for each in present if _ports_of(each) == ports and key_of(each) not in kept), None)
        if one is None:
            create.append(_new(endpoints, ports, addresses))
            continue
        kept.add(key_of(one))
        target = cast(EndpointSlice, {**with_meta(one, labels=_labels(endpoints)), "endpoints": addresses})
        if target != one:
            update.append(target)
    gone = tuple(key_of(one) for one in present if key_of(one) not in kept)
    return Writes(create=tuple(create), update=tuple(update), delete=gone)


def _is_mirrored(view: Reader, endpoints: Endpoints) -> bool:
    if labels_of(endpoints).get(SKIP) == "true" or LEADER in annotations_of(endpoints):
        return False
    service = view.get(SERVICE, _service_key(endpoints))
    return service is not None and not service["spec"].get("selector")


def _wanted(endpoints: Endpoints) -> dict[_Ports, list[Endpoint]]:
    wanted: dict[_Ports, list[Endpoint]] = {}
    for subset in endpoints.get("subsets") or ():
        listed = [*_endpoints_of(subset.get("addresses"), ready=True),
                  *_endpoints_of(subset.get("notReadyAddresses"), ready=False)]  # fmt: skip
        if listed:
            wanted.setdefault(_ports(subset), []).extend(listed[:ADDRESSES_MAX])
    return wanted


def _endpoints_of(addresses: list[EndpointAddress] | None, *, ready: bool) -> Iterator[Endpoint]:
    for address in addresses or ():
        if ":" in address["ip"]:
            continue
        endpoint: Endpoint = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
        if "hostname" in address:
            endpoint["hostname"] = address["hostname"]
        if "nodeName" in address:
            endpoint["nodeName"] = address["nodeName"]
        if "targetRef" in address:
            endpoint["targetRef"] = address["targetRef"]
        yield endpoint


def _ports(subset: EndpointSubset) -> _Ports:
    return tuple(
        sorted(
            (port.get("name", ""), port["port"], port.get("protocol", "TCP"), port.get("appProtocol", ""))
            for port in subset.get("ports") or ()
        )
    )


def _ports_of(one: EndpointSlice) -> _Ports:
    return tuple(
        sorted(
            (
                port.get("name", ""),
                port.get("port", 0),
                port.get("protocol", "TCP"),
                port.get("appProtocol", ""),
            )
            for port in one.get("ports") or ()
        )
    )


def _labels(endpoints: Endpoints) -> dict[str, str]:
    name = endpoints["metadata"].get("name", "")
    return {**labels_of(endpoints), SERVICE_NAME: name, MANAGED_BY: OUR_NAME}


def _new(endpoints: Endpoints, ports: _Ports, addresses: list[Endpoint]) -> EndpointSlice:
    name = endpoints["metadata"].get("name", "")
    meta: ObjectMeta = {
        "generateName": f"{name[:GENERATED_NAME_MAX]}-",
        "namespace": endpoints["metadata"].get("namespace", ""),
        "labels": _labels(endpoints),
        "ownerReferences": [owner_reference(endpoints)],
    }
    kept = {key: value for key, value in annotations_of(endpoints).items() if key != LAST_APPLIED}
    if kept:
        meta["annotations"] = kept
    written: list[EndpointPort] = []
    for label, number, protocol, app_protocol in ports:
        port: EndpointPort = {"name": label, "port": number, "protocol": protocol}
        if app_protocol:
            port["appProtocol"] = app_protocol
        written.append(port)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": addresses,
        "ports": written,
    }


def _mirrors(view: Reader, key: Key) -> Iterator[EndpointSlice]:
    labels = {SERVICE_NAME: key.name, MANAGED_BY: OUR_NAME}
    return view.select(ENDPOINT_SLICE, key.namespace, {"matchLabels": labels})


def _service_key(obj: KubeObject) -> Key:
    return SERVICE.key(obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))


def _of_service(_: Reader, obj: KubeObject) -> Iterator[Key]:
    yield ENDPOINTS.key(obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))


def _of_slice(_: Reader, obj: KubeObject) -> Iterator[Key]:
    labels = labels_of(obj)
    if labels.get(MANAGED_BY) == OUR_NAME and (name := labels.get(SERVICE_NAME)):
        yield ENDPOINTS.key(obj["metadata"].get("namespace", ""), name)


MIRRORING_CONTROLLER: Final = Controller(
    "endpointslice-mirroring",
    reconcile,
    (
        Trigger("", "Endpoints", lambda _, obj: (key_of(obj),)),
        Trigger("", "Service", _of_service),
        Trigger("discovery.k8s.io", "EndpointSlice", _of_slice),
    ),
    resync=lambda view: (key_of(one) for one in view.list(ENDPOINTS)),
)
