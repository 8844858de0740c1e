"""What is due next: keys of controllers, each at most once, with back-off and a bound against spinning.

Plain code without asyncio or a clock: the simulator uses the same class. Source: client-go's work queue, with one
difference: an item in back-off stays there when a change arrives, or a loop that wakes itself would never be held.
"""

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, NamedTuple
from zlib import crc32

from gitops.kinds.keys import Key

SPIN_ROUNDS_MAX: Final = 100  # Rounds that wrote, of one key, within the window: it is no fixpoint.
SPIN_WINDOW_SECONDS: Final = 1.0
SPIN_HOLD_SECONDS: Final = 0.1  # Doubles while it goes on: harmless for a key that is merely busy.
SPIN_HOLD_SECONDS_MAX: Final = 1.0
STALE_FACTOR: Final = (
    2  # So many timers for each key, most of them of waits that a change has ended: then those go.
)
STALE_MIN: Final = 1_024


class Urgency(IntEnum):
    """Which of the due keys goes first."""

    ASKED = 0  # A person or a commit waits for it.
    CONSEQUENCE = 1
    RESYNC = 2


class Item(NamedTuple):
    controller: str
    key: Key


@dataclass(slots=True)
class _State:
    """One item. Queued under the entry number `entry`, or `running`, or kept for its failures alone."""

    entry: int = -1
    due: float = 0.0
    urgency: Urgency = Urgency.RESYNC
    running: bool = False
    dirty: Urgency | None = None  # Changed while it ran.
    failures: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class _Rounds:
    """How often an item wrote since `since`."""

    since: float
    rounds: int = 0
    holds: int = 0


class Queue:
    """A set of items with due times, taken by urgency and then in order of arrival. Times are monotonic seconds."""

    def __init__(self, serial: frozenset[str] = frozenset()) -> None:
        """`serial` names the controllers of which nothing is taken while something runs (but see `take_beside`)."""
        self._serial = serial
        self._busy: Counter[str] = Counter()  # How many items of a serial controller run.
        self._order = count()
        self._states: dict[Item, _State] = {}
        self._rounds: dict[Item, _Rounds] = {}
        self._timers: list[tuple[float, int, Item]] = []
        self._ready: dict[str, list[tuple[Urgency, int, Item]]] = {}
        self.spins = 0  # How often an item was held because it wrote again and again.

    def __len__(self) -> int:
        """Items that are queued or running."""
        return len(self._states)

    def add(self, item: Item, urgency: Urgency, now: float) -> None:
        """Look at `item` now; if it runs, once more afterwards; if it is in back-off, when that is over."""
        state = self._states.setdefault(item, _State())
        if state.running:
            state.dirty = urgency if state.dirty is None else min(state.dirty, urgency)
            return
        due = max(now, state.not_before)
        if state.entry < 0:
            self._enter(item, state, due, urgency)
        elif due < state.due or urgency < state.urgency:
            self._enter(item, state, min(due, state.due), min(urgency, state.urgency))

    def take(self, now: float) -> Item | None:
        """The next item that is due; it runs until `done` or `failed`. None: nothing is, or all that is must wait."""
        self._ripen(now)
        best: tuple[Urgency, int, Item] | None = None
        for controller, heap in self._ready.items():
            if self._busy[controller]:
                continue
            self._drop_stale(heap)
            if heap and (best is None or heap[0] < best):
                best = heap[0]
        return None if best is None else self._run(best[2])

    def take_beside(self, item: Item, now: float) -> Item | None:
        """The next due item of the controller of `item`, which runs: for controllers that decide many at once."""
        self._ripen(now)
        heap = self._ready.get(item.controller, [])
        self._drop_stale(heap)
        return self._run(heap[0][2]) if heap else None

    def _drop_stale(self, heap: list[tuple[Urgency, int, Item]]) -> None:
        while heap and not self._is_current(heap[0][1], heap[0][2]):
            heappop(heap)

    def _run(self, item: Item) -> Item:
        """The first of its controller's ready items begins to run."""
        heappop(self._ready[item.controller])
        state = self._states[item]
        state.entry, state.running = -1, True
        if item.controller in self._serial:
            self._busy[item.controller] += 1
        return item

    def done(
        self,
        item: Item,
        now: float,
        *,
        wrote: bool = False,
        after_seconds: float | None = None,
        rest_seconds: float = 0.0,
    ) -> None:
        """It ran without a failure. It comes again if it changed meanwhile, or after `after_seconds`.

        `rest_seconds`: not before that. For an item that costs much and changes all the time.
        """
        state = self._finish(item)
        state.failures = 0
        hold = max(self._hold(item, now) if wrote else 0.0, rest_seconds)
        state.not_before = now + hold if hold else 0.0
        if state.dirty is not None:
            self._enter(item, state, max(now, state.not_before), state.dirty)
        elif after_seconds is not None:
            self._enter(item, state, max(now + after_seconds, state.not_before), Urgency.CONSEQUENCE)
        elif state.not_before <= now:
            del self._states[item]
        state.dirty = None

    def failed(
        self, item: Item, now: float, *, base_seconds: float, seconds_max: float, spread: bool = False
    ) -> float:
        """It failed in a way that a retry may cure: again after a back-off that doubles. Returns the wait.

        `spread`: shorter by up to half, by the item's name: what failed together must not come back together.
        """
        state = self._finish(item)
        wait = min(base_seconds * 2.0 ** min(state.failures, 32), seconds_max)
        if spread:
            wait *= 1.0 - _fraction(item, state.failures) / 2
        state.failures += 1
        state.not_before = now + wait
        self._enter(
            item, state, state.not_before, Urgency.CONSEQUENCE if state.dirty is None else state.dirty
        )
        state.dirty = None
        return wait

    def next_due(self, now: float) -> float | None:
        """When `take` may have something, `now` or earlier if it has. None: not before something is added or done."""
        self._ripen(now)
        if any(heap for controller, heap in self._ready.items() if not self._busy[controller]):
            return now
        return self._timers[0][0] if self._timers else None

    def forget_calm(self, now: float) -> None:
        """Drop what is remembered of items that wrote long ago. For a timer."""
        old = [item for item, rounds in self._rounds.items() if now - rounds.since > 2 * SPIN_WINDOW_SECONDS]
        for item in old:
            del self._rounds[item]
        idle = [item for item, state in self._states.items() if state.entry < 0 and not state.running]
        for item in idle:
            del self._states[item]

    def _finish(self, item: Item) -> _State:
        state = self._states[item]
        assert state.running, f"{item} was not running"
        state.running = False
        if item.controller in self._serial:
            self._busy[item.controller] -= 1
        return state

    def _hold(self, item: Item, now: float) -> float:
        """Seconds for which an item that wrote too often must rest."""
        rounds = self._rounds.setdefault(item, _Rounds(now))
        if now - rounds.since > SPIN_WINDOW_SECONDS:
            calm = rounds.rounds < SPIN_ROUNDS_MAX
            rounds.since, rounds.rounds, rounds.holds = now, 0, 0 if calm else rounds.holds
        rounds.rounds += 1
        if rounds.rounds < SPIN_ROUNDS_MAX:
            return 0.0
        hold = min(SPIN_HOLD_SECONDS * 2.0 ** min(rounds.holds, 32), SPIN_HOLD_SECONDS_MAX)
        rounds.holds += 1
        self.spins += 1
        return hold

    def _enter(self, item: Item, state: _State, due: float, urgency: Urgency) -> None:
        state.entry, state.due, state.urgency = next(self._order), due, urgency
        heappush(self._timers, (due, state.entry, item))
        if len(self._timers) > STALE_FACTOR * len(self._states) + STALE_MIN:
            self._timers = [one for one in self._timers if self._is_current(one[1], one[2])]
            heapify(self._timers)

    def _ripen(self, now: float) -> None:
        """Move what is due from the timers to the ready heaps."""
        timers = self._timers
        while timers and (timers[0][0] <= now or not self._is_current(timers[0][1], timers[0][2])):
            _, entry, item = heappop(timers)
            if self._is_current(entry, item):
                heap = self._ready.setdefault(item.controller, [])
                heappush(heap, (self._states[item].urgency, entry, item))

    def _is_current(self, entry: int, item: Item) -> bool:
        state = self._states.get(item)
        return state is not None and state.entry == entry


def _fraction(item: Item, failures: int) -> float:
    """0 to 1, the same in every run: the simulator replays it."""
    return crc32(f"{item.controller} {item.key.text} {failures}".encode()) / 2**32
