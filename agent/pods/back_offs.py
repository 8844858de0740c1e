"""The events of containers that wait before they are tried again, once for each wait. In the kubelet's words."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from gitops.kinds.core.pod import Pod, PodStatus


class BackOff(NamedTuple):
    """`kind`: Normal or Warning, as the kubelet has it."""

    container: str
    kind: Literal["Normal", "Warning"]
    message: str


class BackOffs:
    """What began since the last look."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, int]] = {}

    def begun(self, pod: Pod, status: PodStatus) -> Iterator[BackOff]:
        before, self._waiting = self._waiting, {}
        for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            reason = one["state"].get("waiting", {}).get("reason", "")
            if reason not in ("CrashLoopBackOff", "ImagePullBackOff"):
                continue
            now = self._waiting[one["name"]] = reason, one["restartCount"]
            if before.get(one["name"]) != now:
                yield _told(pod, one["name"], one["image"], reason)


def _told(pod: Pod, container: str, image: str, reason: str) -> BackOff:
    if reason == "ImagePullBackOff":
        return BackOff(container, "Normal", f'Back-off pulling image "{image}"')
    meta = pod["metadata"]
    name = f"{meta.get('name', '')}_{meta.get('namespace', '')}({meta.get('uid', '')})"
    return BackOff(container, "Warning", f"Back-off restarting failed container {container} in pod {name}")
