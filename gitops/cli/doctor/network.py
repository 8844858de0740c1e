"""Firewall, kernel features, forwarding, ranges, ports, names. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from gitops.cli.doctor.facts import Facts, Listener
from gitops.cli.doctor.findings import Finding, error, ok, warning
from gitops.cli.doctor.parsing import version_in

HAPROXY_MIN: Final = (2, 4)  # The run-time commands by which it is led.
DNS_PORT: Final = 53
EVERYWHERE: Final = frozenset({"", "*", "0.0.0.0", "::"})  # noqa: S104 # What a listener says, not one of ours.
VXLAN: Final = "vxlan"  # What one node, and nodes of one network, do without.
FEATURE_ADVICE: Final = {
    "veth": "load it (modprobe veth), or use a kernel that has it",
    "bridge": "load it (modprobe bridge), or use a kernel that has it",
    "rules": "load the modules (modprobe -a nf_tables nft_compat xt_conntrack xt_comment xt_addrtype xt_statistic "
    "xt_recent xt_MASQUERADE xt_REDIRECT, or ip_tables and its like), or use a kernel that has them",
    VXLAN: "nodes behind a router cannot be reached: modprobe vxlan, or keep all nodes in one network",
}
PROGRAMS: Final = {"conntrack": "install it: apt-get install conntrack"}


def firewall(facts: Facts) -> Iterator[Finding]:
    found = facts.firewall
    if found is None:
        return
    if not found.version:
        yield error("iptables", "not installed", "install it: apt-get install iptables")
    elif found.legacy_rules and found.nft_rules:
        yield warning(
            "iptables",
            f"rules in both backends: {found.legacy_rules} legacy, {found.nft_rules} nft ({found.version})",
            "a packet is judged by both, so one may drop what the other accepts: move all to one "
            "(update-alternatives --config iptables, then restart whoever wrote the others)",
        )
    else:
        yield ok("iptables", found.version)


def features(facts: Facts) -> Iterator[Finding]:
    trial = facts.kernel.trial
    if trial is None:
        return
    works = [name for name, why in trial.items() if not why]
    if works:
        yield ok("kernel features", ", ".join(works))
    for name, why in trial.items():
        if why:
            make = warning if name == VXLAN else error
            yield make(
                "kernel features", f"{name}: {why}", FEATURE_ADVICE.get(name, "use a kernel that has it")
            )


def forwarding(facts: Facts) -> Iterator[Finding]:
    value = facts.kernel.sysctls.get("net.ipv4.ip_forward", "")
    if value == "1":
        yield ok("forwarding", "net.ipv4.ip_forward is 1")
    elif facts.kernel.is_sysctl_writable:
        yield ok(
            "forwarding",
            f"net.ipv4.ip_forward is {value or 'not there'}; it is set to 1, and put back by `down`",
        )
    else:
        yield error(
            "forwarding",
            f"net.ipv4.ip_forward is {value or 'not there'} and cannot be set here",
            "set it on the host: sysctl -w net.ipv4.ip_forward=1, and in /etc/sysctl.d",
        )
    bridged = facts.kernel.sysctls.get("net.bridge.bridge-nf-call-iptables")
    yield ok(
        "br_netfilter",
        "not loaded, and not needed"
        if bridged is None
        else f"loaded ({bridged}): pods do not go by bridge ports",
    )


def ranges(facts: Facts) -> Iterator[Finding]:
    wanted = facts.wanted
    if facts.range_problem:
        yield error("ranges", facts.range_problem, "")
    elif wanted.pod_cidr:
        yield ok("ranges", f"{wanted.pod_cidr} and {wanted.service_cidr} are free")


def programs(facts: Facts) -> Iterator[Finding]:
    for name, advice in PROGRAMS.items():
        said = facts.programs.get(name, "")
        yield ok(name, said) if said else error(name, "not installed", advice)
    if not (facts.wanted.ingress_http or facts.wanted.ingress_https):
        return
    said = facts.programs.get("haproxy", "")
    version = version_in(said)
    if not said:
        yield error(
            "haproxy", "not installed", "install it (apt-get install haproxy), or serve no ingress here: "
            "--ingress-http '' --ingress-https ''",
        )  # fmt: skip
    elif version is None or version < HAPROXY_MIN:
        yield error("haproxy", said, "HAProxy 2.4 or later is wanted: upgrade it")
    else:
        yield ok("haproxy", said)


def resolvers(facts: Facts) -> Iterator[Finding]:
    found = facts.resolvers
    if found is None:
        return
    if not found.addresses:
        yield warning(
            "DNS upstream",
            "/etc/resolv.conf names no IPv4 resolver",
            "pods resolve names of the cluster alone: name one",
        )
    elif found.answers is False:
        yield warning(
            "DNS upstream",
            f"{', '.join(found.addresses)} does not answer",
            "pods resolve names of the cluster alone",
        )
    else:
        yield ok("DNS upstream", ", ".join(found.addresses))


def ports(facts: Facts) -> Iterator[Finding]:
    """Each address that would be listened on. What listens there already and is ours is as it should be."""
    wanted = facts.wanted
    asked = [(flag, address) for flag, address in _asked(facts) if address]
    for flag, text in asked:
        address, _, port = text.rpartition(":")
        yield _port(facts, f"port {port}", flag, "tcp", address.strip("[]"), int(port))
    if wanted.is_node and wanted.dns_address:
        yield _port(facts, f"port {DNS_PORT}", "--service-cidr", "udp", wanted.dns_address, DNS_PORT)


def _asked(facts: Facts) -> Iterator[tuple[str, str]]:
    wanted = facts.wanted
    if wanted.is_master:
        yield "--listen", wanted.listen
        yield "--webhook-listen", wanted.webhook_listen
    if wanted.is_node:
        yield "--ingress-http", wanted.ingress_http
        yield "--ingress-https", wanted.ingress_https


def _port(facts: Facts, check: str, flag: str, protocol: str, address: str, port: int) -> Finding:
    in_the_way = [
        one
        for one in facts.listeners
        if one.port == port and one.protocol == protocol and _clashes(one.address, address)
    ]
    shown = f"{address or '0.0.0.0'}:{port}/{protocol}"  # noqa: S104 # Words.
    if not in_the_way:
        return ok(check, f"{shown} is free")
    if all(one.is_ours for one in in_the_way):
        return ok(check, f"{shown} is ours: {in_the_way[0].process}")
    other = next(one for one in in_the_way if not one.is_ours)
    return error(check, f"{shown} is taken by {_who(other)}", _advice(flag, other))


def _who(one: Listener) -> str:
    return f"{one.process or 'another program'}, which listens on {one.address}:{one.port}"


def _advice(flag: str, other: Listener) -> str:
    if flag == "--service-cidr":
        return f"tell it to listen on its own addresses instead of {other.address} (dnsmasq: bind-interfaces)"
    nowhere = "" if flag == "--listen" else f", or nowhere: {flag} ''"
    return f"stop it, or choose another address by {flag} ADDRESS:PORT{nowhere}"


def _clashes(one: str, other: str) -> bool:
    """Whether two listeners on one port are in each other's way. `::` takes IPv4 too, as Linux has it by default."""
    if one in EVERYWHERE or other in EVERYWHERE:
        return True
    return ip_address(one) == ip_address(other)
