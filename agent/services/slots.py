"""Which endpoint each slot of a service port has, for renderers that choose by a number: pure."""

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from agent.services.table import Backend

# How many slots there may be. Up to 8 endpoints each has one; of more, each has at least four, so that shares differ
# by a quarter at most.
SLOTS: Final[tuple[int, ...]] = (*range(1, 9), 64, 256, 1024, 4096)
STICKY_SLOTS: Final = (
    64,
    1024,
)  # Of a caller's address; so many that a few endpoints more or less move few callers.
STICKY_SMALL_MAX: Final = 16
SLOTS_PER_ENDPOINT_MIN: Final = 4
CHOICES_MAX: Final = (
    200_000  # Of more endpoints times slots, slots are dealt in turn: a rendezvous would take a second.
)


def slots_of(count: int) -> int:
    """For so many endpoints, at least one."""
    wanted = count if count <= 8 else count * SLOTS_PER_ENDPOINT_MIN
    return next((slots for slots in SLOTS if slots >= wanted), SLOTS[-1])


def sticky_slots_of(count: int) -> int:
    return STICKY_SLOTS[0] if count <= STICKY_SMALL_MAX else STICKY_SLOTS[1]


def fill(backends: Sequence[Backend], slots: int) -> tuple[Backend, ...]:
    """The endpoint of each slot, by rendezvous: one that comes or goes moves few others. Shares differ by one at most.

    Of more endpoints than slots the last get none.
    """
    if len(backends) >= slots:
        return tuple(backends[:slots])
    if len(backends) * slots > CHOICES_MAX:
        return tuple(backends[slot % len(backends)] for slot in range(slots))
    share, larger = divmod(slots, len(backends))
    left = dict.fromkeys(backends, share + 1 if larger else share)
    filled = []
    for slot in range(slots):
        best = max(left, key=lambda one: (crc32(f"{slot} {one.address} {one.port}".encode()), one))
        filled.append(best)
        left[best] -= 1
        if left[best] == 0:
            del left[best]
            larger -= 1
            if larger == 0:  # Nobody else gets one more than the others.
                left = {one: count - 1 for one, count in left.items() if count > 1}
    return tuple(filled)
