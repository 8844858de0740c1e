"""A service table as iptables chains, and the difference of two as text for `iptables-restore --noflush`: pure.

Chains (all named GITWARD-…, a stable contract):
  nat     HOSTPORTS     a port of the node -> the pod of this node that took it
          SERVICES      address and port -> the chain of that service; walked only for the service range
          SVC-<hash>    one service port: a random endpoint
          POSTROUTING   what a pod sends to itself by a service, and what leaves the cluster, gets the node's address
          HAIRPIN       one rule per pod of this node that stands behind a service
          EXTERNAL, NODEPORTS, EXT-<hash>, INS-<hash>: see `iptables_outside`
  filter  FORWARD       accepts what pods send (a stock Docker engine drops it), drops what comes from outside
          INPUT         DNS for pods; nothing from outside
          OUTPUT        the node's own calls of addresses that nobody serves
          NOBODY        ways in from outside behind which nobody stands
          REJECT        answers at once, instead of a time-out
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from agent.services import iptables_outside
from agent.services.iptables_endpoints import (
    PREFIX,
    SERVICE_PREFIX,
    chain_of,
    endpoints,
    to_address,
    unordered_changes,
)
from agent.services.iptables_outside import EXTERNAL, LOCAL, NOBODY, NODEPORTS
from agent.services.settings import VXLAN_PORT, PeerRange, RuleSettings
from agent.services.table import ServicePort, ServiceTable

SERVICES: Final = PREFIX + "SERVICES"
HOSTPORTS: Final = PREFIX + "HOSTPORTS"
POSTROUTING: Final = PREFIX + "POSTROUTING"
HAIRPIN: Final = PREFIX + "HAIRPIN"
FORWARD: Final = PREFIX + "FORWARD"
API_PORT: Final = 6444  # Of the node's own address: the way of pods to the API (`agent.api_door`).
INPUT: Final = PREFIX + "INPUT"
OUTPUT: Final = PREFIX + "OUTPUT"
REJECT: Final = PREFIX + "REJECT"
# No two of their rules match one packet, or both mean the same: changed rule by rule.
UNORDERED: Final = frozenset({SERVICES, HAIRPIN, EXTERNAL, NODEPORTS, NOBODY})
POD_LINKS: Final = "gw+"


class Jump(NamedTuple):
    """A rule of ours in a built-in chain; the only thing that we put there."""

    table: str
    chain: str
    rule: str


Chains = Mapping[str, tuple[str, ...]]  # Chain -> its rules in order, without `-A CHAIN`.
Rules = Mapping[str, Chains]  # Table (filter, nat) -> chains.


def jumps(settings: RuleSettings, *, nat: bool = True) -> tuple[Jump, ...]:
    """Pod-to-pod traffic does not walk the list of services: that is what the range is for. `nat` False: nftables does
    that part."""
    to_host_ports = f"{LOCAL} -j {HOSTPORTS}"
    to_external = f"! -d {settings.cluster_pod_cidr} -j {EXTERNAL}"
    to_services = f"-d {settings.service_cidr} -j {SERVICES}"
    guards = (
        Jump("filter", "INPUT", f"-j {INPUT}"),
        Jump("filter", "FORWARD", f"-j {FORWARD}"),
        Jump("filter", "OUTPUT", f"-j {OUTPUT}"),
    )
    if not nat:
        return guards
    return (
        *guards,
        Jump("nat", "PREROUTING", to_services),
        Jump("nat", "OUTPUT", to_services),
        Jump("nat", "PREROUTING", to_host_ports),
        Jump("nat", "OUTPUT", to_host_ports),
        Jump("nat", "PREROUTING", to_external),
        Jump("nat", "OUTPUT", to_external),
        Jump("nat", "POSTROUTING", f"-j {POSTROUTING}"),
    )


def render(table: ServiceTable, settings: RuleSettings, *, with_nat: bool = True) -> Rules:
    if not with_nat:
        return {"filter": _filter(table, settings), "nat": {}}
    served = [port for port in table.ports if port.backends]
    nat: dict[str, tuple[str, ...]] = {
        SERVICES: tuple(_dispatch(port) for port in served),
        POSTROUTING: _postrouting(settings),
        HAIRPIN: tuple(_hairpin(table, settings)),
        HOSTPORTS: tuple(_host_ports(table, settings)),
    }
    nat.update(iptables_outside.nat_chains(table, settings))
    nat.update((service_chain(port), tuple(_endpoints(port))) for port in served)
    return {"filter": _filter(table, settings), "nat": nat}


def service_chain(port: ServicePort) -> str:
    return chain_of(SERVICE_PREFIX, port.name, port.protocol, port.address, port.port)


def _dispatch(port: ServicePort) -> str:
    to = to_address(port.address, port.protocol, port.port)
    return f'{to} -m comment --comment "{port.name}" -j {service_chain(port)}'


def _endpoints(port: ServicePort) -> Iterator[str]:
    return endpoints(service_chain(port), port.protocol, port.backends, port.affinity_seconds)


def _host_ports(table: ServiceTable, settings: RuleSettings) -> Iterator[str]:
    """The node's addresses on the service range are no addresses to publish on: the cluster's DNS is there."""
    if table.host_ports or table.outside:
        yield f"-d {settings.service_cidr} -j RETURN"
        yield "-d 127.0.0.0/8 -j RETURN"
    for one in table.host_ports:
        target = f"{one.backend.address}:{one.backend.port}"
        yield f"{to_address(one.address, one.protocol, one.port)} -j DNAT --to-destination {target}"
    if table.outside:
        yield f"-j {NODEPORTS}"


def _postrouting(settings: RuleSettings) -> tuple[str, ...]:
    pods = settings.pod_cidr
    return (
        iptables_outside.postrouting(settings),
        f"-s {pods} -d {pods} -m conntrack --ctstate DNAT -j {HAIRPIN}",
        f"-s {pods} ! -d {settings.cluster_pod_cidr} -j MASQUERADE --random-fully",
    )


def _hairpin(table: ServiceTable, settings: RuleSettings) -> Iterator[str]:
    """A pod that is sent to itself would see its own address as the caller, and answer itself past the node."""
    here = IPv4Network(settings.pod_cidr)
    addresses = {IPv4Address(backend.address) for port in table.ports for backend in port.backends}
    addresses |= {IPv4Address(backend.address) for way in table.outside for backend in way.inside}
    addresses |= {IPv4Address(one.backend.address) for one in table.host_ports}
    for address in sorted(address for address in addresses if address in here):
        # SNAT, not MASQUERADE: a pod's link has no address that could be taken.
        yield f"-s {address}/32 -d {address}/32 -j SNAT --to-source {settings.gateway}"


def _filter(table: ServiceTable, settings: RuleSettings) -> Chains:
    services, pods, dns = settings.service_cidr, settings.pod_cidr, f"{settings.dns_address}/32"
    known = "-m conntrack --ctstate RELATED,ESTABLISHED"
    nobody = tuple(iptables_outside.nobody(table, REJECT))
    to_nobody = (f"-m conntrack --ctstate NEW -j {NOBODY}",) if nobody else ()
    return {
        FORWARD: (
            # What still has a service's address here was taken by no service.
            f"-i {POD_LINKS} -d {services} -j {REJECT}",
            f"-d {services} -j DROP",
            *to_nobody,
            f"-s {pods} {known} -j ACCEPT",
            f"-d {pods} {known} -j ACCEPT",
            # A connection that this node does not know began with whoever had the address before.
            f"-s {settings.cluster_pod_cidr} -d {pods} -p tcp -m tcp ! --syn -m conntrack --ctstate NEW -j {REJECT}",
            f"-s {pods} -i {POD_LINKS} -j ACCEPT",
            *_published(table, settings),
            *(f"-s {source} -d {pods} -j ACCEPT" for peer in settings.peers for source in peer.sources),
            f"-d {settings.cluster_pod_cidr} -j DROP",
        ),
        INPUT: (
            "-i lo -j RETURN",
            *to_nobody,
            f"-i {POD_LINKS} {known} -j ACCEPT",
            f"-d {dns} -i {POD_LINKS} -p udp -m udp --dport 53 -j ACCEPT",
            f"-d {dns} -i {POD_LINKS} -p tcp -m tcp --dport 53 -j ACCEPT",
            f"-d {settings.gateway}/32 -i {POD_LINKS} -p tcp -m tcp --dport {API_PORT} -j ACCEPT",
            f"-i {POD_LINKS} -j RETURN",
            *_encapsulated(settings.peers),
            f"-d {services} -m conntrack --ctstate NEW -j DROP",
            f"-d {pods} -m conntrack --ctstate NEW -j DROP",
        ),
        OUTPUT: (f"-d {dns} -j RETURN", f"-d {services} -j {REJECT}", *to_nobody),
        REJECT: (
            "-p tcp -j REJECT --reject-with tcp-reset",
            "-j REJECT --reject-with icmp-port-unreachable",
        ),
        NOBODY: nobody,
    }


def _published(table: ServiceTable, settings: RuleSettings) -> Iterator[str]:
    """What came to a port of the node or to an address of a service outside of the range, which no outside reaches."""
    via_node = f"-m conntrack --ctstate DNAT ! --ctorigdst {settings.service_cidr} -j ACCEPT"
    if table.outside:  # Also to pods of other nodes, whose answers come back this way.
        yield f"-d {settings.cluster_pod_cidr} {via_node}"
        yield f"-s {settings.cluster_pod_cidr} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    elif table.host_ports:
        yield f"-d {settings.pod_cidr} {via_node}"


def _encapsulated(peers: Iterable[PeerRange]) -> Iterator[str]:
    """VXLAN from nodes of the cluster alone: from anyone else it would be a way round every rule."""
    udp = f"-p udp -m udp --dport {VXLAN_PORT}"
    for peer in peers:
        yield f"-s {peer.address}/32 {udp} -j ACCEPT"
    if peers:
        yield f"{udp} -j DROP"


def restore_all(rules: Rules, settings: RuleSettings, saved: Mapping[str, str], *, only: str = "") -> str:
    """Text that makes our chains and jumps what they should be. `saved`: what iptables-save says of each table now.
    `only`: of this table."""
    wanted = jumps(settings, nat=bool(rules["nat"]))
    blocks = []
    for table, chains in rules.items():
        if only not in ("", table):
            continue
        lines = saved[table].splitlines()
        old = sorted(set(_our_chains(lines)) - chains.keys())
        there = _our_jumps(lines)
        here = [f"{jump.chain} {jump.rule}" for jump in wanted if jump.table == table]
        text = [f":{chain} - [0:0]" for chain in (*chains, *old)]
        text += [f"-A {chain} {rule}" for chain, content in chains.items() for rule in content]
        text += [f"-D {jump}" for jump in there if jump not in here]
        text += [f"-I {jump}" for jump in here if jump not in there]
        text += [f"-X {chain}" for chain in old]
        if text:
            blocks.append(_block(table, text))
    return "".join(blocks)


def is_guarded(settings: RuleSettings, saved: Mapping[str, str]) -> bool:
    """Whether an earlier agent's rules keep strangers out. Its other jumps may be those of another version."""
    there = _our_jumps(saved["filter"].splitlines())
    return all(f"{jump.chain} {jump.rule}" in there for jump in jumps(settings) if jump.table == "filter")


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
        yield from unordered_changes(chain, old.get(chain, ()), new[chain])
    for chain in gone:
        yield f"-X {chain}"


def _block(table: str, lines: Iterable[str]) -> str:
    return "\n".join((f"*{table}", *lines, "COMMIT", ""))
