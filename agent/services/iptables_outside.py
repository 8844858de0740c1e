"""Ways into services from outside of the cluster as iptables chains: pure.

  nat     EXTERNAL      an address that a service claims -> the chain of that way in
          NODEPORTS     a port of the node -> the same; walked for the node's own addresses, after HOSTPORTS
          EXT-<hash>    one way in: an endpoint; the caller's address is replaced, unless the service wants to see it
          INS-<hash>    the endpoints that pods and the node itself get, where that are others
  filter  NOBODY        what no endpoint took: answered at once, or dropped
Source: kube-proxy, proxier of iptables (external policy chains).
"""

from collections.abc import Iterator
from typing import Final

from agent.services.iptables_endpoints import (
    INSIDE_PREFIX,
    OUTSIDE_PREFIX,
    PREFIX,
    chain_of,
    endpoints,
    to_address,
)
from agent.services.settings import MASQUERADE_MARK, RuleSettings
from agent.services.table import OutsidePort, ServiceTable

EXTERNAL: Final = PREFIX + "EXTERNAL"
NODEPORTS: Final = PREFIX + "NODEPORTS"
NOBODY: Final = PREFIX + "NOBODY"
LOCAL: Final = "-m addrtype --dst-type LOCAL"
FROM_NODE: Final = "-m addrtype --src-type LOCAL"
MARKED: Final = f"-m mark --mark {MASQUERADE_MARK:#x}/{MASQUERADE_MARK:#x}"
MASQUERADE: Final = f"-j MARK --set-xmark {MASQUERADE_MARK:#x}/{MASQUERADE_MARK:#x}"


def nat_chains(table: ServiceTable, settings: RuleSettings) -> dict[str, tuple[str, ...]]:
    served = [port for port in table.outside if port.backends or port.inside]
    chains: dict[str, tuple[str, ...]] = {
        EXTERNAL: tuple(rule for port in served if port.address for rule in _dispatch(port)),
        NODEPORTS: tuple(rule for port in served if not port.address for rule in _dispatch(port)),
    }
    for port in served:
        chains[outside_chain(port)] = tuple(_way_in(port, settings))
        if port.keeps_caller:
            inside = _inside_chain(port)
            chains[inside] = tuple(endpoints(inside, port.protocol, port.inside, port.affinity_seconds))
    return chains


def outside_chain(port: OutsidePort) -> str:
    return chain_of(OUTSIDE_PREFIX, port.name, port.protocol, port.address, port.port)


def _inside_chain(port: OutsidePort) -> str:
    return chain_of(INSIDE_PREFIX, port.name, port.protocol, port.address, port.port)


def _dispatch(port: OutsidePort) -> Iterator[str]:
    for source in port.sources or ("",):
        of = f"-s {source} " if source else ""
        to = to_address(port.address, port.protocol, port.port)
        yield f'{of}{to} -m comment --comment "{port.name}" -j {outside_chain(port)}'


def _way_in(port: OutsidePort, settings: RuleSettings) -> Iterator[str]:
    if port.keeps_caller:
        yield f"-s {settings.cluster_pod_cidr} -j {_inside_chain(port)}"
        yield f"{FROM_NODE} {MASQUERADE}"
        yield f"{FROM_NODE} -j {_inside_chain(port)}"
    else:
        # What a pod of this node sends comes back by this node anyway.
        yield f"! -s {settings.pod_cidr} {MASQUERADE}"
    yield from endpoints(outside_chain(port), port.protocol, port.backends, port.affinity_seconds)


def postrouting(settings: RuleSettings) -> str:
    """The gateway is known to every node as this one's; a pod's link has no address that could be taken."""
    return f"-d {settings.cluster_pod_cidr} {MARKED} -j SNAT --to-source {settings.gateway} --random-fully"


def nobody(table: ServiceTable, reject: str) -> Iterator[str]:
    """`reject`: the chain that answers. A balancer must not be told "refused" by a node that only has no endpoint of
    its own, and a caller from a wrong place gets no answer: both as kube-proxy does."""
    for port in table.outside:
        if port.backends and not port.sources:
            continue
        to = to_address(port.address, port.protocol, port.port)
        where = to if port.address else f"{LOCAL} {to}"
        yield f"{where} -j DROP" if port.inside else f"{where} -j {reject}"
