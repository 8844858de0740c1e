"""Virtual time: a heap of (time, order, action). And ids from a seeded source."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH: Final = 5


class Agenda:
    """What happens when; also the cluster's clock. Actions of one moment happen in the order in which they came."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._order = count()
        self._heap: list[tuple[float, int, Callable[[], object]]] = []

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        heappush(self._heap, (max(seconds, self.seconds), next(self._order), action))

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        self.at(self.seconds + seconds, action)

    def run(self, until: float) -> None:
        """Everything that is due up to then, and what follows from it."""
        while self._heap and self._heap[0][0] <= until:
            self.seconds, _, action = heappop(self._heap)
            action()
        self.seconds = until

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class SeededMint:
    """Ids that look like real ones and are the same in every run."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def uid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def suffix(self) -> str:
        return "".join(self._random.choices(SUFFIX_LETTERS, k=SUFFIX_LENGTH))
