"""Service (core/v1): a stable address in front of pods. Source: Kubernetes API reference 1.35."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.filling import change_each, fill, fill_zero
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import Condition, KubeObject
from gitops.kinds.tables import NONE, Row, age_of, columns, labels_text, name_of

AFFINITY_SECONDS: Final = 10_800
AFFINITY_SECONDS_MAX: Final = 86_400
OUTWARD: Final = ("NodePort", "LoadBalancer")
_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES: Final = ("Cluster", "Local")


class ServicePort(TypedDict):
    port: int
    protocol: str  # TCP, UDP or SCTP.
    targetPort: int | str
    name: NotRequired[str]  # Absent only where it is the single port.
    nodePort: NotRequired[int]  # Allocated by admission where the type wants one.
    appProtocol: NotRequired[str]


class ClientIPConfig(TypedDict):
    timeoutSeconds: NotRequired[int]


class SessionAffinityConfig(TypedDict):
    clientIP: NotRequired[ClientIPConfig]


class ServiceSpec(TypedDict):
    type: Literal["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    sessionAffinity: str  # None or ClientIP.
    ports: NotRequired[list[ServicePort]]
    selector: NotRequired[dict[str, str]]
    clusterIP: NotRequired[str]  # `None`: headless. Allocated by admission.
    clusterIPs: NotRequired[list[str]]
    ipFamilies: NotRequired[list[str]]
    ipFamilyPolicy: NotRequired[str]
    internalTrafficPolicy: NotRequired[str]
    externalTrafficPolicy: NotRequired[str]
    externalIPs: NotRequired[list[str]]  # Refused unless the operator allows their range.
    healthCheckNodePort: NotRequired[int]
    allocateLoadBalancerNodePorts: NotRequired[bool]
    loadBalancerSourceRanges: NotRequired[list[str]]
    externalName: NotRequired[str]
    publishNotReadyAddresses: NotRequired[bool]
    sessionAffinityConfig: NotRequired[SessionAffinityConfig]


class LoadBalancerIngress(TypedDict):
    ip: NotRequired[str]
    hostname: NotRequired[str]
    ipMode: NotRequired[str]


class LoadBalancerStatus(TypedDict):
    ingress: NotRequired[list[LoadBalancerIngress]]


class ServiceStatus(TypedDict):
    loadBalancer: NotRequired[LoadBalancerStatus]
    conditions: NotRequired[list[Condition]]


class Service(KubeObject):
    spec: ServiceSpec
    status: NotRequired[ServiceStatus]


def is_headless(service: Service) -> bool:
    return service["spec"].get("clusterIP") == "None"


def has_node_ports(service: Service) -> bool:
    """Whether its ports are to be reached at each node."""
    spec = service["spec"]
    if spec["type"] == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec["type"] == "NodePort"


def is_outward(spec: ServiceSpec) -> bool:
    """Whether something outside of the cluster may reach it."""
    return spec["type"] in OUTWARD or (spec["type"] == "ClusterIP" and bool(spec.get("externalIPs")))


def wants_health_check(service: Service) -> bool:
    """Whether a balancer outside is to ask each node if it has endpoints of this service."""
    spec = service["spec"]
    return spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _default_port(port: ServicePort) -> ServicePort:
    return fill_zero(fill_zero(port, protocol="TCP"), targetPort=port["port"])


def default_service(service: Service) -> Service:
    """Source: Kubernetes, pkg/apis/core/v1/defaults.go and the allocator's families on a cluster with IPv4 alone."""
    service = fill(service, spec={}, status={"loadBalancer": {}})
    spec = fill_zero(service["spec"], sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "ClientIP":
        spec = fill(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}})
    spec = change_each(spec, "ports", _default_port)
    if spec["type"] != "ExternalName":
        spec = fill_zero(
            spec, internalTrafficPolicy="Cluster", ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"]
        )
        if address := spec.get("clusterIP"):
            spec = fill_zero(spec, clusterIPs=[address])
    if spec["type"] in OUTWARD:
        spec = fill_zero(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        spec = fill(spec, allocateLoadBalancerNodePorts=True)
    return service if spec is service["spec"] else {**service, "spec": spec}


def check_service(service: Service) -> Iterator[Problem]:
    """Source: Kubernetes, pkg/apis/core/validation. What is taken or out of range is for the allocator to say."""
    spec = service["spec"]
    yield from wording.one_of("spec.type", spec["type"], _TYPES)
    yield from wording.one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    yield from names.check_labels(spec.get("selector"), "spec.selector")
    address = spec.get("clusterIP") or ""
    if spec["type"] == "ExternalName":
        if address:
            yield wording.forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")
        name = spec.get("externalName") or ""
        if not name:
            yield wording.required("spec.externalName")
        elif wrong := names.dns_subdomain(name.removesuffix(".")):
            yield wording.invalid("spec.externalName", name, wrong)
    elif not spec.get("ports") and address != "None":
        yield wording.required("spec.ports")
    if address and address != "None" and (wrong := names.ip(address)):
        yield wording.invalid("spec.clusterIPs[0]", address, wrong)
    if spec["type"] in OUTWARD and address == "None":
        yield wording.invalid(
            "spec.clusterIPs[0]", address, f"may not be set to 'None' for {spec['type']} services"
        )
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= AFFINITY_SECONDS_MAX:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield wording.invalid(field, seconds, f"must be greater than 0 and less than {AFFINITY_SECONDS_MAX}")
    yield from _check_families(spec)
    yield from _check_outside(spec)
    yield from _check_ports(spec.get("ports") or [])


def _check_families(spec: ServiceSpec) -> Iterator[Problem]:
    """A cluster with IPv4 alone. A headless service without selector may state any: its endpoints are somebody's own.
    Source: Kubernetes, registry/core/service/storage/alloc.go (initIPFamilyFields)."""
    if spec["type"] == "ExternalName" or (spec.get("clusterIP") == "None" and not spec.get("selector")):
        return
    for index, family in enumerate(spec.get("ipFamilies") or []):
        if family != "IPv4":
            yield wording.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
    if (policy := spec.get("ipFamilyPolicy")) == "RequireDualStack":
        why = "this cluster is not configured for dual-stack services"
        yield wording.invalid("spec.ipFamilyPolicy", policy, why)


def _check_outside(spec: ServiceSpec) -> Iterator[Problem]:
    """How it is reached from outside of the cluster. What the operator allows is for admission to say."""
    for index, address in enumerate(spec.get("externalIPs") or []):
        if wrong := names.ip(address) or names.special_ip(address):
            yield wording.invalid(f"spec.externalIPs[{index}]", address, wrong)
    if policy := spec.get("internalTrafficPolicy"):
        yield from wording.one_of("spec.internalTrafficPolicy", policy, _POLICIES)
    field = "spec.externalTrafficPolicy"
    if policy := spec.get("externalTrafficPolicy"):
        if not is_outward(spec):
            yield wording.invalid(field, policy, "may only be set for externally-accessible services")
        yield from wording.one_of(field, policy, _POLICIES)
    if spec["type"] not in OUTWARD:
        for index, port in enumerate(spec.get("ports") or []):
            if port.get("nodePort"):
                why = f"may not be used when `type` is '{spec['type']}'"
                yield wording.forbidden(f"spec.ports[{index}].nodePort", why)
    yield from _check_balancer(spec)


def _check_balancer(spec: ServiceSpec) -> Iterator[Problem]:
    if number := spec.get("healthCheckNodePort"):
        field = "spec.healthCheckNodePort"
        if spec["type"] != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
            why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            yield wording.invalid(field, number, why)
        yield from wording.port(field, number)
    ranges = spec.get("loadBalancerSourceRanges") or []
    if ranges and spec["type"] != "LoadBalancer":
        yield wording.forbidden(
            "spec.loadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"
        )
    for index, text in enumerate(ranges):
        if wrong := names.cidr(text.strip()):
            yield wording.invalid(f"spec.loadBalancerSourceRanges[{index}]", text, wrong)


def _check_ports(ports: list[ServicePort]) -> Iterator[Problem]:
    seen_names: set[str] = set()
    seen_node_ports: set[tuple[str, int]] = set()
    seen_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        field, name = f"spec.ports[{index}]", port.get("name") or ""
        if not name and len(ports) > 1:
            yield wording.required(f"{field}.name")
        elif name and (wrong := names.dns_label(name)):
            yield wording.invalid(f"{field}.name", name, wrong)
        elif name and name in seen_names:
            yield wording.duplicate(f"{field}.name", name)
        seen_names.add(name)
        yield from wording.port(f"{field}.port", port["port"])
        yield from wording.one_of(f"{field}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
        target = port["targetPort"]
        if isinstance(target, int):
            yield from wording.port(f"{field}.targetPort", target)
        elif wrong := names.port_name(target):
            yield wording.invalid(f"{field}.targetPort", target, wrong)
        if number := port.get("nodePort"):
            yield from wording.port(f"{field}.nodePort", number)
            if (port["protocol"], number) in seen_node_ports:
                yield wording.duplicate(f"{field}.nodePort", number)
            seen_node_ports.add((port["protocol"], number))
        pair = (port["protocol"], port["port"])
        if pair in seen_ports:
            yield wording.duplicate(field, {"port": port["port"], "protocol": port["protocol"]})
        seen_ports.add(pair)


def check_service_update(old: Service, new: Service) -> Iterator[Problem]:
    """A cluster address stays while the service has one."""
    before, after = old["spec"], new["spec"]
    if "ExternalName" in (before["type"], after["type"]):
        return
    if (was := before.get("clusterIP")) and was != after.get("clusterIP"):
        yield wording.invalid("spec.clusterIPs[0]", after.get("clusterIP"), "may not change once set")
    families = before.get("ipFamilies") or []
    if families and families[:1] != (after.get("ipFamilies") or [])[:1]:
        yield wording.invalid("spec.ipFamilies[0]", after.get("ipFamilies"), "may not change once set")


def _cells(service: Service, now: datetime) -> Row:
    spec = service["spec"]
    ports = ",".join(_port_text(port) for port in spec.get("ports") or ())
    return (
        name_of(service),
        spec["type"],
        spec.get("clusterIP") or NONE,
        _external(service),
        ports or NONE,
        age_of(service, now),
        labels_text(spec.get("selector")),
    )


def _port_text(port: ServicePort) -> str:
    node_port = port.get("nodePort")
    return (
        f"{port['port']}:{node_port}/{port['protocol']}"
        if node_port
        else f"{port['port']}/{port['protocol']}"
    )


def _external(service: Service) -> str:
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        return spec.get("externalName") or NONE
    own = list(spec.get("externalIPs") or [])
    if spec["type"] != "LoadBalancer":
        return ",".join(own) or NONE
    found = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    told = [one.get("ip") or one.get("hostname") or "" for one in found]
    return ",".join([*told, *own]) or "<pending>"


SERVICE: Final[Kind[Service]] = Kind(
    "v1",
    "Service",
    "services",
    short=("svc",),
    categories=("all",),
    subresources=("status",),
    shape=Service,
    defaults=default_service,
    check=check_service,
    check_update=check_service_update,
    columns=columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", wide=["Selector"]),
    cells=_cells,
    field_selectors=("spec.clusterIP", "spec.type"),
)
