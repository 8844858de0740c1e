"""Ends a process of this host with its session: what an exec has started that did not make a session of its own.

runc makes each process that it starts in a container the leader of a session. Source: proc(5), setsid(2).
"""

import asyncio
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

HANG_UP_SECONDS: Final = 1.0  # For a shell to write its history.
POLL_SECONDS: Final = 0.05
_SESSION_FIELD: Final = 3  # Of /proc/PID/stat, counted from the state, which comes after the name.
_PARENT_FIELD: Final = 1
_PROC: Final = Path("/proc")


async def end_session(leader: int) -> None:
    """SIGHUP, as a terminal that goes away sends it, then SIGKILL. Those that are gone already are fine."""
    members = await asyncio.to_thread(lambda: {leader, *session_members(leader)})
    _signal(members, signal.SIGHUP)
    async with asyncio.timeout(HANG_UP_SECONDS + 1):
        for _ in range(int(HANG_UP_SECONDS / POLL_SECONDS)):
            if not any((_PROC / str(pid)).exists() for pid in members):
                return
            await asyncio.sleep(POLL_SECONDS)
    _signal(await asyncio.to_thread(lambda: {leader, *session_members(leader)}), signal.SIGKILL)


def session_members(leader: int) -> Iterator[int]:
    """The leader, and every process of its session."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # It ended while we looked.
                if session_of((entry / "stat").read_bytes()) == leader:
                    yield int(entry.name)


def children_of(parent: int) -> Iterator[int]:
    """The processes that it has started and that live."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int((entry / "stat").read_bytes().rpartition(b")")[2].split()[_PARENT_FIELD]) == parent:
                    yield int(entry.name)


def session_of(stat: bytes) -> int:
    """The session's id in a line of /proc/PID/stat. The name in it may hold anything, brackets and spaces too."""
    return int(stat.rpartition(b")")[2].split()[_SESSION_FIELD])


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
