"""What this host is: its numbers and its files of names."""

import os
from pathlib import Path

from agent.addresses import LOOPBACK, own_address
from agent.registration import NodeFacts
from agent.runtime.protocol import Runtime
from agent.settings import NodeSettings


async def facts_of(settings: NodeSettings, runtime: Runtime) -> NodeFacts:
    disk = os.statvfs(settings.data_dir)
    return NodeFacts(
        name=settings.name,
        engine=await runtime.info(),
        address=LOOPBACK if settings.simulated else settings.node_ip or own_address(""),
        disk_bytes=disk.f_blocks * disk.f_frsize,
        machine_id=_text(Path("/etc/machine-id")),
        boot_id=_text(Path("/proc/sys/kernel/random/boot_id")),
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
