"""Whether our ranges would take addresses that the host already uses: pure."""

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import NamedTuple

from gitops.kinds.errors import Invalid


class Occupied(NamedTuple):
    """A range that a route or an address of the host covers; `by` says which, as `ip` would print it."""

    network: IPv4Network
    by: str


def check_overlap(ranges: Iterable[tuple[str, str]], occupied: Iterable[Occupied]) -> None:
    """`ranges` are (flag, CIDR). Raises Invalid naming both sides and what to do. A default route overlaps nothing."""
    taken = [each for each in occupied if each.network.prefixlen > 0]
    for flag, text in ranges:
        ours = IPv4Network(text)
        for each in taken:
            if ours.overlaps(each.network):
                raise Invalid(
                    f"{flag} {ours} overlaps with {each.by} of this host: choose another range by {flag} "
                    f"(all nodes of a cluster use the same), or remove what uses it",
                    ((flag, f"overlaps with {each.by}"),),
                )
