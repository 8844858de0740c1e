"""Deliveries seen before: a redelivery is a success that causes nothing.

Bounded in count, not in time: a repeated look costs one `ls-remote`, so forgetting early is harmless.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

SEEN_MAX: Final = 10_000


class Seen:
    """The newest delivery ids of each provider; safe for waitress' threads."""

    def __init__(self) -> None:
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = Lock()

    def first_time(self, provider: str, delivery_id: str) -> bool:
        """Whether this id was not seen yet. An empty id is always new: that sender gives none."""
        if not delivery_id:
            return True
        with self._lock:
            if (provider, delivery_id) in self._ids:
                return False
            self._ids[provider, delivery_id] = None
            if len(self._ids) > SEEN_MAX:
                self._ids.popitem(last=False)
            return True
