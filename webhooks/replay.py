"""Deliveries seen before: a redelivery is a success that causes nothing.

Bounded in count, not in time: a repeated look costs one `ls-remote`, so forgetting early is harmless.
"""

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Final

SEEN_MAX: Final = 10_000


class Seen:
    """The newest delivery ids of each provider and secret; safe for waitress' threads."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def first_time(self, provider: str, secret: bytes, delivery_id: str) -> bool:
        """Whether this id was not seen yet. An empty id is always new: that sender gives none."""
        if not delivery_id:
            return True
        parts = (provider.encode(), secret, delivery_id.encode("utf-8", "replace"))
        place = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).digest()
        with self._lock:
            if place in self._ids:
                return False
            self._ids[place] = None
            if len(self._ids) > SEEN_MAX:
                self._ids.popitem(last=False)
            return True


class Refusals:
    """Counts what was refused, and says when to tell of it: the first, then at most once a minute."""

    TOLD_SECONDS: Final = 60.0

    def __init__(self) -> None:
        self._count, self._untold, self._told_at = 0, 0, float("-inf")
        self._lock = Lock()

    @property
    def count(self) -> int:
        """Since the start."""
        return self._count

    def one_more(self, now: float) -> int:
        """How many to tell of now; 0: nothing yet."""
        with self._lock:
            self._count += 1
            self._untold += 1
            if now - self._told_at < self.TOLD_SECONDS:
                return 0
            told, self._untold, self._told_at = self._untold, 0, now
            return told
