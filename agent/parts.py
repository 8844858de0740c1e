"""The parts of a node's network, each on its own road to the newest state of the cluster, so that one which fails holds
up no other.

A state is handed over whole and replaces the one before: what was not reached of an older one need not be.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from gitops.kinds.errors import GitwardError

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0

S = TypeVar("S")


class _Part(Generic[S]):
    """`done`: the number of the last state that it reached."""

    def __init__(self, name: str, apply: Callable[[S], Awaitable[None]]) -> None:
        self.name, self.apply = name, apply
        self.wake, self.done = asyncio.Event(), 0


class Parts(Generic[S]):
    """`state`: the newest; `number`: how many were handed over. `problems`: part -> why it is not at the newest."""

    def __init__(self, first: S, applies: Mapping[str, Callable[[S], Awaitable[None]]]) -> None:
        """`applies`: what brings each part to a state. Each may be repeated, and raises what keeps it from it."""
        self.state, self.number = first, 0
        self.problems: dict[str, str] = {}
        self._parts = {name: _Part(name, apply) for name, apply in applies.items()}
        self._moved = asyncio.Condition()

    def hand_over(self, state: S) -> None:
        self.state = state
        self.number += 1
        for part in self._parts.values():
            part.wake.set()

    def loops(self) -> Iterator[Coroutine[Any, Any, None]]:
        """One for each part, for ever: to be run as tasks."""
        return map(self._keep, self._parts.values())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns once it holds, as far as a part's move can make it so; the caller sets the bound."""
        async with self._moved:
            await self._moved.wait_for(holds)

    async def settled(self) -> None:
        """Returns once every part is at the newest state."""
        await self.until(lambda: all(part.done == self.number for part in self._parts.values()))

    async def reached(self, name: str) -> None:
        """Returns once this part is at what is the newest state now, or beyond."""
        number, part = self.number, self._parts[name]
        await self.until(lambda: part.done >= number)

    async def attempt(self, name: str, work: Awaitable[object]) -> bool:
        """Whether it succeeded; what it says otherwise is in `problems` until it does, and told once."""
        try:
            await work
        except GitwardError as error:
            if self.problems.get(name) != str(error):
                log.error(
                    "a part of the node's network fails",
                    extra={"fields": {"part": name, "error": str(error)}},
                )
            self.problems[name] = str(error)
            return False
        except Exception as error:  # The top of a loop: one part's bug must not stop the others.
            log.exception(
                "a part of the node's network failed unexpectedly", extra={"fields": {"part": name}}
            )
            self.problems[name] = repr(error)
            return False
        self.problems.pop(name, None)
        return True

    async def _keep(self, part: _Part[S]) -> None:
        while True:
            await part.wake.wait()
            part.wake.clear()
            number = self.number
            if await self.attempt(part.name, part.apply(self.state)):
                part.done = number
            else:
                asyncio.get_running_loop().call_later(RETRY_SECONDS, part.wake.set)
            async with self._moved:
                self._moved.notify_all()
