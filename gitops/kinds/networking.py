"""networking.k8s.io/v1: Ingress and IngressClass (API reference 1.35)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.filling import fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject, annotations_of
from gitops.kinds.tables import NONE, Row, age_of, columns, listed, name_of


class ServiceBackendPort(TypedDict):
    """Exactly one is there."""

    name: NotRequired[str]
    number: NotRequired[int]


class IngressServiceBackend(TypedDict):
    name: str
    port: NotRequired[ServiceBackendPort]


class IngressBackend(TypedDict):
    service: NotRequired[IngressServiceBackend]


class HTTPIngressPath(TypedDict):
    backend: IngressBackend
    pathType: Literal["Exact", "Prefix", "ImplementationSpecific"]
    path: NotRequired[str]


class HTTPIngressRuleValue(TypedDict):
    paths: list[HTTPIngressPath]


class IngressRule(TypedDict):
    host: NotRequired[str]
    http: NotRequired[HTTPIngressRuleValue]


class IngressTLS(TypedDict):
    hosts: NotRequired[list[str]]
    secretName: NotRequired[str]


class IngressSpec(TypedDict):
    ingressClassName: NotRequired[str]
    defaultBackend: NotRequired[IngressBackend]
    rules: NotRequired[list[IngressRule]]
    tls: NotRequired[list[IngressTLS]]


class IngressPortStatus(TypedDict):
    port: int
    protocol: str
    error: NotRequired[str]


class IngressLoadBalancerIngress(TypedDict):
    ip: NotRequired[str]
    hostname: NotRequired[str]
    ports: NotRequired[list[IngressPortStatus]]


class IngressLoadBalancerStatus(TypedDict):
    ingress: NotRequired[list[IngressLoadBalancerIngress]]


class IngressStatus(TypedDict):
    loadBalancer: NotRequired[IngressLoadBalancerStatus]


class Ingress(KubeObject):
    spec: IngressSpec
    status: NotRequired[IngressStatus]


class IngressClassSpec(TypedDict):
    controller: NotRequired[str]


class IngressClass(KubeObject):
    spec: IngressClassSpec


CLASS: Final = "gitward"
CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
# On a Node: where its proxy is reached, while it serves.
INGRESS_ADDRESS: Final = "gitward.io/ingress-address"


def is_served(ingress: Ingress) -> bool:
    """Whether it is Gitward's to serve: by its class, or because it names none."""
    name = ingress["spec"].get("ingressClassName") or annotations_of(ingress).get(CLASS_ANNOTATION)
    return name is None or name == CLASS


def default_ingress(ingress: Ingress) -> Ingress:
    return fill(ingress, spec={}, status={"loadBalancer": {}})


def check_ingress(ingress: Ingress) -> Iterator[Problem]:
    """Source: Kubernetes, pkg/apis/networking/validation."""
    spec = ingress["spec"]
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield wording.invalid("spec", [], "either `defaultBackend` or `rules` must be specified")
    if (backend := spec.get("defaultBackend")) is not None:
        yield from _check_backend(backend, "spec.defaultBackend")
    if (name := spec.get("ingressClassName")) is not None and (wrong := names.dns_subdomain(name)):
        yield wording.invalid("spec.ingressClassName", name, wrong)
    for index, tls in enumerate(spec.get("tls") or ()):
        for place, host in enumerate(tls.get("hosts") or ()):
            yield from _check_host(host, f"spec.tls[{index}].hosts[{place}]")
    for index, rule in enumerate(spec.get("rules") or ()):
        field = f"spec.rules[{index}]"
        if name := rule.get("host"):
            yield from _check_host(name, f"{field}.host")
        if (http := rule.get("http")) is not None:
            if not http["paths"]:
                yield wording.required(f"{field}.http.paths")
            for place, path in enumerate(http["paths"]):
                yield from _check_path(path, f"{field}.http.paths[{place}]")


def warn_ingress(ingress: Ingress) -> Iterator[str]:
    """Most Ingresses that people have name a class of another proxy, and would wait for it without a word."""
    spec = ingress.get("spec")  # What was written may be a part of one, or wrong.
    if isinstance(spec, Mapping) and not is_served(ingress):
        where = "spec.ingressClassName" if spec.get("ingressClassName") else CLASS_ANNOTATION
        yield (
            f"{where}: Gitward's own proxy serves the class {CLASS} and Ingresses that name none, so this one waits "
            "for another controller"
        )


def _check_host(host: str, field: str) -> Iterator[Problem]:
    if not names.ip(host):
        yield wording.invalid(field, host, "must be a DNS name, not an IP address")
    elif wrong := (names.wildcard_subdomain if "*" in host else names.dns_subdomain)(host):
        yield wording.invalid(field, host, wrong)


def _check_path(path: HTTPIngressPath, field: str) -> Iterator[Problem]:
    kind, text = path["pathType"], path.get("path") or ""
    yield from wording.one_of(f"{field}.pathType", kind, ("Exact", "ImplementationSpecific", "Prefix"))
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            yield wording.invalid(f"{field}.path", text, "must be an absolute path")
        for part in ("//", "/./", "/../", "%2f", "%2F"):
            if part in text:
                yield wording.invalid(f"{field}.path", text, f"must not contain '{part}'")
    elif text and not text.startswith("/"):
        yield wording.invalid(f"{field}.path", text, "must be an absolute path")
    yield from _check_backend(path["backend"], f"{field}.backend")


def _check_backend(backend: IngressBackend, field: str) -> Iterator[Problem]:
    service, resource = backend.get("service"), "resource" in backend
    if service is not None and resource:
        yield wording.invalid(field, "", "cannot set both resource and service backends")
    if service is None:
        if not resource:
            yield wording.required(field, "an ingress backend must have a service or a resource")
        return
    wrong = names.dns_1035_label(service["name"])
    if wrong:
        yield wording.invalid(f"{field}.service.name", service["name"], wrong)
    port = service.get("port") or ServiceBackendPort()
    number, name = port.get("number"), port.get("name")
    if name and number:
        yield wording.invalid(f"{field}.service.port", "", "cannot set both port name & port number")
    elif name:
        if wrong := names.port_name(name):
            yield wording.invalid(f"{field}.service.port.name", name, wrong)
    elif number is None:
        yield wording.required(f"{field}.service.port", "port name or number is required")
    else:
        yield from wording.port(f"{field}.service.port.number", number)


def _cells(ingress: Ingress, now: datetime) -> Row:
    spec = ingress["spec"]
    hosts = [host for rule in spec.get("rules") or () if (host := rule.get("host"))]
    addresses = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return (
        name_of(ingress),
        spec.get("ingressClassName") or NONE,
        listed(hosts, "*"),
        ",".join(one.get("ip") or one.get("hostname") or "" for one in addresses),
        "80, 443" if spec.get("tls") else "80",
        age_of(ingress, now),
    )


def _class_cells(ingress_class: IngressClass, now: datetime) -> Row:
    controller = ingress_class["spec"].get("controller", "")
    return name_of(ingress_class), controller, NONE, age_of(ingress_class, now)


INGRESS: Final[Kind[Ingress]] = Kind(
    "networking.k8s.io/v1",
    "Ingress",
    "ingresses",
    short=("ing",),
    subresources=("status",),
    shape=Ingress,
    defaults=default_ingress,
    check=check_ingress,
    warn=warn_ingress,
    columns=columns("Name", "Class", "Hosts", "Address", "Ports", "Age"),
    cells=_cells,
)
INGRESS_CLASS: Final[Kind[IngressClass]] = Kind(
    "networking.k8s.io/v1",
    "IngressClass",
    "ingressclasses",
    namespaced=False,
    shape=IngressClass,
    defaults=lambda ingress_class: fill(ingress_class, spec={}),
    columns=columns("Name", "Controller", "Parameters", "Age"),
    cells=_class_cells,
)
