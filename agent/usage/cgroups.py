"""A container's counters from its cgroups, found by its process.

Source: cgroups(7), the kernel's admin-guide/cgroup-v1 and cgroup-v2.rst. `working set` is cAdvisor's: usage without the
page cache that was not used lately.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
UNIFIED: Final = ""  # The controller's name of the one hierarchy of version 2.
WANTED: Final = ("cpuacct", "memory", "pids")


class Usage(NamedTuple):
    """`cpu_nanoseconds` since the start; the rest now."""

    cpu_nanoseconds: int
    memory_bytes: int = 0
    working_set_bytes: int = 0
    rss_bytes: int = 0
    processes: int = 0


def mounts_of(mountinfo: str) -> Mapping[str, Path]:
    """Where each controller is mounted, by its name; `UNIFIED`: version 2. From /proc/self/mountinfo."""
    found: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        fields, kind = mount.split(" "), rest.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            found.setdefault(UNIFIED, Path(fields[4]))
        elif kind[0] == "cgroup":
            for controller in kind[2].split(","):
                if controller in WANTED:
                    found.setdefault(controller, Path(fields[4]))
    return found


def folders_of(cgroup: str, mounts: Mapping[str, Path]) -> Mapping[str, Path]:
    """The folder of each controller for a process. From /proc/PID/cgroup. What version 1 has is there, not in 2."""
    found: dict[str, Path] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                found[controller] = mounts[controller] / path.lstrip("/")
    return found


def read_usage(folders: Mapping[str, Path]) -> Usage:
    """The counters now. Raises OSError or ValueError when the cgroup is gone."""
    if "memory" not in folders:
        return _read_unified(folders[UNIFIED])
    stat = table_of((folders["memory"] / "memory.stat").read_text())
    memory = _number(folders["memory"] / "memory.usage_in_bytes")
    return Usage(
        _number(folders["cpuacct"] / "cpuacct.usage"),
        memory,
        max(memory - stat.get("total_inactive_file", 0), 0),
        stat.get("total_rss", 0),
        _number(folders["pids"] / "pids.current") if "pids" in folders else 0,
    )


def _read_unified(folder: Path) -> Usage:
    stat = table_of((folder / "memory.stat").read_text())
    memory = _number(folder / "memory.current")
    return Usage(
        table_of((folder / "cpu.stat").read_text())["usage_usec"] * 1_000,
        memory,
        max(memory - stat.get("inactive_file", 0), 0),
        stat.get("anon", 0),
        _number(folder / "pids.current"),
    )


def table_of(text: str) -> Mapping[str, int]:
    """`name number` on each line; others are passed over."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(path: Path) -> int:
    return int(path.read_text())


class CgroupReader:
    """Finds the cgroups of a process once, then reads."""

    def __init__(self) -> None:
        self._mounts = mounts_of((PROC / "self/mountinfo").read_text())
        self._folders: dict[str, Mapping[str, Path]] = {}

    def read(self, container_id: str, pid: int) -> Usage | None:
        """None: it has ended, or its cgroups cannot be seen from here."""
        try:
            if container_id not in self._folders:
                cgroup = (PROC / str(pid) / "cgroup").read_text()
                self._folders[container_id] = folders_of(cgroup, self._mounts)
            return read_usage(self._folders[container_id])
        except (OSError, ValueError, KeyError):
            self._folders.pop(container_id, None)
            return None

    def forget(self, but: set[str]) -> None:
        """All containers that do not run any more."""
        for container_id in self._folders.keys() - but:
            del self._folders[container_id]
