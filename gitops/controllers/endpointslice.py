"""EndpointSlice: the addresses of the pods behind each Service that has a selector.

Source: kubernetes/pkg/controller/endpointslice and staging/src/k8s.io/endpointslice, 1.35. IPv4 only. Selector-less
Services keep the slices that others made for them.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, cast

from gitops.controllers.service_pods import Member, service_pods
from gitops.controllers.slice_parts import (
    HEADLESS,
    MANAGED_BY,
    SERVICE_NAME,
    Ports,
    declared_ports,
    hostname_in,
    new_slice,
    ports_in,
    ports_of,
    reference_to,
    selects_pods,
    service_name_in,
    services_of,
    slices_of,
)
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE, Service, is_headless
from gitops.kinds.discovery import Endpoint, EndpointSlice
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of, labels_of, with_meta
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

ENDPOINTS_MAX: Final = 100  # Per slice, as Kubernetes: a change of one pod must not resend a thousand.
OUR_NAME: Final = "endpointslice-controller.k8s.io"  # Kubernetes' own: clients look for it.
ZONE: Final = "topology.kubernetes.io/zone"


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
    members = service_pods(view).of(key)
    zones = _zones(view, members)
    wanted: dict[Ports, dict[str, Endpoint]] = {}
    ports = ports_of(service)
    for member in members:
        endpoint = _endpoint(service, member, zones[member.node])
        wanted.setdefault(ports(member), {})[member.uid] = endpoint
    return _bring(view, service, wanted)


def _bring(view: Reader, service: Service, wanted: Mapping[Ports, Mapping[str, Endpoint]]) -> Writes:
    """The difference between the slices that are there and the endpoints that should be."""
    create: list[KubeObject] = []
    update: list[KubeObject] = []
    delete: list[Key] = []
    present = [one for one in slices_of(view, key_of(service), OUR_NAME) if not is_going(one)]
    keep_empty = not wanted  # A Service always has a slice, so that clients can tell "none" from "not yet".
    for ports in {ports_in(one.get("ports")): None for one in present} | dict.fromkeys(wanted):
        missing = dict(wanted.get(ports, {}))
        filled = [(one, _kept(one, missing)) for one in present if ports_in(one.get("ports")) == ports]
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
        parts = (rest[at : at + ENDPOINTS_MAX] for at in range(0, len(rest), ENDPOINTS_MAX))
        create += [new_slice(service, _labels(service), ports, part) for part in parts]
    if keep_empty and not create and not present:
        create.append(new_slice(service, _labels(service), declared_ports(service), []))
    return Writes(create=tuple(create), update=tuple(update), delete=tuple(delete))


def _endpoint(service: Service, member: Member, zone: str) -> Endpoint:
    """One pod. `ready` says "send new connections here": not to a pod that stops, but for publishNotReadyAddresses."""
    published = service["spec"].get("publishNotReadyAddresses", False)
    endpoint: Endpoint = {
        "addresses": [member.address],
        "conditions": {
            "ready": published or (member.ready and not member.going),
            "serving": member.ready,
            "terminating": member.going,
        },
        "targetRef": reference_to(service["metadata"].get("namespace", ""), member),
    }
    if member.node:
        endpoint["nodeName"] = member.node
        if zone:
            endpoint["zone"] = zone
    if hostname := hostname_in(service, member):
        endpoint["hostname"] = hostname
    return endpoint


def _zones(view: Reader, members: Iterable[Member]) -> dict[str, str]:
    """By node, '' where nobody says."""
    return {name: _zone_of(view, name) for name in {one.node for one in members}}


def _zone_of(view: Reader, name: str) -> str:
    node = view.get(NODE, NODE.key("", name))
    return labels_of(node).get(ZONE, "") if node is not None else ""


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


def _of_node(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """The Services whose slices tell another zone of the node than it has now. Nodes report often, and seldom move."""
    name = obj["metadata"].get("name", "")
    zone = _zone_of(view, name)
    for key in sorted({key for pod in view.on_node(POD, name) for key in services_of(view, pod)}):
        endpoints = (one for part in slices_of(view, key, OUR_NAME) for one in part["endpoints"])
        if any(one.get("nodeName") == name and one.get("zone", "") != zone for one in endpoints):
            yield key


def _of_slice(_: Reader, obj: KubeObject) -> Iterator[Key]:
    if name := service_name_in(obj, OUR_NAME):
        yield SERVICE.key(obj["metadata"].get("namespace", ""), name)


ENDPOINT_SLICE_CONTROLLER: Final = Controller(
    "endpointslice",
    reconcile,
    (
        Trigger("", "Service", lambda _, obj: (key_of(obj),)),
        Trigger("", "Pod", services_of),
        Trigger("", "Node", _of_node),
        Trigger("discovery.k8s.io", "EndpointSlice", _of_slice),
    ),
    resync=lambda view: (key_of(one) for one in view.list(SERVICE)),
)
