"""What this host is: its numbers and its files of names."""

import os
from pathlib import Path

from agent.addresses import LOOPBACK, own_address
from agent.registration import NodeFacts
from agent.runtime.protocol import Runtime
from agent.settings import NodeSettings
from agent.thresholds import Signal, parse


async def facts_of(settings: NodeSettings, runtime: Runtime) -> NodeFacts:
    disk = os.statvfs(settings.data_dir)
    engine = await runtime.info()
    return NodeFacts(
        name=settings.name,
        engine=engine,
        address=LOOPBACK if settings.simulated else settings.node_ip or own_address(""),
        disk_bytes=disk.f_blocks * disk.f_frsize,
        machine_id=_text(Path("/etc/machine-id")),
        boot_id=_text(Path("/proc/sys/kernel/random/boot_id")),
        kept_memory_bytes=kept_bytes(settings.limits.eviction_hard, engine.memory_bytes),
    )


def kept_bytes(eviction_hard: str, memory_bytes: int) -> int:
    """Of the memory: its threshold; 0 without one. Raises BadRequest."""
    return sum(one.of(memory_bytes) for one in parse(eviction_hard) if one.signal is Signal.MEMORY)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def host_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
