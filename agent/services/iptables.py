"""A service table as iptables chains, and the difference of two as text for `iptables-restore --noflush`: pure.

Chains (all named GITWARD-…, a stable contract):
  nat     HOSTPORTS     a port of the node -> the pod of this node that took it
          SERVICES      address and port -> the chain of that service; walked only for the service range
          SVC-<hash>    one service port: a random endpoint
          POSTROUTING   what a pod sends to itself by a service, and what leaves the cluster, gets the node's address
          HAIRPIN       one rule per pod of this node that stands behind a service
  filter  FORWARD       accepts what pods send (a stock Docker engine drops it), drops what comes from outside
          INPUT         DNS for pods; nothing from outside
          OUTPUT        the node's own calls of addresses that nobody serves
          REJECT        answers at once, instead of a time-out
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from agent.services.table import ServicePort, ServiceTable

PREFIX: Final = "GITWARD-"
SERVICES: Final = PREFIX + "SERVICES"
SERVICE_PREFIX: Final = PREFIX + "SVC-"  # With 16 characters of hash: the 28 that a chain's name may have.
HOSTPORTS: Final = PREFIX + "HOSTPORTS"
POSTROUTING: Final = PREFIX + "POSTROUTING"
HAIRPIN: Final = PREFIX + "HAIRPIN"
FORWARD: Final = PREFIX + "FORWARD"
INPUT: Final = PREFIX + "INPUT"
OUTPUT: Final = PREFIX + "OUTPUT"
REJECT: Final = PREFIX + "REJECT"
UNORDERED: Final = frozenset(
    {SERVICES, HAIRPIN}
)  # No two of their rules match one packet: changed rule by rule.
POD_LINKS: Final = "gw+"
VXLAN_PORT: Final = 8472  # As `agent.network.overlay`.


class PeerRange(NamedTuple):
    """Another node: who may send to pods here, since its sender is inside the cluster."""

    pod_cidr: str
    address: str


@dataclass(frozen=True, slots=True)
class RuleSettings:
    pod_cidr: str  # This node's.
    cluster_pod_cidr: str
    service_cidr: str
    gateway: str
    dns_address: str
    peers: tuple[PeerRange, ...] = ()


class Jump(NamedTuple):
    """A rule of ours in a built-in chain; the only thing that we put there."""

    table: str
    chain: str
    rule: str


Chains = Mapping[str, tuple[str, ...]]  # Chain -> its rules in order, without `-A CHAIN`.
Rules = Mapping[str, Chains]  # Table (filter, nat) -> chains.


def jumps(settings: RuleSettings) -> tuple[Jump, ...]:
    """Pod-to-pod traffic does not walk the list of services: that is what the range is for."""
    to_host_ports = f"-m addrtype --dst-type LOCAL -j {HOSTPORTS}"
    to_services = f"-d {settings.service_cidr} -j {SERVICES}"
    return (
        Jump("filter", "INPUT", f"-j {INPUT}"),
        Jump("filter", "FORWARD", f"-j {FORWARD}"),
        Jump("filter", "OUTPUT", f"-j {OUTPUT}"),
        Jump("nat", "PREROUTING", to_services),
        Jump("nat", "OUTPUT", to_services),
        Jump("nat", "PREROUTING", to_host_ports),
        Jump("nat", "OUTPUT", to_host_ports),
        Jump("nat", "POSTROUTING", f"-j {POSTROUTING}"),
    )


def render(table: ServiceTable, settings: RuleSettings) -> Rules:
    served = [port for port in table.ports if port.backends]
    nat: dict[str, tuple[str, ...]] = {
        SERVICES: tuple(_dispatch(port) for port in served),
        POSTROUTING: _postrouting(settings),
        HAIRPIN: tuple(_hairpin(table, settings)),
        HOSTPORTS: tuple(_host_ports(table, settings)),
    }
    nat.update((service_chain(port), tuple(_endpoints(port))) for port in served)
    return {"filter": _filter(settings, publishes=bool(table.host_ports)), "nat": nat}


def service_chain(port: ServicePort) -> str:
    text = f"{port.name} {port.protocol} {port.address} {port.port}"
    return SERVICE_PREFIX + sha256(text.encode()).hexdigest()[:16].upper()


def _dispatch(port: ServicePort) -> str:
    return (
        f"-d {port.address}/32 -p {port.protocol} -m {port.protocol} --dport {port.port}"
        f' -m comment --comment "{port.name}" -j {service_chain(port)}'
    )


def _endpoints(port: ServicePort) -> Iterator[str]:
    """Each endpoint gets an equal share: the first one n-th, the second one (n-1)-th of what is left, and so on."""
    chain, count = service_chain(port), len(port.backends)
    match = f"-p {port.protocol}"
    targets = [f"-j DNAT --to-destination {each.address}:{each.port}" for each in port.backends]
    lists = [f"{chain}-{each.address}-{each.port}" for each in port.backends]
    if port.affinity_seconds:
        for target, name in zip(targets, lists, strict=True):
            # `--update` tells of clients seen within the time, and begins it anew.
            recent = f"-m recent --name {name} --rsource --update --seconds {port.affinity_seconds} --reap"
            yield f"{match} {recent} {target}"
    for number, (target, name) in enumerate(zip(targets, lists, strict=True)):
        share = (
            f" -m statistic --mode random --probability {1 / (count - number):.10f}"
            if number < count - 1
            else ""
        )
        seen = f" -m recent --name {name} --rsource --set" if port.affinity_seconds else ""
        yield f"{match}{share}{seen} {target}"


def _host_ports(table: ServiceTable, settings: RuleSettings) -> Iterator[str]:
    """The node's addresses on the service range are no addresses to publish on: the cluster's DNS is there."""
    if table.host_ports:
        yield f"-d {settings.service_cidr} -j RETURN"
        yield "-d 127.0.0.0/8 -j RETURN"
    for one in table.host_ports:
        to = f"-d {one.address}/32 " if one.address else ""
        target = f"{one.backend.address}:{one.backend.port}"
        yield f"{to}-p {one.protocol} -m {one.protocol} --dport {one.port} -j DNAT --to-destination {target}"


def _postrouting(settings: RuleSettings) -> tuple[str, ...]:
    pods = settings.pod_cidr
    return (
        f"-s {pods} -d {pods} -m conntrack --ctstate DNAT -j {HAIRPIN}",
        f"-s {pods} ! -d {settings.cluster_pod_cidr} -j MASQUERADE --random-fully",
    )


def _hairpin(table: ServiceTable, settings: RuleSettings) -> Iterator[str]:
    """A pod that is sent to itself would see its own address as the caller, and answer itself past the node."""
    here = IPv4Network(settings.pod_cidr)
    addresses = {IPv4Address(backend.address) for port in table.ports for backend in port.backends}
    addresses |= {IPv4Address(one.backend.address) for one in table.host_ports}
    for address in sorted(address for address in addresses if address in here):
        # SNAT, not MASQUERADE: a pod's link has no address that could be taken.
        yield f"-s {address}/32 -d {address}/32 -j SNAT --to-source {settings.gateway}"


def _filter(settings: RuleSettings, *, publishes: bool) -> Chains:
    services, pods, dns = settings.service_cidr, settings.pod_cidr, f"{settings.dns_address}/32"
    # What came to a port of the node, and not to a service: that is reached by no outside.
    published = f"-d {pods} -m conntrack --ctstate DNAT ! --ctorigdst {services} -j ACCEPT"
    known = "-m conntrack --ctstate RELATED,ESTABLISHED"
    return {
        FORWARD: (
            # What still has a service's address here was taken by no service.
            f"-i {POD_LINKS} -d {services} -j {REJECT}",
            f"-d {services} -j DROP",
            f"-s {pods} {known} -j ACCEPT",
            f"-d {pods} {known} -j ACCEPT",
            f"-s {pods} -i {POD_LINKS} -j ACCEPT",
            *((published,) if publishes else ()),
            *(f"-s {source} -d {pods} -j ACCEPT" for peer in settings.peers for source in _sources(peer)),
            f"-d {settings.cluster_pod_cidr} -j DROP",
        ),
        INPUT: (
            "-i lo -j RETURN",
            f"-i {POD_LINKS} {known} -j ACCEPT",
            f"-d {dns} -i {POD_LINKS} -p udp -m udp --dport 53 -j ACCEPT",
            f"-d {dns} -i {POD_LINKS} -p tcp -m tcp --dport 53 -j ACCEPT",
            f"-i {POD_LINKS} -j RETURN",
            *_encapsulated(settings.peers),
            f"-d {services} -m conntrack --ctstate NEW -j DROP",
            f"-d {pods} -m conntrack --ctstate NEW -j DROP",
        ),
        OUTPUT: (f"-d {dns} -j RETURN", f"-d {services} -j {REJECT}"),
        REJECT: (
            "-p tcp -j REJECT --reject-with tcp-reset",
            "-j REJECT --reject-with icmp-port-unreachable",
        ),
    }


def _sources(peer: PeerRange) -> tuple[str, str]:
    """Its pods, and the node itself where it hands on what came to one of its own ports."""
    return peer.pod_cidr, f"{peer.address}/32"


def _encapsulated(peers: Iterable[PeerRange]) -> Iterator[str]:
    """VXLAN from nodes of the cluster alone: from anyone else it would be a way round every rule."""
    udp = f"-p udp -m udp --dport {VXLAN_PORT}"
    for peer in peers:
        yield f"-s {peer.address}/32 {udp} -j ACCEPT"
    if peers:
        yield f"{udp} -j DROP"


def restore_all(rules: Rules, settings: RuleSettings, saved: Mapping[str, str]) -> str:
    """Text that makes our chains and jumps what they should be. `saved`: what iptables-save says of each table now."""
    wanted = jumps(settings)
    blocks = []
    for table, chains in rules.items():
        lines = saved[table].splitlines()
        old = sorted(set(_our_chains(lines)) - chains.keys())
        there = _our_jumps(lines)
        here = [f"{jump.chain} {jump.rule}" for jump in wanted if jump.table == table]
        text = [f":{chain} - [0:0]" for chain in (*chains, *old)]
        text += [f"-A {chain} {rule}" for chain, content in chains.items() for rule in content]
        text += [f"-D {jump}" for jump in there if jump not in here]
        text += [f"-I {jump}" for jump in here if jump not in there]
        text += [f"-X {chain}" for chain in old]
        blocks.append(_block(table, text))
    return "".join(blocks)


def has_all_jumps(settings: RuleSettings, saved: Mapping[str, str]) -> bool:
    there = {table: _our_jumps(content.splitlines()) for table, content in saved.items()}
    return all(f"{jump.chain} {jump.rule}" in there[jump.table] for jump in jumps(settings))


def restore_nothing(saved: Mapping[str, str]) -> str:
    """Text that removes all that is ours from the tables that are as `saved`. Empty if there is nothing."""
    blocks = []
    for table, content in saved.items():
        lines = content.splitlines()
        if chains := _our_chains(lines):
            text = [f":{chain} - [0:0]" for chain in chains]
            text += [f"-D {jump}" for jump in _our_jumps(lines)]
            text += [f"-X {chain}" for chain in chains]
            blocks.append(_block(table, text))
    return "".join(blocks)


def our_rules(saved: str) -> list[str]:
    """The lines of iptables-save that are ours: rules of our chains, and jumps to them from built-in ones."""
    return [line for line in saved.splitlines() if line.startswith("-A ") and PREFIX in line]


def _our_chains(saved: Iterable[str]) -> list[str]:
    return [line[1:].split()[0] for line in saved if line.startswith(":" + PREFIX)]


def _our_jumps(saved: Iterable[str]) -> list[str]:
    """Without the leading `-A `."""
    return [
        line.removeprefix("-A ")
        for line in saved
        if line.startswith("-A ") and not line.startswith("-A " + PREFIX) and f" -j {PREFIX}" in line
    ]


def restore_changes(old: Rules, new: Rules) -> str:
    """Text that leads from `old` to `new`, touching nothing else. Empty if there is nothing to do."""
    return "".join(
        _block(table, lines) for table, chains in new.items() if (lines := list(_changes(old[table], chains)))
    )


def _changes(old: Chains, new: Chains) -> Iterator[str]:
    ordered = [chain for chain in new if chain not in UNORDERED and old.get(chain) != new[chain]]
    gone = [chain for chain in old if chain not in new]
    for chain in (*ordered, *gone):
        yield f":{chain} - [0:0]"  # Declaring a chain empties it, under --noflush too.
    for chain in ordered:
        yield from (f"-A {chain} {rule}" for rule in new[chain])
    for chain in sorted(UNORDERED & new.keys()):
        before, after = old.get(chain, ()), new[chain]
        known, wanted = frozenset(before), frozenset(after)
        yield from (f"-D {chain} {rule}" for rule in before if rule not in wanted)
        yield from (f"-A {chain} {rule}" for rule in after if rule not in known)
    for chain in gone:
        yield f"-X {chain}"


def _block(table: str, lines: Iterable[str]) -> str:
    return "\n".join((f"*{table}", *lines, "COMMIT", ""))
