"""Slices for Endpoints that people wrote: of a Service without a selector, whose addresses lie outside the cluster.

Source: kubernetes/pkg/controller/endpointslicemirroring, 1.35. IPv4 only.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from gitops.controllers.slice_parts import (
    MANAGED_BY,
    SERVICE_NAME,
    Ports,
    new_slice,
    ports_in,
    service_name_in,
    slices_of,
)
from gitops.kinds.core.endpoints import ENDPOINTS, EndpointAddress, Endpoints
from gitops.kinds.core.service import SERVICE
from gitops.kinds.discovery import Endpoint, EndpointSlice
from gitops.kinds.keys import Key
from gitops.kinds.objects import (
    KubeObject,
    annotations_of,
    is_going,
    key_of,
    labels_of,
    with_meta,
)
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

OUR_NAME: Final = "endpointslicemirroring-controller.k8s.io"
SKIP: Final = "endpointslice.kubernetes.io/skip-mirror"
LEADER: Final = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
ADDRESSES_MAX: Final = 1_000  # Of a subset; the rest is left out, as in Kubernetes.


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
    present = [one for one in slices_of(view, key, OUR_NAME) if not is_going(one)]
    wanted = _wanted(endpoints) if _is_mirrored(view, endpoints) else {}
    create: list[KubeObject] = []
    update: list[KubeObject] = []
    kept: set[Key] = set()
    for ports, addresses in wanted.items():
        alike = (each for each in present if ports_in(each.get("ports")) == ports)
        one = next((each for each in alike if key_of(each) not in kept), None)
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


def _wanted(endpoints: Endpoints) -> dict[Ports, list[Endpoint]]:
    wanted: dict[Ports, list[Endpoint]] = {}
    for subset in endpoints.get("subsets") or ():
        listed = [*_endpoints_of(subset.get("addresses"), ready=True),
                  *_endpoints_of(subset.get("notReadyAddresses"), ready=False)]  # fmt: skip
        if listed:
            wanted.setdefault(ports_in(subset.get("ports")), []).extend(listed[:ADDRESSES_MAX])
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


def _labels(endpoints: Endpoints) -> dict[str, str]:
    name = endpoints["metadata"].get("name", "")
    return {**labels_of(endpoints), SERVICE_NAME: name, MANAGED_BY: OUR_NAME}


def _new(endpoints: Endpoints, ports: Ports, addresses: list[Endpoint]) -> EndpointSlice:
    made = new_slice(endpoints, _labels(endpoints), ports, addresses)
    kept = {key: value for key, value in annotations_of(endpoints).items() if key != LAST_APPLIED}
    return with_meta(made, annotations=kept) if kept else made


def _service_key(obj: KubeObject) -> Key:
    return SERVICE.key(obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))


def _of_service(_: Reader, obj: KubeObject) -> Iterator[Key]:
    yield ENDPOINTS.key(obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))


def _of_slice(_: Reader, obj: KubeObject) -> Iterator[Key]:
    if name := service_name_in(obj, OUR_NAME):
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
