"""Counters of the machine, and of a network namespace. Source: proc(5); kubelet's node memory is cAdvisor's of `/`."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from agent.usage.cgroups import PROC, Usage

BUSY: Final = (0, 1, 2, 5, 6, 7)  # Of the numbers in /proc/stat: user, nice, system, irq, softirq, steal.
NET_FIELDS: Final = 16


class Interface(NamedTuple):
    """Bytes, packets, errors and drops, received and sent."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


class Disk(NamedTuple):
    """`inodes` 0: the file system has no fixed number of them."""

    capacity_bytes: int
    available_bytes: int
    inodes: int = 0
    inodes_free: int = 0


def node_usage(stat: str, meminfo: str, *, ticks_per_second: int) -> Usage:
    """From /proc/stat and /proc/meminfo."""
    numbers = [int(word) for word in stat.splitlines()[0].split()[1:]]
    busy = sum(numbers[index] for index in BUSY if index < len(numbers))
    memory = _meminfo(meminfo)
    used = memory["MemTotal"] - memory["MemFree"]
    return Usage(
        busy * 1_000_000_000 // ticks_per_second,
        used,
        max(used - memory.get("Inactive(file)", 0), 0),
        memory.get("AnonPages", 0),
    )


def memory_total(meminfo: str) -> int:
    return _meminfo(meminfo)["MemTotal"]


def _meminfo(text: str) -> Mapping[str, int]:
    """In bytes."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name: int(rest.split()[0]) * 1_024 for name, rest in pairs}


def interfaces_of(net_dev: str) -> Iterator[Interface]:
    """All but loopback. From /proc/PID/net/dev."""
    for line in net_dev.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if name.strip() != "lo" and len(numbers) == NET_FIELDS:
            yield Interface(name.strip(), *numbers[:4], *numbers[8:12])


def read_interfaces(pid: int) -> tuple[Interface, ...]:
    """Of the network namespace of a process; nothing if it has ended."""
    try:
        return tuple(interfaces_of((PROC / str(pid) / "net/dev").read_text()))
    except (OSError, ValueError):
        return ()


def read_node() -> tuple[Usage, int]:
    """What the machine uses, and its memory in bytes."""
    meminfo = (PROC / "meminfo").read_text()
    usage = node_usage((PROC / "stat").read_text(), meminfo, ticks_per_second=os.sysconf("SC_CLK_TCK"))
    return usage, memory_total(meminfo)


def read_memory() -> tuple[int, int]:
    """Bytes that are available as the kubelet counts it (all but the working set), and of the machine."""
    usage, total = read_node()
    return total - usage.working_set_bytes, total


def read_processes() -> tuple[int, int]:
    """How many more tasks the machine can have, and how many at most."""
    most = min(int((PROC / "sys/kernel" / name).read_text()) for name in ("pid_max", "threads-max"))
    running = int((PROC / "loadavg").read_text().split()[3].partition("/")[2])
    return most - running, most


def read_disk(folder: Path) -> Disk:
    found = os.statvfs(folder)
    capacity, available = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    return Disk(capacity, available, found.f_files, found.f_favail)
