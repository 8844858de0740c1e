"""The ways to other nodes' pods in the kernel: routes, and a VXLAN link with its neighbours where a plan wants one.

What is there is compared with the plan each time, so what others took away comes back, and what only a node that left
needed goes. Routes carry our protocol number and the link our mark, so `down` finds them. Blocking: the caller brings a
thread.
"""

import errno
import socket
from collections.abc import Iterable
from typing import Any, Final

from agent.network import sysctls
from agent.network.links import PERMANENT
from agent.network.netlink import IPRoute, NetlinkError
from agent.network.peers import VXLAN, VXLAN_BYTES, Peer, Plan, endpoint_mac, plan
from agent.network.settings import OVERLAY, ROUTE_PROTOCOL, NetworkSettings, overlay_alias
from gitops.kinds.errors import Unavailable

VXLAN_ID: Final = 77
VXLAN_PORT: Final = 8472  # Linux's own default, as flannel has it.
MTU_DEFAULT: Final = 1_500
MTU_MIN: Final = 576
SELF: Final = 2  # NTF_SELF: an entry of the link itself, not of a bridge above it.
ONLINK: Final = 4  # RTNH_F_ONLINK: the endpoint is no neighbour by its address, but by what we say.


def connect(settings: NetworkSettings, peers: Iterable[Peer]) -> int:
    """Bring the ways to what the peers need; the MTU that pods get from now on. Repeatable.

    Raises Unavailable, with the rest done, if a peer cannot be reached by the way that was chosen.
    """
    try:
        with IPRoute() as ipr:
            uplink, mtu = _uplink(ipr, settings.node_address)
            wanted = plan(peers, settings.overlay, lambda address: _is_near(ipr, address))
            needs_overlay = bool(wanted.through) or settings.overlay == VXLAN
            overlay = _overlay(ipr, settings, uplink, mtu) if needs_overlay else None
            if overlay is None:
                remove(ipr)
            else:
                _tell_neighbours(ipr, overlay, wanted)
            _route(ipr, settings, wanted, overlay)
    except (NetlinkError, OSError) as error:
        raise Unavailable(f"cannot make the ways to other nodes: {error}") from error
    if wanted.unreachable:
        names = ", ".join(f"{peer.name} ({peer.address})" for peer in wanted.unreachable)
        raise Unavailable(
            f"a router is between this node and {names}: --overlay direct cannot reach their pods"
        )
    return max(mtu - (VXLAN_BYTES if needs_overlay else 0), MTU_MIN)


def first_mtu(settings: NetworkSettings) -> int:
    """What pods get before the other nodes are known."""
    with IPRoute() as ipr:
        _, mtu = _uplink(ipr, settings.node_address)
    return max(mtu - (VXLAN_BYTES if settings.overlay == VXLAN else 0), MTU_MIN)


def remove(ipr: IPRoute) -> bool:
    """The VXLAN link and all that hangs on it. Whether there was one of ours."""
    for index in ipr.link_lookup(ifname=OVERLAY):
        alias = ipr.get_links(index)[0].get_attr("IFLA_IFALIAS") or ""
        if alias.startswith("gitward:"):
            ipr.link("del", index=index)
            return True
    return False


def _uplink(ipr: IPRoute, address: str) -> tuple[int | None, int]:
    """The link that bears the node's address, and its MTU."""
    for message in ipr.get_addr(family=socket.AF_INET, address=address) if address else ():
        link = ipr.get_links(message["index"])[0]
        if link.get_attr("IFLA_IFNAME") != "lo":
            return int(message["index"]), int(link.get_attr("IFLA_MTU"))
    return None, MTU_DEFAULT


def _is_near(ipr: IPRoute, address: str) -> bool:
    try:
        found = ipr.route("get", dst=address)
    except NetlinkError:
        return False  # No way at all now: as if a router were between, so that VXLAN works once there is one.
    return bool(found) and found[0].get_attr("RTA_GATEWAY") is None


def _overlay(ipr: IPRoute, settings: NetworkSettings, uplink: int | None, mtu: int) -> int:
    """The index of the VXLAN link; made again if the node's address is another one now."""
    if uplink is None:
        raise Unavailable(
            f"no link bears the node's address {settings.node_address or 'at all'}: VXLAN needs --node-ip"
        )
    mac, alias = endpoint_mac(settings.pod_cidr), overlay_alias(settings.cluster)
    for index in ipr.link_lookup(ifname=OVERLAY):
        if not _is_as_wanted(ipr.get_links(index)[0], settings.node_address, uplink, mac, alias):
            ipr.link("del", index=index)
    if not ipr.link_lookup(ifname=OVERLAY):
        ipr.link(
            "add", ifname=OVERLAY, kind="vxlan", vxlan_id=VXLAN_ID, vxlan_local=settings.node_address,
            vxlan_link=uplink, vxlan_port=VXLAN_PORT, vxlan_learning=False, address=mac,
        )  # fmt: skip
        ipr.link("set", index=ipr.link_lookup(ifname=OVERLAY)[0], ifalias=alias)
    index = int(ipr.link_lookup(ifname=OVERLAY)[0])
    sysctls.write(sysctls.link_sysctls(OVERLAY))
    ipr.link("set", index=index, mtu=max(mtu - VXLAN_BYTES, MTU_MIN), state="up")
    own = settings.endpoint
    if own not in {one.get_attr("IFA_ADDRESS") for one in ipr.get_addr(family=socket.AF_INET, index=index)}:
        ipr.addr("add", index=index, address=own, prefixlen=32)
    return index


def _is_as_wanted(link: Any, address: str, uplink: int, mac: str, alias: str) -> bool:
    if link.get_attr("IFLA_IFALIAS") != alias:
        return False  # One that was cut in the making, or another cluster's that is gone.
    info = link.get_attr("IFLA_LINKINFO")
    told = info.get_attr("IFLA_INFO_DATA") if info is not None else None
    return (
        told is not None
        and told.get_attr("IFLA_VXLAN_LOCAL") == address
        and told.get_attr("IFLA_VXLAN_LINK") == uplink
        and link.get_attr("IFLA_ADDRESS") == mac
    )


def _tell_neighbours(ipr: IPRoute, overlay: int, wanted: Plan) -> None:
    """Endpoint -> hardware address, and that -> node. Nobody is asked, so nobody can lie."""
    neighbours = {peer.endpoint: peer.mac for peer in wanted.through}
    forwarding = {peer.mac: peer.address for peer in wanted.through}
    for one in list(ipr.get_neighbours(family=socket.AF_INET, ifindex=overlay)):
        if one["ifindex"] == overlay and (address := one.get_attr("NDA_DST")) not in neighbours:
            _forget(ipr.neigh, dst=address, ifindex=overlay)
    for one in list(ipr.fdb("dump", ifindex=overlay)):
        mac, address = one.get_attr("NDA_LLADDR"), one.get_attr("NDA_DST")
        if one["ifindex"] == overlay and address and forwarding.get(mac) != address:
            _forget(ipr.fdb, lladdr=mac, dst=address, ifindex=overlay, flags=SELF)
    for endpoint, mac in neighbours.items():
        ipr.neigh("replace", dst=endpoint, lladdr=mac, ifindex=overlay, state=PERMANENT)
    for mac, address in forwarding.items():
        ipr.fdb("replace", ifindex=overlay, lladdr=mac, dst=address, state=PERMANENT, flags=SELF)


def _forget(entries: Any, **entry: object) -> None:
    try:
        entries("del", **entry)
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise


def _route(ipr: IPRoute, settings: NetworkSettings, wanted: Plan, overlay: int | None) -> None:
    """Those that have a gateway are the ways to other nodes; our other routes have none."""
    there: dict[str, tuple[str, int]] = {}
    for route in list(ipr.get_routes(family=socket.AF_INET, proto=ROUTE_PROTOCOL)):
        if route["proto"] == ROUTE_PROTOCOL and (via := route.get_attr("RTA_GATEWAY")):
            there[f"{route.get_attr('RTA_DST')}/{route['dst_len']}"] = (via, route.get_attr("RTA_OIF"))
    for cidr in there.keys() - {way.cidr for way in wanted.ways}:
        _forget_route(ipr, cidr)
    for way in wanted.ways:
        if way.overlay and there.get(way.cidr) != (way.via, overlay):
            ipr.route("replace", dst=way.cidr, gateway=way.via, oif=overlay, flags=ONLINK,
                      proto=ROUTE_PROTOCOL, prefsrc=settings.gateway)  # fmt: skip
        elif not way.overlay and (way.cidr not in there or there[way.cidr][0] != way.via
                                  or there[way.cidr][1] == overlay):  # fmt: skip
            ipr.route(
                "replace", dst=way.cidr, gateway=way.via, proto=ROUTE_PROTOCOL, prefsrc=settings.gateway
            )


def _forget_route(ipr: IPRoute, cidr: str) -> None:
    try:
        ipr.route("del", dst=cidr, proto=ROUTE_PROTOCOL, type=1)
    except NetlinkError as error:
        if error.code != errno.ESRCH:
            raise
