"""gw0: a bridge that has no ports and carries the node's addresses; the routes beside and beneath the pods' own.

Portless, so that all traffic is routed by the node and services and hairpin work whatever br_netfilter is set to. A
bridge and not a `dummy` link, because some kernels have no such links. Blocking: the caller brings a thread.
"""

import socket
from ipaddress import IPv4Network
from typing import Any, Final

from agent.network.netlink import IPRoute, NetlinkError
from agent.network.overlap import Occupied, check_overlap
from agent.network.settings import (
    BRIDGE,
    ROUTE_PROTOCOL,
    UNREACHABLE_METRIC,
    NetworkSettings,
    bridge_alias,
)
from gitops.kinds.errors import Invalid

UNREACHABLE: Final = "unreachable"
LOCAL_TABLE: Final = 255  # The kernel's own entries for addresses: those are looked at as addresses.


def set_up(settings: NetworkSettings) -> None:
    """Repeatable. Raises Invalid if another cluster holds this namespace, or a range is in use."""
    with IPRoute() as ipr:
        index = _ours(ipr, settings)
        if index is None:
            check_overlap(
                (("--pod-cidr", settings.cluster_pod_cidr), ("--service-cidr", settings.service_cidr)),
                occupied(ipr),
            )
            ipr.link("add", ifname=BRIDGE, kind="bridge")
            index = ipr.link_lookup(ifname=BRIDGE)[0]
            # The lock first: a set-up that is cut here is found and finished, or removed, by its mark.
            ipr.link("set", index=index, ifalias=bridge_alias(settings.cluster, settings.node))
        ipr.link("set", index=index, state="up")
        _set_addresses(ipr, index, settings)
        _set_routes(ipr, index, settings)


def _ours(ipr: IPRoute, settings: NetworkSettings) -> int | None:
    """The index of our bridge, None if there is none."""
    for index in ipr.link_lookup(ifname=BRIDGE):
        link = ipr.get_links(index)[0]  # By number: by name every link of the host would be read.
        alias, wanted = link.get_attr("IFLA_IFALIAS") or "", bridge_alias(settings.cluster, settings.node)
        if alias != wanted:
            raise Invalid(
                f"the link {BRIDGE} of this host belongs to {alias or 'something else'!r}, wanted {wanted!r}: one host "
                "is a node of one cluster; run `gitward down` with the other's data directory first"
            )
        return int(index)
    return None


def occupied(ipr: IPRoute) -> list[Occupied]:
    """What the host routes or has as addresses, our own routes left out."""
    found = [
        Occupied(
            IPv4Network(f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}", strict=False),
            f"address "
            f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']} on {message.get_attr('IFA_LABEL')}",
        )
        for message in ipr.get_addr(family=socket.AF_INET)
    ]
    for route in ipr.get_routes(family=socket.AF_INET):
        target = route.get_attr("RTA_DST")
        if target and route["proto"] != ROUTE_PROTOCOL and route.get_attr("RTA_TABLE") != LOCAL_TABLE:
            text = f"{target}/{route['dst_len']}"
            found.append(Occupied(IPv4Network(text, strict=False), f"route {text}"))
    return found


def _set_addresses(ipr: IPRoute, index: int, settings: NetworkSettings) -> None:
    wanted = {settings.gateway, settings.dns_address}
    there = {message.get_attr("IFA_ADDRESS") for message in ipr.get_addr(family=socket.AF_INET, index=index)}
    for address in sorted(there - wanted):
        ipr.addr("del", index=index, address=address, prefixlen=32)
    # The gateway first: the kernel takes the first address as the source of what the node itself sends.
    for address in (settings.gateway, settings.dns_address):
        if address not in there:
            ipr.addr("add", index=index, address=address, prefixlen=32)


def _set_routes(ipr: IPRoute, index: int, settings: NetworkSettings) -> None:
    # The node's own packets are routed before OUTPUT's DNAT: without a route they would never get there.
    ipr.route(
        "replace",
        dst=settings.service_cidr,
        oif=index,
        proto=ROUTE_PROTOCOL,
        prefsrc=settings.gateway,
        scope="link",
    )
    for cidr in (settings.cluster_pod_cidr, settings.service_cidr):
        replace_unreachable(ipr, cidr)


def replace_unreachable(ipr: IPRoute, cidr: str) -> None:
    """A packet that no rule caught dies on this host, and never follows the default route."""
    ipr.route("replace", dst=cidr, type=UNREACHABLE, priority=UNREACHABLE_METRIC, proto=ROUTE_PROTOCOL)


def delete_routes(ipr: IPRoute) -> None:
    """Every route that carries our protocol number."""
    for route in ipr.get_routes(family=socket.AF_INET, proto=ROUTE_PROTOCOL):
        if route["proto"] != ROUTE_PROTOCOL:
            continue
        wanted: dict[str, Any] = {
            "dst": f"{route.get_attr('RTA_DST')}/{route['dst_len']}",
            "proto": ROUTE_PROTOCOL,
        }
        if (metric := route.get_attr("RTA_PRIORITY")) is not None:
            wanted["priority"] = metric
        if (link := route.get_attr("RTA_OIF")) is not None and route["type"] == 1:
            wanted["oif"] = link
        else:
            wanted["type"] = route["type"]
        try:
            ipr.route("del", **wanted)
        except NetlinkError as error:
            if error.code != 3:  # ESRCH: its link went meanwhile, and the route with it.
                raise
