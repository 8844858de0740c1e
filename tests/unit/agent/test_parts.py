"""Parts on their road to the newest state: one that fails holds up no other, and none lags behind for good."""

import asyncio
from collections.abc import Awaitable, Callable

from agent.parts import Parts
from gitops.kinds.errors import Unavailable


class World:
    """Two parts; `fails`: what the one called `bad` says instead of doing it."""

    def __init__(self) -> None:
        self.fails: Exception | None = Unavailable("no iptables")
        self.good: list[str] = []
        self.bad: list[str] = []
        self.parts = Parts("", {"good": self._good, "bad": self._bad})

    async def _good(self, state: str) -> None:
        self.good.append(state)

    async def _bad(self, state: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.bad.append(state)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.01)


def play(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        tasks = [asyncio.create_task(loop) for loop in world.parts.loops()]
        try:
            async with asyncio.timeout(30):
                await scenario(world)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    asyncio.run(main())


def test_a_part_that_fails_holds_up_no_other_and_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        world.parts.hand_over("first")
        await world.parts.reached("good")
        await world.until(lambda: bool(world.parts.problems))
        assert (world.good, world.bad) == (["first"], [])
        assert world.parts.problems == {"bad": "no iptables"}

        world.fails = None
        await world.parts.settled()

        assert world.bad == ["first"]
        assert world.parts.problems == {}

    play(scenario)


def test_what_was_not_reached_of_an_older_state_is_left_out() -> None:
    async def scenario(world: World) -> None:
        world.parts.hand_over("first")
        world.parts.hand_over("second")
        world.fails = None
        await world.parts.settled()

        assert (world.good, world.bad) == (["second"], ["second"])

    play(scenario)


def test_a_bug_in_one_part_is_told_and_ends_nothing() -> None:
    async def scenario(world: World) -> None:
        world.fails = KeyError("ports")
        world.parts.hand_over("first")
        await world.until(lambda: bool(world.parts.problems))
        assert world.parts.problems == {"bad": "KeyError('ports')"}

        world.fails = None
        world.parts.hand_over("second")
        await world.parts.settled()

        assert world.bad == ["second"]

    play(scenario)
