"""Which request goes to which service: Ingress objects as typed values, checked so that nothing in them can become
text of the proxy's configuration. Pure.

Source: Kubernetes' Ingress documentation. The oldest object keeps a host and path that two claim. A bad rule is told
and left out; it never hurts another.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.services.table import Backend, Backends, Slices, backends_of, place
from gitops.kinds.core.service import Service, ServicePort
from gitops.kinds.networking import HTTPIngressPath, Ingress, IngressBackend, is_served
from gitops.kinds.objects import is_going

HOST: Final = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
PATH: Final = re.compile(
    r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*", re.ASCII
)  # RFC 3986: what a path may hold at all.
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
HOST_LENGTH_MAX: Final = 253
PATH_LENGTH_MAX: Final = 1024
NO_BACKENDS: Final = Backends((), last_resort=False)


class Trouble(NamedTuple):
    """What a user must know of an Ingress; `ingress` is (namespace, name)."""

    ingress: tuple[str, str]
    message: str


class Route(NamedTuple):
    """`host` '': every host. `path` of a prefix has no slash at its end ('' is the prefix of all)."""

    host: str
    path: str
    exact: bool
    backend: str


class TlsUse(NamedTuple):
    """A secret, (namespace, name), for these hosts; none: those that the certificate names itself."""

    secret: tuple[str, str]
    hosts: tuple[str, ...]
    ingress: tuple[str, str]


class ProxyBackend(NamedTuple):
    name: str
    endpoints: tuple[Backend, ...]
    last_resort: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything sorted, so that equal clusters give equal files."""

    routes: tuple[Route, ...] = ()
    backends: tuple[ProxyBackend, ...] = ()
    default_backend: str = ""
    tls: tuple[TlsUse, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    def offers(self, address: str) -> bool:
        """Whether new requests go to this address although others could take them."""
        return any(
            endpoint.address == address
            for backend in self.backends
            if not backend.last_resort
            for endpoint in backend.endpoints
        )


def plan(ingresses: Iterable[Ingress], services: Iterable[Service], slices: Slices) -> Plan:
    planner = _Planner({place(service): service for service in services}, slices)
    for ingress in sorted(ingresses, key=_age):
        if is_served(ingress) and not is_going(ingress):
            planner.add(ingress)
    return planner.plan()


def _age(ingress: Ingress) -> tuple[str, str, str]:
    meta = ingress["metadata"]
    return meta.get("creationTimestamp", ""), meta.get("namespace", ""), meta.get("name", "")


class _Planner:
    """Collects ingress by ingress, oldest first."""

    def __init__(self, services: Mapping[tuple[str, str], Service], slices: Slices) -> None:
        self._services, self._slices = services, slices
        self._routes: dict[tuple[str, str, bool], Route] = {}
        self._owners: dict[tuple[str, str, bool], tuple[str, str]] = {}
        self._backends: dict[str, ProxyBackend] = {}
        self._tls: dict[str, TlsUse] = {}
        self._tls_without_hosts: list[TlsUse] = []
        self._default = ""
        self._troubles: list[Trouble] = []

    def plan(self) -> Plan:
        uses: dict[tuple[tuple[str, str], tuple[str, str]], list[str]] = {}
        for host, use in self._tls.items():
            uses.setdefault((use.secret, use.ingress), []).append(host)
        tls = [TlsUse(secret, tuple(sorted(hosts)), ingress) for (secret, ingress), hosts in uses.items()]
        return Plan(
            tuple(sorted(self._routes.values())),
            tuple(self._backends[name] for name in sorted(self._backends)),
            self._default,
            tuple(sorted((*tls, *self._tls_without_hosts))),
            tuple(self._troubles),
        )

    def add(self, ingress: Ingress) -> None:
        where = ingress["metadata"].get("namespace", ""), ingress["metadata"].get("name", "")
        spec = ingress["spec"]
        for message in self._add_all(ingress, where):
            self._troubles.append(Trouble(where, message))
        for entry in spec.get("tls") or ():
            for message in self._add_tls(entry.get("secretName", ""), tuple(entry.get("hosts") or ()), where):
                self._troubles.append(Trouble(where, message))

    def _add_all(self, ingress: Ingress, where: tuple[str, str]) -> Iterator[str]:
        spec = ingress["spec"]
        if default := spec.get("defaultBackend"):
            name, message = self._backend(where[0], default)
            if message:
                yield f"spec.defaultBackend: {message}"
            if name and self._default:
                yield "spec.defaultBackend: an older ingress has set one already"
            self._default = self._default or name
        for number, rule in enumerate(spec.get("rules") or ()):
            host, at = rule.get("host", "").lower(), f"spec.rules[{number}]"
            if host and not is_host(host):
                yield f"{at}.host: found {host!r}, wanted a DNS name, possibly with `*.` before it"
                continue
            http = rule.get("http")
            for place_, path in enumerate(http["paths"] if http else ()):
                for message in self._add_path(host, path, where):
                    yield f"{at}.http.paths[{place_}]: {message}"

    def _add_path(self, host: str, path: HTTPIngressPath, where: tuple[str, str]) -> Iterator[str]:
        text, exact = path.get("path") or "/", path["pathType"] == "Exact"
        if not is_path(text):
            yield f"path: found {text!r}, wanted a URL path that begins with a slash"
            return
        key = host, text if exact else text.rstrip("/"), exact
        if key in self._routes:
            namespace, name = self._owners[key]
            yield f"path {text} of host {host or '*'} belongs to Ingress {namespace}/{name}, which is older"
            return
        name, message = self._backend(where[0], path["backend"])
        if message:
            yield message
        if name:
            self._routes[key] = Route(*key, name)
            self._owners[key] = where

    def _backend(self, namespace: str, backend: IngressBackend) -> tuple[str, str]:
        """(name, what is wrong with it). No name: nothing can be routed there; a name and a message: it answers 503."""
        wanted = backend.get("service")
        if wanted is None:
            return "", "backend.resource: only services are supported"
        if not (NAME.fullmatch(namespace) and NAME.fullmatch(wanted["name"])):
            return "", f"backend.service.name: found {wanted['name']!r}, wanted a DNS label"
        service = self._services.get((namespace, wanted["name"]))
        at = wanted.get("port") or {}
        port = service_port(service, at.get("name"), at.get("number")) if service else None
        name = f"{namespace}_{wanted['name']}_{port['port'] if port else 'none'}"
        found, message = NO_BACKENDS, ""
        if service is None:
            message = f"Service {namespace}/{wanted['name']} does not exist"
        elif service["spec"]["type"] == "ExternalName":
            # It could name anything that this node reaches: its own loopback, a cloud's metadata.
            message = (
                f"Service {namespace}/{wanted['name']} is an ExternalName, which an ingress does not follow"
            )
        elif port is None:
            message = f"Service {namespace}/{wanted['name']} has no port {at.get('name') or at.get('number')}"
        else:
            found = backends_of(
                self._slices.get((namespace, wanted["name"]), ()), port.get("name", ""), "TCP"
            )
        self._backends[name] = ProxyBackend(name, *found)
        return name, message

    def _add_tls(self, secret: str, hosts: tuple[str, ...], where: tuple[str, str]) -> Iterator[str]:
        if not secret:
            return  # Kubernetes: TLS by a default certificate.
        if not NAME.fullmatch(secret):
            yield f"spec.tls: secretName: found {secret!r}, wanted a DNS name"
            return
        if not hosts:
            self._tls_without_hosts.append(TlsUse((where[0], secret), (), where))
        for host in hosts:
            use, name = TlsUse((where[0], secret), (), where), host.lower()
            if not is_host(name):
                yield f"spec.tls: host: found {host!r}, wanted a DNS name, possibly with `*.` before it"
            elif (other := self._tls.setdefault(name, use)).secret != use.secret:
                older = "/".join(other.ingress)
                yield f"spec.tls: host {name} has its certificate from Ingress {older}, which is older"


def service_port(service: Service, name: str | None, number: int | None) -> ServicePort | None:
    for port in service["spec"].get("ports") or ():
        if port["protocol"] == "TCP" and (port.get("name") == name if name else port["port"] == number):
            return port
    return None


def is_host(text: str) -> bool:
    return len(text) <= HOST_LENGTH_MAX and HOST.fullmatch(text) is not None


def is_path(text: str) -> bool:
    return len(text) <= PATH_LENGTH_MAX and PATH.fullmatch(text) is not None
