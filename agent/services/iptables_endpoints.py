"""The chain of one service port in iptables: a random endpoint, or the one that the caller had: pure."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

from agent.services.table import Backend

PREFIX: Final = "GITWARD-"  # Of all our chains.
SERVICE_PREFIX: Final = PREFIX + "SVC-"  # With 16 characters of hash: the 28 that a chain's name may have.
OUTSIDE_PREFIX: Final = PREFIX + "EXT-"
INSIDE_PREFIX: Final = PREFIX + "INS-"


def chain_of(prefix: str, *parts: object) -> str:
    text = " ".join(str(part) for part in parts)
    return prefix + sha256(text.encode()).hexdigest()[:16].upper()


def endpoints(chain: str, protocol: str, backends: Sequence[Backend], affinity_seconds: int) -> Iterator[str]:
    """Each endpoint gets an equal share: the first one n-th, the second one (n-1)-th of what is left, and so on."""
    count, match = len(backends), f"-p {protocol}"
    targets = [f"-j DNAT --to-destination {each.address}:{each.port}" for each in backends]
    lists = [f"{chain}-{each.address}-{each.port}" for each in backends]
    if affinity_seconds:
        for target, name in zip(targets, lists, strict=True):
            # `--update` tells of clients seen within the time, and begins it anew.
            recent = f"-m recent --name {name} --rsource --update --seconds {affinity_seconds} --reap"
            yield f"{match} {recent} {target}"
    for number, (target, name) in enumerate(zip(targets, lists, strict=True)):
        share = (
            f" -m statistic --mode random --probability {1 / (count - number):.10f}"
            if number < count - 1
            else ""
        )
        seen = f" -m recent --name {name} --rsource --set" if affinity_seconds else ""
        yield f"{match}{share}{seen} {target}"


def to_address(address: str, protocol: str, port: int) -> str:
    """The match of one address and port; '': any address."""
    to = f"-d {address}/32 " if address else ""
    return f"{to}-p {protocol} -m {protocol} --dport {port}"


def unordered_changes(chain: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    """Rule by rule: for chains where no two rules match one packet."""
    old, new = tuple(before), tuple(after)
    known, wanted = frozenset(old), frozenset(new)
    yield from (f"-D {chain} {rule}" for rule in old if rule not in wanted)
    yield from (f"-A {chain} {rule}" for rule in new if rule not in known)
