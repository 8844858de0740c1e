"""`--eviction-hard`, `--eviction-soft`: below how much of what a node's pods are ended, in the kubelet's syntax.

`memory.available<100Mi,nodefs.available<10%`: what is not named has no threshold, `0%` and `100%` are none either.
A soft one has a grace period: a pod goes only when the node has been below it for so long.
Source: kubernetes/pkg/kubelet/eviction/helpers.go (`ParseThresholdConfig`), 1.35.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, NamedTuple

from gitops.kinds import quantity
from gitops.kinds.errors import BadRequest

# The kubelet's.
EVICTION_HARD: Final = (
    "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%,"
    "nodefs.inodesFree<5%,imagefs.inodesFree<5%"
)
HARD: Final = "--eviction-hard"
SOFT: Final = "--eviction-soft"
GRACE: Final = "--eviction-soft-grace-period"
PRESSURE_SECONDS: Final = 300.0  # The kubelet's --eviction-pressure-transition-period.
TEXT_MAX: Final = 1_000
HUNDRED: Final = Decimal(100)


class Signal(StrEnum):
    MEMORY = "memory.available"
    NODEFS = "nodefs.available"  # Where volumes lie.
    IMAGEFS = "imagefs.available"  # Where the engine keeps images and containers.
    NODEFS_INODES = "nodefs.inodesFree"
    IMAGEFS_INODES = "imagefs.inodesFree"
    PID = "pid.available"


class Threshold(NamedTuple):
    """One of both is given: an amount (bytes, inodes, processes) or a share of the capacity.

    `grace_seconds`: how long the node must be below a soft one before a pod goes; None: a hard one.
    """

    signal: Signal
    amount: int | None = None
    percent: Decimal | None = None
    grace_seconds: float | None = None

    def of(self, capacity: int) -> int:
        """How much must be available."""
        if self.percent is not None:
            return int(capacity * self.percent / HUNDRED)
        return self.amount or 0


def parse(text: str, flag: str = HARD) -> tuple[Threshold, ...]:
    """In the order of the text; '' is none. Raises BadRequest, which says what is wanted."""
    example = "SIGNAL<AMOUNT or SIGNAL<PERCENT%, as in memory.available<100Mi,nodefs.available<10%"
    stated = _statements(text, "<", flag, example)
    found = (_threshold(signal, value, flag) for signal, value in stated.items())
    return tuple(one for one in found if one is not None)


def parse_soft(text: str, grace: str, seconds_of: Callable[[str, str], float]) -> tuple[Threshold, ...]:
    """Each with its grace period, which must be stated (`memory.available=1m30s`). Raises BadRequest.

    `seconds_of`: of a flag's name and a duration as people write it; what it raises is passed on.
    """
    thresholds = parse(text, SOFT)
    stated = _statements(grace, "=", GRACE, "SIGNAL=DURATION, as in memory.available=1m")
    for one in thresholds:
        if one.signal not in stated:
            raise BadRequest(f"{GRACE}: a grace period must be specified for the soft threshold {one.signal}")
    return tuple(one._replace(grace_seconds=seconds_of(GRACE, stated[one.signal])) for one in thresholds)


def _statements(text: str, sign: str, flag: str, example: str) -> dict[Signal, str]:
    if len(text) > TEXT_MAX:
        raise BadRequest(f"{flag}: found {len(text)} characters, wanted {TEXT_MAX} at most")
    found: dict[Signal, str] = {}
    for statement in (one.strip() for one in text.split(",")) if text.strip() else ():
        name, between, value = (part.strip() for part in statement.partition(sign))
        if not between:
            raise _wrong(flag, statement, example)
        if name not in set(Signal):
            raise _wrong(flag, name, f"one of {', '.join(Signal)}")
        if Signal(name) in found:
            raise _wrong(flag, statement, f"{name} once")
        found[Signal(name)] = value
    return found


def _threshold(signal: Signal, value: str, flag: str) -> Threshold | None:
    if value.endswith("%"):
        try:
            percent = Decimal(value[:-1])
        except InvalidOperation:
            raise _wrong(flag, value, "a number before the %") from None
        if not percent.is_finite() or not 0 <= percent <= HUNDRED:
            raise _wrong(flag, value, "0% to 100%")
        return Threshold(signal, percent=percent) if percent not in (0, HUNDRED) else None
    try:
        amount = quantity.whole(value)
    except ValueError as error:
        raise _wrong(flag, value, f"an amount such as 100Mi, or a share such as 10% ({error})") from None
    if amount <= 0:
        raise _wrong(flag, value, "more than 0; 0% means no threshold")
    return Threshold(signal, amount=amount)


def _wrong(flag: str, found: str, wanted: str) -> BadRequest:
    return BadRequest(f"{flag}: found {found!r}, wanted {wanted}")
