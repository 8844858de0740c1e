"""How containers end: by a signal of ours where that is what the engine would send, else by the engine.

A stop or a forced removal makes the engine start `runc kill`: a sixth of what the end of a small pod costs. What has
been told by us the engine hears of from its shim, as of any end, so it is waited for until it has.
"""

import asyncio
import os
import signal
from contextlib import suppress
from time import monotonic
from typing import Final

from agent.runtime import signals
from agent.runtime.docker_calls import DockerCalls
from agent.runtime.docker_stream import DockerStream, Taken
from agent.runtime.protocol import ContainerState
from agent.runtime.slot import Slot
from gitops.kinds.errors import NotFound, Unavailable

REMOVALS_PER_CORE: Final = 4  # A removal is half waiting.
KILL_SECONDS: Final = 2.0  # For a process to be gone after SIGKILL; then the engine is asked to see to it.
REMOVAL_SECONDS: Final = 30.0
REMOVAL_POLL_SECONDS: Final = 0.1


class DockerEnds:
    """`known`: the container as last seen, None if not known."""

    def __init__(self, host: str, calls: DockerCalls, stream: DockerStream) -> None:
        self._host, self._calls, self._stream = host, calls, stream
        self._removals = asyncio.Semaphore(REMOVALS_PER_CORE * (os.cpu_count() or 1))

    async def stop(self, container_id: str, known: ContainerState | None, *, grace_seconds: float) -> None:
        """What outlives its grace, or cannot be told by us (it is frozen, not on this host), is left to the engine."""
        if grace_seconds > 0 and known is not None and _may_be_told(known):
            ended = await signals.end(known.pid, container_id, signal.SIGTERM, seconds=grace_seconds)
            if ended and await self._is_told(container_id):
                return
            if ended is False:
                grace_seconds = 0  # It has had its time.
        await self._stream.stop(container_id, grace_seconds=grace_seconds)

    async def remove(self, container_id: str, known: ContainerState | None) -> None:
        async with Slot(self._removals):
            if (
                known is not None
                and _may_be_told(known)
                and await signals.end(known.pid, container_id, signal.SIGKILL, seconds=KILL_SECONDS)
            ):
                await self._is_told(container_id)
            with suppress(NotFound):
                try:
                    await self._calls.remove(container_id)
                except Taken:
                    await self._until_gone(container_id)

    async def _is_told(self, container_id: str) -> bool:
        """Whether the engine knows of its end, or does not know the container at all."""
        try:
            await self._calls.ended(container_id)
        except NotFound:
            return True
        except Unavailable:
            return False
        return True

    async def _until_gone(self, container_id: str) -> None:
        """Its removal is in progress, and until it is done the name is taken by a container that dies."""
        end = monotonic() + REMOVAL_SECONDS
        while monotonic() < end:
            await self._calls.inspect(container_id)  # Raises NotFound at last.
            await asyncio.sleep(REMOVAL_POLL_SECONDS)
        raise Unavailable(f"Docker at {self._host}: container {container_id[:12]} is still being removed")


def _may_be_told(known: ContainerState) -> bool:
    return known.pid > 1 and known.is_plain
