"""Pods that use more of their node's disk than they said they would: their end, as the kubelet has it.

An emptyDir on disk has no quota: it is measured, and a pod beyond its limit is evicted. In memory the kernel holds it.
Source: kubernetes/pkg/kubelet/eviction (`emptyDirLimitEviction`).
"""

from collections.abc import Mapping
from typing import Final

from gitops.kinds import quantity
from gitops.kinds.core.pod import Pod

LOOK_SECONDS: Final = 10.0  # The kubelet's.
REASON: Final = "Evicted"


def limits_bytes(pod: Pod) -> Mapping[str, int]:
    """The sizes of its emptyDirs on disk that have a limit, by volume."""
    found = {}
    for volume in pod["spec"].get("volumes", ()):
        empty = volume.get("emptyDir")
        if (
            empty is not None
            and empty.get("medium", "") != "Memory"
            and (size := _limit(empty.get("sizeLimit")))
        ):
            found[volume["name"]] = size
    return found


def beyond(pod: Pod, used_bytes: Mapping[str, int]) -> str:
    """Why it is to be evicted, in the kubelet's words; '' if it keeps to its limits."""
    for name, limit in limits_bytes(pod).items():
        if used_bytes.get(name, 0) > limit:
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{_stated(pod, name)}". '
    return ""


def _limit(size: str | None) -> int:
    return quantity.whole(size) if size is not None else 0


def _stated(pod: Pod, name: str) -> str:
    volumes = pod["spec"].get("volumes", ())
    return next((one["emptyDir"].get("sizeLimit", "") for one in volumes if one["name"] == name), "")
