"""Signals to a container's first process, straight from here: the engine would start two programs for each.

A process descriptor makes sure of whom it reaches: it is opened first, then the cgroup tells whether this is (still)
the container's process. Source: pidfd_open(2), pidfd_send_signal(2), cgroups(7).
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
ID_DIGITS: Final = 64


async def end(
    pid: int, container_id: str, number: signal.Signals, *, seconds: float, proc: Path = PROC
) -> bool | None:
    """Send the signal and wait; whether the process has ended. None: it was not told, for it is not on this host, not
    (any more) that container's, or out of our reach."""
    with _opened(pid, container_id, proc) as descriptor:
        if descriptor is None:
            return None
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return True
        except OSError:
            return None
        return await _ended(descriptor, seconds)


async def _ended(descriptor: int, seconds: float) -> bool:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True


@contextmanager
def _opened(pid: int, container_id: str, proc: Path) -> Iterator[int | None]:
    """None: there is no such process, or it is another's."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor if _is_first(pid, container_id, proc) else None
    finally:
        os.close(descriptor)


def _is_first(pid: int, container_id: str, proc: Path) -> bool:
    try:
        return is_of_container((proc / str(pid) / "cgroup").read_text(), container_id)
    except OSError:
        return False


def is_of_container(cgroups: str, container_id: str) -> bool:
    """By /proc/PID/cgroup: an engine names the cgroup by the whole id, whichever driver makes it."""
    return len(container_id) == ID_DIGITS and container_id in cgroups
