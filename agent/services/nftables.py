"""The nat part of a service table as one nftables table `gitward`, and the difference of two: pure.

Rules are constant and services are elements of maps, so a change costs the same among ten thousand services as among
ten, and so does a connection. What a service opens to the outside has a chain of its own: there are few of those.
Everything that keeps strangers out stays in iptables' filter table, for the engine's own rules are there, and what one
table accepts another may still drop.

A caller with affinity is led by its address alone: no time runs out, and it stays as long as the endpoints do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import Final, TypeVar

from agent.services.iptables_endpoints import chain_of
from agent.services.settings import MASQUERADE_MARK, RuleSettings
from agent.services.slots import SLOTS, STICKY_SLOTS, fill, slots_of, sticky_slots_of
from agent.services.table import Backend, OutsidePort, ServicePort, ServiceTable

TABLE: Final = "gitward"
KEY: Final = "ip daddr . meta l4proto . th dport"
TARGET: Final = "ip daddr . th dport"
MARKED: Final = f"meta mark & {MASQUERADE_MARK:#x} == {MASQUERADE_MARK:#x}"
MASQUERADE: Final = f"meta mark set meta mark | {MASQUERADE_MARK:#x}"
WAY_PREFIX: Final = "way-"
INSIDE_PREFIX: Final = "inside-"
DECLARED: Final[Mapping[str, str]] = {  # Name of a map or set -> what it is.
    **{f"ep{slots}": f"map {{ typeof {KEY} . numgen random mod {slots} : {TARGET}; }}" for slots in SLOTS},
    # Looked up by a hash; declared by a number, since nft 1.0.6 dies of printing a hash's type.
    **{
        f"sticky{slots}": f"map {{ typeof {KEY} . numgen random mod {slots} : {TARGET}; }}"
        for slots in STICKY_SLOTS
    },
    "hostports": f"map {{ typeof meta l4proto . th dport : {TARGET}; }}",
    "hostports-at": f"map {{ typeof {KEY} : {TARGET}; }}",
    "nodeports": "map { typeof meta l4proto . th dport : verdict; }",
    "external": f"map {{ typeof {KEY} : verdict; }}",
    "hairpin": "set { typeof ip saddr . ip daddr; }",
}


@dataclass(frozen=True, slots=True)
class Nat:
    """`elements`: map -> key -> value ('': of a set). `ways`: chain -> rules."""

    elements: Mapping[str, Mapping[str, str]]
    ways: Mapping[str, tuple[str, ...]]


def render(table: ServiceTable, settings: RuleSettings) -> Nat:
    elements: dict[str, dict[str, str]] = {name: {} for name in DECLARED}
    for port in table.ports:
        if port.backends:
            _add_service(port, elements)
    for one in table.host_ports:
        name = "hostports-at" if one.address else "hostports"
        elements[name].setdefault(_key(one.address, one.protocol, one.port), _target(one.backend))
    ways: dict[str, tuple[str, ...]] = {}
    for way in table.outside:
        if way.backends or way.inside:
            _add_way(way, settings, elements, ways)
    elements["hairpin"] = dict.fromkeys(_hairpin(table, settings), "")
    return Nat(elements, ways)


def _key(address: str, protocol: str, port: int) -> str:
    return f"{address} . {protocol} . {port}" if address else f"{protocol} . {port}"


def _target(backend: Backend) -> str:
    return f"{backend.address} . {backend.port}"


def _add_service(port: ServicePort, elements: dict[str, dict[str, str]]) -> None:
    count = len(port.backends)
    slots = sticky_slots_of(count) if port.affinity_seconds else slots_of(count)
    into = elements[f"sticky{slots}" if port.affinity_seconds else f"ep{slots}"]
    key = _key(port.address, port.protocol, port.port)
    for slot, backend in enumerate(fill(port.backends, slots)):
        into[f"{key} . {slot}"] = _target(backend)


def _add_way(
    way: OutsidePort,
    settings: RuleSettings,
    elements: dict[str, dict[str, str]],
    ways: dict[str, tuple[str, ...]],
) -> None:
    facts = (way.name, way.protocol, way.address, way.port)
    chain, inside = chain_of(WAY_PREFIX, *facts).lower(), chain_of(INSIDE_PREFIX, *facts).lower()
    into = elements["external" if way.address else "nodeports"]
    into[_key(way.address, way.protocol, way.port)] = f"goto {chain}"
    rules = [f"ip saddr != {{ {', '.join(way.sources)} }} return"] if way.sources else []
    if way.keeps_caller:
        ways[inside] = tuple(_choice(way, way.inside))
        rules += [
            f"ip saddr {settings.cluster_pod_cidr} goto {inside}",
            f"fib saddr type local {MASQUERADE}",
            f"fib saddr type local goto {inside}",
        ]
    else:
        # What a pod of this node sends comes back by this node anyway.
        rules.append(f"ip saddr != {settings.pod_cidr} {MASQUERADE}")
    ways[chain] = (*rules, *_choice(way, way.backends))


def _choice(way: OutsidePort, backends: tuple[Backend, ...]) -> Iterator[str]:
    if not backends:
        return
    count = len(backends)
    slots = sticky_slots_of(count) if way.affinity_seconds else slots_of(count)
    number = f"jhash ip saddr mod {slots}" if way.affinity_seconds else f"numgen random mod {slots}"
    places = ", ".join(f"{slot} : {_target(one)}" for slot, one in enumerate(fill(backends, slots)))
    yield f"meta l4proto {way.protocol} dnat ip to {number} map {{ {places} }}"


def _hairpin(table: ServiceTable, settings: RuleSettings) -> Iterator[str]:
    """A pod that is sent to itself would see its own address as the caller, and answer itself past the node."""
    here = IPv4Network(settings.pod_cidr)
    addresses = {backend.address for port in table.ports for backend in port.backends}
    addresses |= {backend.address for way in table.outside for backend in way.inside}
    addresses |= {one.backend.address for one in table.host_ports}
    first, last = int(here.network_address), int(here.broadcast_address)
    yield from (f"{one} . {one}" for one in addresses if first <= _number(one) <= last)


@lru_cache(maxsize=100_000)
def _number(address: str) -> int:
    return int(IPv4Address(address))


def base(settings: RuleSettings) -> Mapping[str, tuple[str, ...]]:
    """Chain -> its lines, whatever the services are."""
    pods, cluster, services = settings.pod_cidr, settings.cluster_pod_cidr, settings.service_cidr
    sticky = (f"dnat ip to {KEY} . jhash ip saddr mod {slots} map @sticky{slots}" for slots in STICKY_SLOTS)
    random = (f"dnat ip to {KEY} . numgen random mod {slots} map @ep{slots}" for slots in SLOTS)
    return {
        "services": (*sticky, *random),
        "node": (
            f"ip daddr {services} return",
            "ip daddr 127.0.0.0/8 return",
            f"dnat ip to {KEY} map @hostports-at",
            "dnat ip to meta l4proto . th dport map @hostports",
            "meta l4proto . th dport vmap @nodeports",
        ),
        "ways": (
            f"ip daddr {services} goto services",
            f"ip daddr {cluster} fib daddr type != local return",
            f"{KEY} vmap @external",
            "fib daddr type local goto node",
        ),
        "prerouting": ("type nat hook prerouting priority dstnat;", "jump ways"),
        "output": ("type nat hook output priority -100;", "jump ways"),
        "postrouting": (
            "type nat hook postrouting priority srcnat;",
            f"ip daddr {cluster} {MARKED} snat to {settings.gateway} fully-random",
            f"ct status dnat ip saddr . ip daddr @hairpin snat to {settings.gateway}",
            f"ip saddr {pods} ip daddr != {cluster} masquerade fully-random",
        ),
    }


def chains(table: ServiceTable, settings: RuleSettings) -> int:
    """How many there are."""
    outside = ServiceTable(outside=table.outside)
    return len(base(settings)) + len(render(outside, settings).ways)


def load_all(table: ServiceTable, settings: RuleSettings) -> str:
    """Text that makes our table what it should be, in one transaction, whatever was there."""
    nat = render(table, settings)
    declared = [
        f"{text.partition(' ')[0]} {name} {text.partition(' ')[2]}" for name, text in DECLARED.items()
    ]
    fixed = [
        f"chain {name} {{ {' ; '.join(line.rstrip(';') for line in lines)} ; }}"
        for name, lines in base(settings).items()
    ]
    lines = [f"table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{", *declared]
    lines += [f"chain {name} {{ }}" for name in nat.ways]
    lines += [*fixed, "}"]
    lines += [f"add rule ip {TABLE} {name} {rule}" for name, rules in nat.ways.items() for rule in rules]
    lines += [line for name, content in nat.elements.items() for line in _put(name, content)]
    return "\n".join((*lines, ""))


def changes(old: ServiceTable, new: ServiceTable, settings: RuleSettings) -> str:
    """Text that leads from `old` to `new`, touching nothing else. '': nothing to do.

    Benchmark: `gitward bench services`; so only what differs is rendered.
    """
    ports, ways = _apart(old.ports, new.ports), _apart(old.outside, new.outside)
    before = ServiceTable(ports[0], old.host_ports, ways[0])
    after = ServiceTable(ports[1], new.host_ports, ways[1])
    if before == after:
        return ""
    there, wanted = render(before, settings), render(after, settings)
    # A pod that stands behind what did not change stays in the set.
    kept = there.elements["hairpin"].keys() & frozenset(_hairpin(new, settings))
    known = wanted.elements["hairpin"].keys() & frozenset(_hairpin(old, settings))
    hairpins = dict.fromkeys(kept | known, "")
    there = replace(there, elements={**there.elements, "hairpin": {**there.elements["hairpin"], **hairpins}})
    wanted = replace(
        wanted, elements={**wanted.elements, "hairpin": {**wanted.elements["hairpin"], **hairpins}}
    )
    return "".join(f"{line}\n" for line in _differences(there, wanted))


P = TypeVar("P", ServicePort, OutsidePort)


def _apart(old: tuple[P, ...], new: tuple[P, ...]) -> tuple[tuple[P, ...], tuple[P, ...]]:
    """What is in one of them alone."""
    was = {(port.address, port.port, port.protocol): port for port in old}
    now = {(port.address, port.port, port.protocol): port for port in new}
    return (
        tuple(port for place, port in was.items() if now.get(place) != port),
        tuple(port for place, port in now.items() if was.get(place) != port),
    )


def _differences(old: Nat, new: Nat) -> Iterator[str]:
    changed = [name for name, rules in new.ways.items() if old.ways.get(name) != rules]
    for name in changed:
        yield f"add chain ip {TABLE} {name}"
        yield f"flush chain ip {TABLE} {name}"
    for name in changed:
        yield from (f"add rule ip {TABLE} {name} {rule}" for rule in new.ways[name])
    for name, wanted in new.elements.items():
        there = old.elements[name]
        yield from _remove(name, [key for key, value in there.items() if wanted.get(key) != value])
        yield from _put(name, {key: value for key, value in wanted.items() if there.get(key) != value})
    for name in old.ways.keys() - new.ways.keys():
        yield f"flush chain ip {TABLE} {name}"
    for name in sorted(old.ways.keys() - new.ways.keys()):
        yield f"delete chain ip {TABLE} {name}"


def _put(name: str, content: Mapping[str, str]) -> list[str]:
    if not content:
        return []
    places = ", ".join(f"{key} : {value}" if value else key for key, value in content.items())
    return [f"add element ip {TABLE} {name} {{ {places} }}"]


def _remove(name: str, keys: list[str]) -> list[str]:
    return [f"delete element ip {TABLE} {name} {{ {', '.join(keys)} }}"] if keys else []
