"""Endpoints: the older picture of a Service's pods, one object named as the Service, for clients that still read it.

Source: kubernetes/pkg/controller/endpoint, 1.35. IPv4 only. Services without a selector keep the object that others
made for them. What traffic follows are the endpoint slices.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, cast

from gitops.controllers.service_pods import Member, service_pods
from gitops.controllers.slice_parts import (
    HEADLESS,
    PodPort,
    Ports,
    hostname_in,
    ports_of,
    reference_to,
    selects_pods,
    services_of,
)
from gitops.kinds.core.endpoints import (
    ENDPOINTS,
    EndpointAddress,
    Endpoints,
    EndpointsPort,
    EndpointSubset,
)
from gitops.kinds.core.service import SERVICE, Service, is_headless
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, annotations_of, is_going, key_of, labels_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

ADDRESSES_MAX: Final = 1_000  # Of one object: beyond it the rest is left out, and an annotation says so.
MANAGED_BY: Final = "endpoints.kubernetes.io/managed-by"
OUR_NAME: Final = "endpoint-controller"
TRIGGERED: Final = "endpoints.kubernetes.io/last-change-trigger-time"
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"

_Entry = tuple[Ports, bool, EndpointAddress]  # Ports, whether ready, and where.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Make the Endpoints of a Service say what its pods are.

    Args:
        view: read are `key`, the pods that it selects, and the Endpoints of its name.
        key: a Service. If it is gone, what we made for it goes.
        now: not used; the times in it are the pods'.
    """
    service = view.get(SERVICE, key)
    present = view.get(ENDPOINTS, ENDPOINTS.key(key.namespace, key.name))
    if service is None or is_going(service):
        ours = present is not None and labels_of(present).get(MANAGED_BY) == OUR_NAME
        return Writes(delete=(ENDPOINTS.key(key.namespace, key.name),)) if ours else NOTHING
    if not selects_pods(service) or (present is not None and is_going(present)):
        return NOTHING
    members = [one for one in service_pods(view).of(key) if _is_listed(service, one)]
    target = _endpoints(service, members, present)
    if present is None:
        return Writes(create=(target,))
    return NOTHING if target == present else Writes(update=(target,))


def _is_listed(service: Service, member: Member) -> bool:
    """It does not stop, unless the Service wants those that are not ready, too."""
    return not member.going or service["spec"].get("publishNotReadyAddresses", False)


def _endpoints(service: Service, members: Iterable[Member], present: Endpoints | None) -> Endpoints:
    unready_too = service["spec"].get("publishNotReadyAddresses", False)
    times, entries = [service["metadata"].get("creationTimestamp", "")], list[_Entry]()
    ports_in_pod = ports_of(service)
    for member in members:
        ports = ports_in_pod(member)
        if not ports and service["spec"].get("ports"):
            continue
        times.append(member.since)
        entries.append((ports, unready_too or member.ready, _address(service, member)))
    entries.sort(
        key=lambda entry: (not entry[1], entry[2]["ip"], (entry[2].get("targetRef") or {}).get("uid", ""))
    )
    annotations = {
        name: value
        for name, value in (annotations_of(present) if present else {}).items()
        if name not in (TRIGGERED, OVER_CAPACITY)
    }
    annotations[TRIGGERED] = max(times)
    if len(entries) > ADDRESSES_MAX:
        annotations[OVER_CAPACITY] = "truncated"
    labels = {**labels_of(service), MANAGED_BY: OUR_NAME}
    labels.pop(HEADLESS, None)
    if is_headless(service):
        labels[HEADLESS] = ""
    place = service["metadata"]
    meta = (
        present["metadata"]
        if present
        else {"name": place.get("name", ""), "namespace": place.get("namespace", "")}
    )
    changed = {**meta, "labels": labels, "annotations": annotations}
    made = {"apiVersion": "v1", "kind": "Endpoints", "metadata": changed}
    subsets = _subsets(entries[:ADDRESSES_MAX])
    return cast(Endpoints, {**made, "subsets": subsets} if subsets else made)


def _address(service: Service, member: Member) -> EndpointAddress:
    address: EndpointAddress = {
        "ip": member.address,
        "targetRef": reference_to(service["metadata"].get("namespace", ""), member),
    }
    if member.node:
        address["nodeName"] = member.node
    if hostname := hostname_in(service, member):
        address["hostname"] = hostname
    return address


def _subsets(entries: Iterable[_Entry]) -> list[EndpointSubset]:
    """Addresses that serve the same ports together: named ports may mean another number on each pod."""
    grouped: dict[Ports, tuple[list[EndpointAddress], list[EndpointAddress]]] = {}
    for ports, ready, address in entries:
        grouped.setdefault(ports, ([], []))[0 if ready else 1].append(address)
    return [_subset(ports, *grouped[ports]) for ports in sorted(grouped)]


def _subset(ports: Ports, ready: list[EndpointAddress], others: list[EndpointAddress]) -> EndpointSubset:
    subset: EndpointSubset = {}
    if ready:
        subset["addresses"] = ready
    if others:
        subset["notReadyAddresses"] = others
    if ports:
        subset["ports"] = [_port(port) for port in ports]
    return subset


def _port(port: PodPort) -> EndpointsPort:
    written: EndpointsPort = {"port": port.port, "protocol": port.protocol}
    if port.name:
        written["name"] = port.name
    if port.app_protocol:
        written["appProtocol"] = port.app_protocol
    return written


def _of_endpoints(_: Reader, obj: KubeObject) -> Iterator[Key]:
    yield SERVICE.key(obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))


ENDPOINTS_CONTROLLER: Final = Controller(
    "endpoints",
    reconcile,
    (
        Trigger("", "Service", lambda _, obj: (key_of(obj),)),
        Trigger("", "Pod", services_of),
        Trigger("", "Endpoints", _of_endpoints),
    ),
    resync=lambda view: (key_of(one) for one in view.list(SERVICE)),
)
