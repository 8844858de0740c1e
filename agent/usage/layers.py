"""What a container takes of the disk beside its volumes: what it wrote over its image, and its logs.

Read from Docker's own folders, which cost no call and no walk by the engine. Source: moby/layer/filestore.go and
daemon/graphdriver/overlay2. Where they cannot be seen (another storage driver, an agent in a container) that part is 0.
"""

import re
from pathlib import Path
from typing import Final

from agent.volumes.disk import DiskUse, used

_ID: Final = re.compile(r"[0-9a-z-]{1,128}")


def container_use(root: Path, container_id: str) -> DiskUse:
    """`root`: where the engine keeps everything. Blocks; runs in a thread."""
    if not _ID.fullmatch(container_id):
        return DiskUse()
    return _use(root / "containers" / container_id).with_more(_written(root, container_id))


def system_use(root: Path, sandbox_id: str) -> DiskUse:
    """What stands in a pod's /etc/hosts, /etc/hostname and /etc/resolv.conf, which all its containers may write."""
    return _use(root / "containers" / sandbox_id) if _ID.fullmatch(sandbox_id) else DiskUse()


def _written(root: Path, container_id: str) -> DiskUse:
    try:
        mount = (
            (root / "image/overlay2/layerdb/mounts" / container_id / "mount-id").read_text("ascii").strip()
        )
    except (OSError, ValueError):
        return DiskUse()
    return _use(root / "overlay2" / mount / "diff") if _ID.fullmatch(mount) else DiskUse()


def _use(folder: Path) -> DiskUse:
    try:
        return used(folder)
    except OSError:
        return DiskUse()
