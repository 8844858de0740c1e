"""Looks at a source take turns: one in flight, one waiting for everyone who asked meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(slots=True)
class _Turn(Generic[R]):
    running: asyncio.Task[R]
    waiting: asyncio.Task[R] | None = None


class Turns(Generic[R]):
    """`run` gets a name and why; it never raises. A name is known while it has a turn, and no longer."""

    def __init__(self, run: Callable[[str, str], Awaitable[R]]) -> None:
        self._run = run
        self._turns: dict[str, _Turn[R]] = {}

    def turn(self, name: str, reason: str) -> asyncio.Task[R]:
        """A turn that begins after this call: the one that waits already, if there is one."""
        turn = self._turns.get(name)
        if turn is None or (turn.running.done() and turn.waiting is None):
            task = asyncio.create_task(self._now(name, reason), name=f"look at {name}")
            self._turns[name] = _Turn(task)
            task.add_done_callback(partial(self._ended, name))
            return task
        if turn.waiting is None:
            turn.waiting = asyncio.create_task(self._after(turn, name, reason), name=f"next look at {name}")
            turn.waiting.add_done_callback(partial(self._ended, name))
        return turn.waiting

    @property
    def names(self) -> list[str]:
        """Those that have a turn now."""
        return [*self._turns]

    async def close(self) -> None:
        """Cancel what runs and what waits."""
        tasks = [
            task for turn in self._turns.values() for task in (turn.running, turn.waiting) if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._turns.clear()

    def _ended(self, name: str, task: asyncio.Task[R]) -> None:
        turn = self._turns.get(name)
        if turn is not None and turn.running is task and turn.waiting is None:
            del self._turns[name]

    async def _now(self, name: str, reason: str) -> R:
        return await self._run(name, reason)

    async def _after(self, turn: _Turn[R], name: str, reason: str) -> R:
        await asyncio.wait([turn.running])
        task = turn.waiting
        assert task is not None, "this is the waiting task"
        turn.running, turn.waiting = task, None
        return await self._run(name, reason)
