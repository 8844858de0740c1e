"""The timer rings on the loop, once a moment; ended at that very moment it says nothing."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest

from gitops.sync.timer import Timer

PATIENCE_SECONDS = 10.0


def test_it_rings_on_the_loop_with_the_name() -> None:
    async def story() -> list[str]:
        rung: list[str] = []
        came = asyncio.Event()

        def ring(name: str) -> None:
            asyncio.get_running_loop()  # Else it was another thread's.
            rung.append(name)
            came.set()

        timer = Timer(ring)
        timer.set("shop", datetime.now(UTC))
        await asyncio.wait_for(came.wait(), PATIENCE_SECONDS)
        timer.close()
        return rung

    assert asyncio.run(story()) == ["shop"]


def test_ended_at_a_tick_it_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        for turns in range(4):  # Whichever turn of the loop it is that the tick falls on.
            timer = Timer(lambda _: None)
            timer.set("shop", datetime.now(UTC))
            for _ in range(turns):
                await asyncio.sleep(0)
            timer.close()
        await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())

    assert [record for record in caplog.records if record.exc_info] == []
