"""Which process runs on a data directory: a pid with its start time, so that a reused pid is nobody."""

import os
import signal
from pathlib import Path
from typing import Final

UP: Final = "up.pid"
AGENT: Final = "agent.pid"


def write(data_dir: Path, name: str = UP) -> None:
    """This process; replaces what a killed one left."""
    (data_dir / name).write_text(f"{os.getpid()} {_start_time(os.getpid())}\n")


def remove(data_dir: Path, name: str = UP) -> None:
    (data_dir / name).unlink(missing_ok=True)


def running(data_dir: Path, name: str = UP) -> int | None:
    """The pid of the `up` (or `agent`) that runs on this directory, None if there is none."""
    try:
        pid, start = (data_dir / name).read_text().split()
        return int(pid) if _start_time(int(pid)) == start else None
    except (OSError, ValueError):
        return None


def terminate(pid: int, *, timeout_seconds: float) -> bool:
    """SIGTERM, and whether it ended in time."""
    import select

    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        readable, _, _ = select.select([handle], [], [], timeout_seconds)
        return bool(readable)
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def _start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat, in clock ticks since boot; the name before it may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
