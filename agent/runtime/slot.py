"""A place among the calls that an engine is asked at once."""

import asyncio
from typing import Final

SLOT_SECONDS: Final = 20.0  # A call that hangs longer gives its place to others.


class Slot:
    """A place among the calls in flight, given back at the end or after SLOT_SECONDS: one that hangs stops no other."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots, self._held = slots, False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        self._held = True
        self._timer = asyncio.get_running_loop().call_later(SLOT_SECONDS, self._give_back)

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._give_back()

    def _give_back(self) -> None:
        if self._held:
            self._held = False
            self._slots.release()
