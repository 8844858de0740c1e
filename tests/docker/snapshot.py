"""What a node's network could leave behind on a host, as text to compare: links, routes, rules, mounts, sysctls."""

import socket
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Final

from agent.network import sysctls
from agent.network.netlink import IPRoute
from agent.services.backend import LEGACY_TABLES, run

# Docker's, from its first container that begins on the host's network until it ends itself.
ENGINES_OWN: Final = "/netns/default"
TABLES: Final = ("filter", "nat", "mangle", "raw")


def snapshot() -> Mapping[str, frozenset[str]]:
    """Equal before and after: nothing was left, and nothing of others was taken. Blocking; needs root."""
    with IPRoute() as ipr:
        links = frozenset(str(link.get_attr("IFLA_IFNAME")) for link in ipr.get_links())
        addresses = frozenset(
            f"{each.get_attr('IFA_ADDRESS')}/{each['prefixlen']} on {each.get_attr('IFA_LABEL')}"
            for each in ipr.get_addr(family=socket.AF_INET)
        )
        routes = frozenset(
            f"{route['type']} {route.get_attr('RTA_DST')}/{route['dst_len']} table {route.get_attr('RTA_TABLE')} "
            f"via {route.get_attr('RTA_GATEWAY')} dev {route.get_attr('RTA_OIF')} "
            f"metric {route.get_attr('RTA_PRIORITY')}"
            for route in ipr.get_routes(family=socket.AF_INET)
        )
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mounts = (point for point in points if not point.endswith(ENGINES_OWN))
    return {
        "links": links,
        "addresses": addresses,
        "routes": routes,
        "rules": _rules(),
        "mounts": frozenset(mounts),
        "sysctls": frozenset(f"{name}={sysctls.read(name)}" for name in sysctls.HOST),
    }


def _rules() -> frozenset[str]:
    """Rules, policies and own chains. An empty built-in chain is as good as none: merely asking may make it."""
    programs = ["iptables"]
    if LEGACY_TABLES.exists() and LEGACY_TABLES.read_text().strip():
        programs.append("iptables-legacy")
    tables = run(("nft", "list", "tables")).splitlines() if which("nft") else []
    ours = frozenset(f"nft {line}" for line in tables if line.endswith(" gitward"))
    lines = (
        f"{table} {line.split(' [')[0]}"
        for program in programs
        for table in TABLES
        for line in run((f"{program}-save", "-t", table)).splitlines()
        if line.startswith(("-A", ":"))
    )
    return ours | frozenset(line for line in lines if not line.endswith(" ACCEPT") or " -A " in line)
