"""A pod's link: a routed veth with a /32 address. The pod knows one neighbour, the node, by a fixed hardware address.

All traffic of a pod, to its neighbours on the node too, is thus routed by the node. Blocking: the caller brings a
thread.
"""

import socket
from collections.abc import Iterator
from typing import Final

from agent.network import netns, sysctls
from agent.network.netlink import IPRoute, NetlinkError
from agent.network.settings import (
    LINK_PREFIX,
    POD_INTERFACE,
    ROUTE_PROTOCOL,
    LinkMark,
    NetworkSettings,
    link_name,
    mark_of_alias,
)
from gitops.kinds.errors import Unavailable

NODE_MAC: Final = "ee:ee:ee:ee:ee:ee"  # Of the node's end of every link: each link is a network of two.
PERMANENT: Final = 0x80  # NUD_PERMANENT: nobody has to ask, whatever arp_ignore says.
ENODEV: Final = 19


def attach(settings: NetworkSettings, pid: int, address: str, uid: str, mtu: int) -> None:
    """Wire the namespace of `pid`. Wired already as wanted: nothing changes. Raises Unavailable if `pid` has ended.

    `mtu`: of both ends, so that no packet is too large for the way to another node.
    """
    name, mark = link_name(uid), LinkMark(settings.cluster, uid, address)
    try:
        if netns.is_ours(pid):
            raise Unavailable(f"cannot wire pod {uid}: process {pid} is in the node's own network")
        with IPRoute() as ipr:
            there = _find(ipr, name)
            if there is not None and not _is_whole(there[0], there[1], mark, pid):
                _delete(ipr, there[0])
                there = None
            index = there[0] if there else _add(ipr, name, mark, pid)
            sysctls.write(sysctls.link_sysctls(name))
            ipr.link("set", index=index, state="up", mtu=mtu)
            peer_mac = netns.inside(netns.of_pid(pid), lambda: _set_up_inside(settings, address, mtu))
            ipr.neigh("replace", dst=address, lladdr=peer_mac, ifindex=index, state=PERMANENT)
            ipr.route(
                "replace",
                dst=f"{address}/32",
                oif=index,
                proto=ROUTE_PROTOCOL,
                prefsrc=settings.gateway,
                scope="link",
            )
    except (NetlinkError, OSError) as error:
        raise Unavailable(f"cannot wire pod {uid} (process {pid}, {address}): {error}") from error


def is_there(uid: str) -> bool:
    """Whether a pod has a link. One question to the kernel, which does not block."""
    try:
        socket.if_nametoindex(link_name(uid))
    except OSError:
        return False
    return True


def detach(uid: str) -> None:
    """Absent is fine: a link goes by itself with its pod's namespace."""
    with IPRoute() as ipr:
        for index in ipr.link_lookup(ifname=link_name(uid)):
            _delete(ipr, index)


def attached(cluster: str) -> dict[str, str]:
    """Pod uid -> address, of this cluster's links."""
    with IPRoute() as ipr:
        return {mark.uid: mark.address for _, mark in marked(ipr) if mark.cluster == cluster}


def marked(ipr: IPRoute) -> Iterator[tuple[int, LinkMark]]:
    """(index, mark) of every pod link, whichever cluster's."""
    for link in list(ipr.get_links()):
        mark = mark_of_alias(link.get_attr("IFLA_IFALIAS") or "")
        if mark is not None and link.get_attr("IFLA_IFNAME").startswith(LINK_PREFIX):
            yield int(link["index"]), mark


def _find(ipr: IPRoute, name: str) -> tuple[int, str] | None:
    """(index, alias) of the link of this name."""
    for index in ipr.link_lookup(ifname=name):
        return int(index), ipr.get_links(index)[0].get_attr("IFLA_IFALIAS") or ""
    return None


def _is_whole(index: int, alias: str, mark: LinkMark, pid: int) -> bool:
    """Whether the link's other end is in the namespace of `pid`, and bears the address that is wanted."""
    return alias == mark.alias and netns.inside(netns.of_pid(pid), _peer_of_eth0) == index


def _peer_of_eth0() -> int | None:
    with IPRoute() as ipr:
        for index in ipr.link_lookup(ifname=POD_INTERFACE):
            peer = ipr.get_links(index)[0].get_attr("IFLA_LINK")
            return int(peer) if peer is not None else None
    return None


def _add(ipr: IPRoute, name: str, mark: LinkMark, pid: int) -> int:
    ipr.link(
        "add", ifname=name, kind="veth", address=NODE_MAC, peer={"ifname": POD_INTERFACE, "net_ns_pid": pid}
    )
    index = int(ipr.link_lookup(ifname=name)[0])
    # Last: a link without its mark is incomplete, and is made again.
    ipr.link("set", index=index, ifalias=mark.alias)
    return index


def _set_up_inside(settings: NetworkSettings, address: str, mtu: int) -> str:
    """In the pod's namespace: lo, the address, the only route. Returns the hardware address of eth0."""
    with IPRoute() as ipr:
        ipr.link("set", index=1, state="up")
        index = ipr.link_lookup(ifname=POD_INTERFACE)[0]
        if address not in {
            each.get_attr("IFA_ADDRESS") for each in ipr.get_addr(family=socket.AF_INET, index=index)
        }:
            ipr.addr("add", index=index, address=address, prefixlen=32)
        ipr.link("set", index=index, state="up", mtu=mtu)
        ipr.neigh("replace", dst=settings.gateway, lladdr=NODE_MAC, ifindex=index, state=PERMANENT)
        ipr.route("replace", dst=f"{settings.gateway}/32", oif=index, scope="link")
        ipr.route("replace", dst="0.0.0.0/0", gateway=settings.gateway, oif=index)
        return str(ipr.get_links(index)[0].get_attr("IFLA_ADDRESS"))


def _delete(ipr: IPRoute, index: int) -> None:
    try:
        ipr.link("del", index=index)
    except NetlinkError as error:
        if error.code != ENODEV:
            raise
