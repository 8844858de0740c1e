"""What this host is: its numbers and its files of names."""

import os
from pathlib import Path

from agent.addresses import LOOPBACK, own_address
from agent.registration import NodeFacts
from agent.reservations import STORAGE, kept
from agent.runtime.protocol import Runtime
from agent.settings import NodeSettings
from gitops.kinds.core.amounts import CPU, MEMORY


async def facts_of(settings: NodeSettings, runtime: Runtime) -> NodeFacts:
    disk = os.statvfs(settings.data_dir)
    engine = await runtime.info()
    disk_bytes = disk.f_blocks * disk.f_frsize
    capacity = {CPU: engine.cpus * 1000, MEMORY: engine.memory_bytes, STORAGE: disk_bytes}
    return NodeFacts(
        name=settings.name,
        engine=engine,
        address=LOOPBACK if settings.simulated else settings.node_ip or own_address(""),
        disk_bytes=disk_bytes,
        machine_id=_text(Path("/etc/machine-id")),
        boot_id=_text(Path("/proc/sys/kernel/random/boot_id")),
        kept=kept(settings.limits, capacity),
    )


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
