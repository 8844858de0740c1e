"""`--eviction-hard`: below how much of what a node's pods are ended, in the kubelet's syntax.

`memory.available<100Mi,nodefs.available<10%`: what is not named has no threshold, `0%` and `100%` are none either.
Source: kubernetes/pkg/kubelet/eviction/helpers.go (`ParseThresholdConfig`), 1.35.
"""

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, NamedTuple

from gitops.kinds import quantity
from gitops.kinds.errors import BadRequest

EVICTION_HARD: Final = "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%"  # The kubelet's.
PRESSURE_SECONDS: Final = 300.0  # The kubelet's --eviction-pressure-transition-period.
TEXT_MAX: Final = 1_000
HUNDRED: Final = Decimal(100)


class Signal(StrEnum):
    MEMORY = "memory.available"
    NODEFS = "nodefs.available"  # Where volumes lie.
    IMAGEFS = "imagefs.available"  # Where the engine keeps images and containers.
    PID = "pid.available"


class Threshold(NamedTuple):
    """One of both is given: an amount (bytes, processes) or a share of the capacity."""

    signal: Signal
    amount: int | None = None
    percent: Decimal | None = None

    def of(self, capacity: int) -> int:
        """How much must be available."""
        if self.percent is not None:
            return int(capacity * self.percent / HUNDRED)
        return self.amount or 0


def parse(text: str) -> tuple[Threshold, ...]:
    """In the order of the text; '' is none. Raises BadRequest, which says what is wanted."""
    if len(text) > TEXT_MAX:
        raise BadRequest(f"--eviction-hard: found {len(text)} characters, wanted {TEXT_MAX} at most")
    found: dict[Signal, Threshold | None] = {}
    for statement in (one.strip() for one in text.split(",")) if text.strip() else ():
        name, less, value = (part.strip() for part in statement.partition("<"))
        if not less:
            raise _wrong(statement, f"SIGNAL<AMOUNT or SIGNAL<PERCENT%, as in {EVICTION_HARD}")
        if name not in set(Signal):
            raise _wrong(name, f"one of {', '.join(Signal)}")
        signal = Signal(name)
        if signal in found:
            raise _wrong(statement, f"{name} once")
        found[signal] = _threshold(signal, value)
    return tuple(one for one in found.values() if one is not None)


def _threshold(signal: Signal, value: str) -> Threshold | None:
    if value.endswith("%"):
        try:
            percent = Decimal(value[:-1])
        except InvalidOperation:
            raise _wrong(value, "a number before the %") from None
        if not percent.is_finite() or not 0 <= percent <= HUNDRED:
            raise _wrong(value, "0% to 100%")
        return Threshold(signal, percent=percent) if percent not in (0, HUNDRED) else None
    try:
        amount = quantity.whole(value)
    except ValueError as error:
        raise _wrong(value, f"an amount such as 100Mi, or a share such as 10% ({error})") from None
    if amount <= 0:
        raise _wrong(value, "more than 0; 0% means no threshold")
    return Threshold(signal, amount=amount)


def _wrong(found: str, wanted: str) -> BadRequest:
    return BadRequest(f"--eviction-hard: found {found!r}, wanted {wanted}")
