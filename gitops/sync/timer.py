"""When to look at a source again. The moments are decided by the syncer; this rings."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler

BACKOFF_SECONDS_MAX: Final = 600.0
LATE_SECONDS_MAX: Final = 3_600  # A host that slept rings once when it wakes.


def next_look(now: datetime, interval_seconds: float, failures: int) -> datetime:
    """Twice as long after each look in a row that did not reach the remote, up to ten minutes; pure."""
    most = max(BACKOFF_SECONDS_MAX, interval_seconds)
    return now + timedelta(seconds=min(interval_seconds * 2 ** min(failures, 30), most))


class Timer:
    """On the running event loop. `ring` gets the name of a source; each source rings once for a moment that was set."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            # On the loop, at once: what is put off is cancelled, and logged as a failure, if we end in that moment.
            executors={"default": DebugExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": LATE_SECONDS_MAX},
        )
        self._scheduler.start()

    def set(self, name: str, moment: datetime) -> None:
        """In place of the moment that was set before."""
        self._scheduler.add_job(
            self._ring, "date", run_date=moment, args=(name,), id=name, replace_existing=True
        )

    def drop(self, name: str) -> None:
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            return

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)
