"""A pod's hostname, /etc/hosts and /etc/resolv.conf, as the kubelet writes them, and its ports on the node. Pure.

Source: kubernetes/pkg/kubelet/kubelet_pods.go (`ensureHostsFile`, `GeneratePodHostNameAndDomain`), network/dns.
"""

from typing import Final, NamedTuple

from agent.pods.refused import Refused
from agent.services.table import Backend, HostPort
from gitops.kinds.core.pod import Pod, is_sidecar

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 # What a manifest says, not a listener of ours.
HOSTNAME_MAX: Final = 63
KERNEL_HOSTNAME_MAX: Final = 64
HEADER: Final = "# Kubernetes-managed hosts file."
HOST_HEADER: Final = "# Kubernetes-managed hosts file (host network)."
LOCAL: Final = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
)


class Names(NamedTuple):
    """The node's side. `dns_address` '': there is no cluster DNS; `host_…`: the node's own files."""

    cluster_domain: str
    dns_address: str
    host_resolv_conf: str
    host_hosts: str = ""


def hostname(pod: Pod) -> str:
    """`spec.hostname`, else the pod's name, cut to what a host may be called."""
    spec = pod["spec"]
    if override := spec.get("hostnameOverride"):
        return override
    return (spec.get("hostname") or pod["metadata"].get("name", ""))[:HOSTNAME_MAX].rstrip("-.")


def qualified_name(pod: Pod, names: Names) -> str:
    """Where DNS finds it; '' without a subdomain."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostnameOverride"):
        return ""
    return f"{hostname(pod)}.{subdomain}.{pod['metadata'].get('namespace', '')}.svc.{names.cluster_domain}"


def kernel_hostname(pod: Pod, names: Names) -> str:
    """What hostname(1) says in its containers. Raises Refused if that is longer than Linux allows."""
    name = qualified_name(pod, names) if pod["spec"].get("setHostnameAsFQDN") else ""
    if len(name) > KERNEL_HOSTNAME_MAX:
        why = f"({KERNEL_HOSTNAME_MAX} characters is the max, {len(name)} characters requested)"
        raise Refused(
            "FailedCreatePodSandBox",
            f"Failed to construct FQDN from Pod hostname and cluster domain, FQDN {name} is too long {why}",
        )
    return name or hostname(pod)


def hosts_file(pod: Pod, address: str, names: Names) -> str:
    """A pod on the host's network has the host's, with its own aliases."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        lines = [HOST_HEADER, *names.host_hosts.splitlines()]
    else:
        own = hostname(pod)
        if name := qualified_name(pod, names):
            own = f"{name}\t{own}"
        lines = [HEADER, *LOCAL, f"{address}\t{own}"]
    if aliases := spec.get("hostAliases"):
        lines += ["", "# Entries added by HostAliases."]
        lines += [f"{alias['ip']}\t" + "\t".join(alias.get("hostnames", ())) for alias in aliases]
    return "\n".join(lines) + "\n"


def host_ports(pod: Pod, address: str) -> tuple[HostPort, ...]:
    """Those of its app containers and sidecars."""
    sidecars = (one for one in pod["spec"].get("initContainers", ()) if is_sidecar(one))
    found = {
        HostPort(
            port["protocol"].lower(),
            "" if port.get("hostIP") in (None, "", ANY_ADDRESS) else port["hostIP"],
            port["hostPort"],
            Backend(address, port["containerPort"]),
        )
        for container in (*sidecars, *pod["spec"]["containers"])
        for port in container.get("ports", ())
        if port.get("hostPort")
    }
    return tuple(sorted(found))


def resolv_conf(pod: Pod, names: Names) -> str:
    """By dnsPolicy, with dnsConfig merged in."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy", "ClusterFirst")
    host = _parsed(names.host_resolv_conf)
    if policy == "None":
        found = _Resolver([], [], {})
    elif (
        policy == "Default" or not names.dns_address or (policy == "ClusterFirst" and spec.get("hostNetwork"))
    ):
        found = host
    else:
        namespace, domain = pod["metadata"].get("namespace", ""), names.cluster_domain
        searches = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *host.searches]
        found = _Resolver([names.dns_address], searches, {"ndots": "5"})
    more = spec.get("dnsConfig", {})
    servers = _unique([*found.servers, *more.get("nameservers", ())])
    searches = _unique([*found.searches, *more.get("searches", ())])
    options = found.options | {one.get("name", ""): one.get("value", "") for one in more.get("options", ())}
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {server}" for server in servers]
    if options:
        lines.append(
            "options " + " ".join(f"{name}:{value}" if value else name for name, value in options.items())
        )
    return "\n".join(lines) + "\n"


class _Resolver(NamedTuple):
    servers: list[str]
    searches: list[str]
    options: dict[str, str]


def _parsed(text: str) -> _Resolver:
    found = _Resolver([], [], {})
    for line in text.splitlines():
        word, *rest = line.split("#")[0].split() or [""]
        if word == "nameserver":
            found.servers.extend(rest[:1])
        elif word in ("search", "domain"):
            found.searches[:] = [each for each in rest if each != "."]
        elif word == "options":
            pairs = (each.partition(":") for each in rest)
            found.options.update({name: value for name, _, value in pairs})
    return found


def _unique(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))
