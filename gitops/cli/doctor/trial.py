"""`python -m gitops.cli.doctor.trial IPTABLES`: what a node asks of the kernel, tried in a namespace of its own.

A list of modules says little: features are built in, loaded on demand, or forbidden. So a pod's link, gw0, the link to
other nodes and a whole set of service rules are made here, where nobody sees them, and vanish with this process. Prints
one JSON object: feature -> why it failed ('': it works).
"""

import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import Final

from agent.network.netlink import IPRoute
from agent.services import RuleSettings, ServiceTable
from agent.services.backend import Iptables
from agent.services.driver import TABLES
from agent.services.iptables import render, restore_all
from agent.services.table import Backend, HostPort, ServicePort

CLONE_NEWNET: Final = 0x40000000
WORDS_MAX: Final = 300
BACKENDS: Final = (Backend("10.77.0.2", 80), Backend("10.77.0.3", 80))
TABLE: Final = ServiceTable(
    (
        ServicePort("trial/a:", "tcp", "10.78.0.11", 80, BACKENDS, affinity_seconds=10_800),
        ServicePort("trial/b:", "udp", "10.78.0.12", 53, BACKENDS),
        ServicePort("trial/c:", "tcp", "10.78.0.13", 80, ()),
    ),
    (HostPort("tcp", "", 8080, BACKENDS[0]),),
)
SETTINGS: Final = RuleSettings("10.77.0.0/24", "10.77.0.0/16", "10.78.0.0/16", "10.77.0.1", "10.78.0.10")


def main() -> None:
    """Needs root."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        print(json.dumps({"namespaces": os.strerror(ctypes.get_errno())}))
        return
    tries: dict[str, Callable[[], object]] = {
        "bridge": lambda: _link(ifname="gw0", kind="bridge"),
        "veth": lambda: _link(ifname="gwtrial", kind="veth", peer={"ifname": "eth0"}),
        "vxlan": lambda: _link(
            ifname="gwx", kind="vxlan", vxlan_id=42, vxlan_port=8472, vxlan_learning=False
        ),
    }
    if len(sys.argv) > 1:
        tries["rules"] = lambda: _rules(Iptables(sys.argv[1]))
    print(json.dumps({name: _tried(one) for name, one in tries.items()}))


def _link(**told: object) -> None:
    with IPRoute() as ipr:
        ipr.link("add", **told)


def _rules(program: Iptables) -> None:
    saved = {table: program.save(table) for table in TABLES}
    program.restore(restore_all(render(TABLE, SETTINGS), SETTINGS, saved))


def _tried(one: Callable[[], object]) -> str:
    try:
        one()
    except Exception as error:  # noqa: BLE001 # The top of a trial: whatever fails here is the answer.
        return " ".join(str(error).split())[:WORDS_MAX] or type(error).__name__
    return ""


if __name__ == "__main__":
    main()
