"""Ports of the node that lead to one pod of it (`hostPort`), and how a sandbox's label remembers them: pure.

As CNI's plug-in portmap does it, but for loopback: only the node's own addresses are published, not 127.0.0.1.
"""

from collections.abc import Iterable

from agent.services.table import Backend, HostPort


def to_label(ports: Iterable[HostPort]) -> str:
    """`tcp,,8080,10.77.1.2,80` for each, with semicolons between."""
    return ";".join(
        f"{one.protocol},{one.address},{one.port},{one.backend.address},{one.backend.port}" for one in ports
    )


def from_label(text: str) -> tuple[HostPort, ...]:
    """The inverse; what is no port is passed over."""
    found = []
    for entry in text.split(";"):
        words = entry.split(",")
        if len(words) == 5 and words[2].isdecimal() and words[4].isdecimal():
            protocol, address, port, target, number = words
            found.append(HostPort(protocol, address, int(port), Backend(target, int(number))))
    return tuple(found)
