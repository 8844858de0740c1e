"""A plan as HAProxy's files: pure. Hosts and paths stand in map files, never in the configuration's own text.

Source: HAProxy 2.6 configuration manual. A request's host is looked up exactly, then with its first label as `*`; its
path exactly, then by the longest prefix of whole elements; then the same without host; then the default backend.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from agent.ingress.routes import Plan
from agent.ingress.slots import EMPTY, Slots

NOT_FOUND: Final = (
    "gitward-not-found"  # No name of ours has a dash where this one has: those have underscores.
)
HEADER: Final = "# Written by Gitward; what is changed here is lost.\n"
UNUSED: Final = "127.0.0.1:1 disabled"  # The address of a slot that holds nobody.


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """`http`, `https`: ADDRESS:PORT, one of them may be '': not at all. `user_id`: whom the workers run as."""

    http: str
    https: str
    directory: Path
    user_id: int
    group_id: int

    @property
    def config_file(self) -> Path:
        return self.directory / "haproxy.cfg"

    @property
    def certificates(self) -> Path:
        """A tmpfs."""
        return self.directory / "certificates"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A file in the certificates' directory and the hosts that it is for; none: those that it names."""

    file: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """`structure`: digest of all that only a reload can change. `files`: what lies in the directory of that name."""

    structure: str
    config: str
    files: Mapping[str, str]


def render(
    plan: Plan, slots: Mapping[str, Slots], certificates: Iterable[Certificate], settings: ProxySettings
) -> Rendered:
    files = {
        "hosts.map": _map((route.host, route.host) for route in plan.routes if route.host),
        "exact.map": _map((route.host + route.path, route.backend) for route in plan.routes if route.exact),
        "prefix.map": _map(
            (f"{route.host}{route.path}/", route.backend) for route in plan.routes if not route.exact
        ),
        "certificates.list": _certificates(certificates, settings),
    }
    default = plan.default_backend or NOT_FOUND
    # All of it, but for what the run-time socket can change.
    empty = {name: (EMPTY,) * len(each) for name, each in slots.items()}
    fixed = _config("", "", default, empty, settings) + "".join(files[name] for name in sorted(files))
    structure = sha256(fixed.encode()).hexdigest()[:16]
    return Rendered(
        structure, _config(structure, str(settings.directory / structure), default, slots, settings), files
    )


def _config(
    structure: str, where: str, default: str, slots: Mapping[str, Slots], settings: ProxySettings
) -> str:
    lines = (
        *_global(structure, settings),
        *_defaults(),
        *_frontend(where, default, settings),
        *_not_found(),
        *(line for name, each in slots.items() for line in _backend(name, each)),
    )
    return HEADER + "\n".join(lines) + "\n"


def _map(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{key} {value}\n" for key, value in sorted(set(pairs)))


def _certificates(certificates: Iterable[Certificate], settings: ProxySettings) -> str:
    """The first one is shown to whoever asks for an unknown host."""
    return "".join(
        f"{settings.certificates / each.file}{''.join(' ' + host for host in each.hosts)}\n"
        for each in certificates
    )


def _global(structure: str, settings: ProxySettings) -> tuple[str, ...]:
    return (
        "global",
        f"    description gitward {structure}",
        f"    uid {settings.user_id}",
        f"    gid {settings.group_id}",
        "    hard-stop-after 10m",  # What a WebSocket may take after a reload.
        "    mworker-max-reloads 20",  # Then the oldest worker ends, finished or not.
        "    ssl-default-bind-options ssl-min-ver TLSv1.2",
        "    tune.ssl.default-dh-param 2048",
    )


def _defaults() -> tuple[str, ...]:
    return (
        "defaults",
        "    mode http",
        "    balance roundrobin",
        # After a reload a kept-alive connection ends with the answer to its next request, never between two.
        "    option idle-close-on-response",
        "    option redispatch 1",
        "    retries 3",
        "    retry-on conn-failure empty-response",
        "    timeout connect 2s",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 60s",
        "    timeout client 60s",
        "    timeout server 60s",
        "    timeout queue 10s",
        "    timeout tunnel 1h",
    )


def _frontend(files: str, default: str, settings: ProxySettings) -> tuple[str, ...]:
    request, found = "    http-request", "{ var(txn.backend) -m found }"
    site = "{ var(txn.site) -m found }"
    tls = f"ssl crt-list {files}/certificates.list alpn h2,http/1.1"
    return (
        "frontend ingress",
        *((f"    bind {settings.http}",) if settings.http else ()),
        *((f"    bind {settings.https} {tls}",) if settings.https else ()),
        # What a client says of itself is not believed.
        f"{request} set-header X-Forwarded-For %[src]",
        f"{request} set-header X-Forwarded-Host %[req.hdr(host)]",
        f"{request} set-header X-Forwarded-Port %[dst_port]",
        f"{request} set-header X-Forwarded-Proto http unless {{ ssl_fc }}",
        f"{request} set-header X-Forwarded-Proto https if {{ ssl_fc }}",
        # An empty answer of a closed connection is asked again only where that cannot do a thing twice.
        f"{request} disable-l7-retry unless METH_GET",
        f"{request} set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)",
        f"{request} set-var(txn.site) var(txn.host),map_str({files}/hosts.map)",
        f"{request} set-var(txn.wild) var(txn.host),regsub(^[^.]*,*)",
        f"{request} set-var(txn.site) var(txn.wild),map_str({files}/hosts.map) unless {site}",
        f"{request} set-var-fmt(txn.exact) %[var(txn.site)]%[path]",
        f"{request} set-var-fmt(txn.prefix) %[var(txn.site)]%[path]/",
        f"{request} set-var-fmt(txn.any) %[path]/",
        f"{request} set-var(txn.backend) var(txn.exact),map_str({files}/exact.map)",
        f"{request} set-var(txn.backend) var(txn.prefix),map_beg({files}/prefix.map) unless {found}",
        f"{request} set-var(txn.backend) path,map_str({files}/exact.map) unless {found}",
        f"{request} set-var(txn.backend) var(txn.any),map_beg({files}/prefix.map) unless {found}",
        f"    use_backend %[var(txn.backend)] if {found}",
        f"    default_backend {default}",
    )


def _not_found() -> tuple[str, ...]:
    return (
        f"backend {NOT_FOUND}",
        '    http-request return status 404 content-type text/plain string "no ingress rule for this host and path"',
    )


def _backend(name: str, slots: Slots) -> Iterator[str]:
    yield f"backend {name}"
    for number, slot in enumerate(slots, start=1):
        if slot.backend is None:
            yield f"    server s{number} {UNUSED}"
        else:
            yield f"    server s{number} {slot.backend.address}:{slot.backend.port}{'' if slot.active else ' disabled'}"
