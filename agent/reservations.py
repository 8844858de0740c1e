"""What of a node pods may not have: `--system-reserved`, `--kube-reserved`, and what its hard thresholds keep free.

Counted by scheduler and node admission; no cgroup holds it back. Source: kubernetes/pkg/kubelet/cm,
`node_container_manager_linux.go` (`GetNodeAllocatableReservation`), 1.35.
"""

from collections.abc import Mapping
from typing import Final

from agent.limits import NodeLimits
from agent.thresholds import Signal, parse
from gitops.kinds.core.amounts import CPU, MEMORY, amount_of
from gitops.kinds.errors import BadRequest

STORAGE: Final = "ephemeral-storage"
SYSTEM: Final = "--system-reserved"
KUBE: Final = "--kube-reserved"
RESOURCES: Final = (CPU, MEMORY, STORAGE)
TEXT_MAX: Final = 1_000
KEPT_BY: Final = {Signal.MEMORY: MEMORY, Signal.NODEFS: STORAGE}


def reserved(text: str, flag: str) -> Mapping[str, int]:
    """`cpu=200m,memory=500Mi,ephemeral-storage=1Gi`: cpu in milli, else bytes. Raises BadRequest."""
    if len(text) > TEXT_MAX:
        raise BadRequest(f"{flag}: found {len(text)} characters, wanted {TEXT_MAX} at most")
    found: dict[str, int] = {}
    for statement in (one.strip() for one in text.split(",")) if text.strip() else ():
        name, equals, value = (part.strip() for part in statement.partition("="))
        if not equals:
            raise _wrong(flag, statement, "RESOURCE=AMOUNT, as in cpu=200m,memory=500Mi")
        if name not in RESOURCES:
            raise _wrong(flag, name, f"one of {', '.join(RESOURCES)}")
        if name in found:
            raise _wrong(flag, statement, f"{name} once")
        try:
            found[name] = amount_of(name, value)
        except ValueError as error:
            raise _wrong(flag, value, f"an amount such as 500Mi ({error})") from None
        if found[name] < 0:
            raise _wrong(flag, value, "an amount of at least 0")
    return found


def kept(limits: NodeLimits, capacity: Mapping[str, int]) -> Mapping[str, int]:
    """Of memory, disk and cpu together; `capacity` in the same units. Raises BadRequest."""
    total = dict.fromkeys(RESOURCES, 0)
    for text, flag in ((limits.system_reserved, SYSTEM), (limits.kube_reserved, KUBE)):
        for name, amount in reserved(text, flag).items():
            total[name] += amount
    for one in parse(limits.eviction_hard):
        if name := KEPT_BY.get(one.signal, ""):
            total[name] += one.of(capacity.get(name, 0))
    return total


def _wrong(flag: str, found: str, wanted: str) -> BadRequest:
    return BadRequest(f"{flag}: found {found!r}, wanted {wanted}")
