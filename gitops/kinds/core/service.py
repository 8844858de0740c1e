"""Service (core/v1): a stable address in front of pods. Source: Kubernetes API reference 1.35."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict, cast

from gitops.kinds import names, wording
from gitops.kinds.filling import change_each, fill, fill_zero
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import Condition, KubeObject
from gitops.kinds.tables import NONE, Row, age_of, columns, labels_text, name_of

AFFINITY_SECONDS: Final = 10_800
AFFINITY_SECONDS_MAX: Final = 86_400
_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


class ServicePort(TypedDict):
    port: int
    protocol: str  # TCP, UDP or SCTP.
    targetPort: int | str
    name: NotRequired[str]  # Absent only where it is the single port.
    appProtocol: NotRequired[str]


class ClientIPConfig(TypedDict):
    timeoutSeconds: NotRequired[int]


class SessionAffinityConfig(TypedDict):
    clientIP: NotRequired[ClientIPConfig]


class ServiceSpec(TypedDict):
    type: Literal[
        "ClusterIP", "ExternalName"
    ]  # The others get a cluster address, and are told that it is all.
    sessionAffinity: str  # None or ClientIP.
    ports: NotRequired[list[ServicePort]]
    selector: NotRequired[dict[str, str]]
    clusterIP: NotRequired[str]  # `None`: headless. Allocated by admission.
    clusterIPs: NotRequired[list[str]]
    ipFamilies: NotRequired[list[str]]
    ipFamilyPolicy: NotRequired[str]
    internalTrafficPolicy: NotRequired[str]
    externalName: NotRequired[str]
    publishNotReadyAddresses: NotRequired[bool]
    sessionAffinityConfig: NotRequired[SessionAffinityConfig]


class LoadBalancerIngress(TypedDict):
    ip: NotRequired[str]
    hostname: NotRequired[str]


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
    kind: str = spec["type"]
    if kind in ("NodePort", "LoadBalancer"):
        spec = fill_zero(spec, externalTrafficPolicy="Cluster")
    if kind == "LoadBalancer":
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
    if spec["type"] in ("NodePort", "LoadBalancer") and address == "None":
        yield wording.invalid(
            "spec.clusterIPs[0]", address, f"may not be set to 'None' for {spec['type']} services"
        )
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= AFFINITY_SECONDS_MAX:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield wording.invalid(field, seconds, f"must be greater than 0 and less than {AFFINITY_SECONDS_MAX}")
    yield from _check_ports(spec.get("ports") or [])


def _check_ports(ports: list[ServicePort]) -> Iterator[Problem]:
    seen_names: set[str] = set()
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
    node_port = cast(Mapping[str, object], port).get("nodePort")
    return (
        f"{port['port']}:{node_port}/{port['protocol']}"
        if node_port
        else f"{port['port']}/{port['protocol']}"
    )


def _external(service: Service) -> str:
    kind: str = service["spec"]["type"]
    if kind == "ExternalName":
        return service["spec"].get("externalName") or NONE
    if kind != "LoadBalancer":
        return NONE
    found = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ",".join(one.get("ip") or one.get("hostname") or "" for one in found) or "<pending>"


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
