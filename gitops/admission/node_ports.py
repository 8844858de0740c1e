"""How services are reached from outside: ports of the nodes, and addresses that are not the cluster's own. Pure.

A port is chosen from the service's name, as its address is (`allocate`): made anew, a service gets its ports back.
Source: Kubernetes, registry/core/service/{storage,portallocator}; plug-in DenyServiceExternalIPs; CVE-2020-8554.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import chain
from typing import Final, cast
from zlib import crc32

from gitops.admission.settings import Settings
from gitops.kinds import wording
from gitops.kinds.core.node import NODE
from gitops.kinds.core.service import (
    SERVICE,
    Service,
    ServicePort,
    ServiceSpec,
    has_node_ports,
    is_outward,
    wants_health_check,
)
from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.kind import Problem
from gitops.kinds.objects import key_of
from gitops.reconcile import Reader

STATIC_BAND_MIN, STATIC_BAND_MAX = 16, 128  # The lower ports are left for those who choose, as in Kubernetes.
LB_PORTS: Final = "allocateLoadBalancerNodePorts"


def with_node_ports(view: Reader, service: Service, settings: Settings) -> Service:
    """The service with a port of the nodes for each of its ports, if its type has such and they were not chosen.

    Raises: Unavailable, if the range is used up.
    """
    spec = service["spec"]
    ports = spec.get("ports") or []
    wanted = [port for port in ports if has_node_ports(service) and not port.get("nodePort")]
    health = wants_health_check(service) and not spec.get("healthCheckNodePort")
    if not wanted and not health:
        return service
    key = key_of(service)
    taken = _taken(view, key) | _ports_of(spec)
    given = []
    for port in ports:
        if port in wanted:
            number = _free(taken, f"{key.namespace}/{key.name}/{port['protocol']}/{port['port']}", settings)
            taken.add(number)
            port = cast(ServicePort, {**port, "nodePort": number})
        given.append(port)
    spec = cast(ServiceSpec, {**spec, "ports": given})
    if health:
        spec = {**spec, "healthCheckNodePort": _free(taken, f"{key.namespace}/{key.name}/health", settings)}
    return {**service, "spec": spec}


def keep_node_ports(old: Service, new: Service) -> Service:
    """The new service with what was allocated to the old one, where it leaves that out.

    What belongs to the old type alone goes with it, if it was only carried along.
    """
    before, after = old["spec"], new["spec"]
    spec = cast(ServiceSpec, dict(after))
    if not is_outward(after) and before.get("externalTrafficPolicy") == after.get("externalTrafficPolicy"):
        spec.pop("externalTrafficPolicy", None)
    if after["type"] != "LoadBalancer" and before.get(LB_PORTS) == after.get(LB_PORTS):
        spec.pop(LB_PORTS, None)
    if not wants_health_check(new) and after.get("healthCheckNodePort") == before.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    elif wants_health_check(new) and "healthCheckNodePort" in before:
        spec.setdefault("healthCheckNodePort", before["healthCheckNodePort"])
    known = {
        (port["protocol"], port["port"]): port["nodePort"]
        for port in before.get("ports") or []
        if port.get("nodePort")
    }
    chosen = _ports_of(after)
    ports = [_kept(new, port, known, chosen) for port in after.get("ports") or []]
    if ports:
        spec["ports"] = ports
    return new if spec == after else {**new, "spec": spec}


def _kept(
    new: Service, port: ServicePort, known: dict[tuple[str, int], int], chosen: set[int]
) -> ServicePort:
    was = known.get((port["protocol"], port["port"]))
    now = port.get("nodePort")
    if has_node_ports(new):
        if was is not None and not now and was not in chosen:
            return {**port, "nodePort": was}
    elif new["spec"]["type"] == "ClusterIP" and now and now == was:
        return cast(ServicePort, {name: value for name, value in port.items() if name != "nodePort"})
    return port


def check_outside(
    view: Reader, service: Service, settings: Settings, old: Service | None = None
) -> Iterator[Problem]:
    """Chosen ports must lie in the range and be free; addresses must be the operator's to give, and nobody's yet."""
    spec = service["spec"]
    low, high = settings.node_ports
    numbers = [
        (f"spec.ports[{index}].nodePort", port.get("nodePort"))
        for index, port in enumerate(spec.get("ports") or [])
    ]
    numbers.append(("spec.healthCheckNodePort", spec.get("healthCheckNodePort")))
    known = _ports_of(old["spec"]) if old is not None else set()
    fresh = [(field, number) for field, number in numbers if number and number not in known]
    taken = _taken(view, key_of(service)) if fresh else set()
    for field, number in fresh:
        if not low <= number <= high:
            why = "provided port is not in the valid range. The range of valid ports is"
            yield wording.invalid(field, number, f"{why} {low}-{high}")
        elif number in taken:
            yield wording.invalid(field, number, "provided port is already allocated")
    known_ips = set(old["spec"].get("externalIPs") or []) if old is not None else set()
    for index, text in enumerate(spec.get("externalIPs") or []):
        if text not in known_ips and (why := _not_to_claim(view, text, settings)):
            yield wording.forbidden(f"spec.externalIPs[{index}]", why)


def _not_to_claim(view: Reader, text: str, settings: Settings) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        return f"{text} is no IPv4 address, and the cluster has no others"
    if not any(address in network for network in settings.external_ips):
        return (
            f"{text}: a Service that claims an address takes what others send to it. "
            "The operator may allow ranges by --allow-external-ips"
        )
    if address in settings.service_cidr:
        return f"{text} is in the range of the Services, {settings.service_cidr}"
    for node in view.list(NODE):
        told = (node.get("status") or {}).get("addresses") or []
        if any(one.get("address") == text for one in told):
            return f"{text} is an address of node {node['metadata'].get('name', '')}"
    return ""


def _taken(view: Reader, but: Key) -> set[int]:
    return {
        number
        for service in view.list(SERVICE)
        if key_of(service) != but
        for number in _ports_of(service["spec"])
    }


def _ports_of(spec: ServiceSpec) -> set[int]:
    found = {port.get("nodePort") or 0 for port in spec.get("ports") or []}
    found.add(spec.get("healthCheckNodePort") or 0)
    return found - {0}


def _free(taken: set[int], name: str, settings: Settings) -> int:
    """The first free port from where the name points, going round; the static band comes last."""
    low, high = settings.node_ports
    ports = range(low, high + 1)
    band = min(max(STATIC_BAND_MIN, len(ports) // 32), STATIC_BAND_MAX)
    for part in (ports[band:], ports[:band]):
        if part:
            start = crc32(name.encode()) % len(part)
            for number in chain(part[start:], part[:start]):
                if number not in taken:
                    return number
    raise Unavailable(f"no port of {low}-{high} is free for {name}; see --node-port-range")
