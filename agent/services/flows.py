"""The kernel's flows, listed once for all who want to know at the same time: each list is a process and a dump of the
whole table, whoever is looked for in it, and fifty pods that end together ask a hundred times.
"""

import asyncio
from collections.abc import Callable


class Flows:
    """`listed` blocks; its text is what `conntrack.py` reads."""

    def __init__(self, listed: Callable[[], str]) -> None:
        self._listed = listed
        self._running: asyncio.Task[str] | None = None
        self._next: asyncio.Task[str] | None = None

    async def look(self) -> str:
        """A list that was begun after this call. Raises Unavailable."""
        if self._next is None:
            self._next = asyncio.create_task(self._list(self._running))
        return await asyncio.shield(self._next)

    async def _list(self, before: asyncio.Task[str] | None) -> str:
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        return await asyncio.to_thread(self._listed)
