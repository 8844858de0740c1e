"""Which server line of a backend holds which endpoint: pure. Lines come with the file, addresses change at run time.

A left endpoint keeps its line, switched off, as long as no other needs it: requests that it still answers are counted
by its address.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from agent.services.table import Backend

SLOTS_MIN: Final = 4


class Slot(NamedTuple):
    backend: Backend | None
    active: bool


Slots = tuple[Slot, ...]
EMPTY: Final = Slot(None, active=False)


def assign(now: Slots, endpoints: tuple[Backend, ...], *, grow: bool = True) -> Slots:
    """The slots for exactly these endpoints; none that stays is moved. More slots only if those of now are too few.

    `grow` False: a worker's lines cannot be more than they are; endpoints that find no room are left out.
    """
    wanted = set(endpoints)
    slots = [slot._replace(active=slot.backend in wanted) for slot in now]
    new = sorted(wanted - {slot.backend for slot in slots if slot.active and slot.backend is not None})
    if grow:
        slots += [EMPTY] * (slots_for(len(wanted)) - len(slots))
    free = [number for number, slot in enumerate(slots) if not slot.active]
    free.sort(key=lambda number: slots[number].backend is not None)  # Never used ones first.
    for number, backend in zip(free, new, strict=False):
        slots[number] = Slot(backend, active=True)
    return tuple(slots)


def slots_for(count: int) -> int:
    """Room for a roll: at least two more than the endpoints, in powers of two, so that growth is seldom."""
    slots = SLOTS_MIN
    while slots < count + 2:
        slots *= 2
    return slots


def commands(now: Mapping[str, Slots], wanted: Mapping[str, Slots]) -> list[str]:
    """Of HAProxy's runtime API. Both have the same backends and numbers of slots. First who comes, then who goes."""
    starts, stops = [], []
    for name, slots in wanted.items():
        for number, (old, new) in enumerate(zip(now[name], slots, strict=True), start=1):
            server = f"{name}/s{number}"
            if new.active and new.backend is not None and old != new:
                starts.append(f"set server {server} addr {new.backend.address} port {new.backend.port}")
                starts.append(f"set server {server} state ready")
            elif old.active and not new.active:
                stops.append(f"set server {server} state maint")
    return starts + stops
