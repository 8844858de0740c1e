"""The events that follow from a status: containers that begin to wait for their next try, a pod that the node ended.

Each is told once. In the kubelet's words.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from gitops.kinds.core.pod import Pod, PodStatus, pod_status


class Told(NamedTuple):
    """`kind`: Normal or Warning, as the kubelet has it. `container` '': the pod as a whole."""

    container: str
    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


class BackOffs:
    """What began since the last look."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, int]] = {}
        self._ended = ""

    def begun(self, pod: Pod, status: PodStatus) -> Iterator[Told]:
        before, self._waiting = self._waiting, {}
        for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
            reason = one["state"].get("waiting", {}).get("reason", "")
            if reason not in ("CrashLoopBackOff", "ImagePullBackOff"):
                continue
            now = self._waiting[one["name"]] = reason, one["restartCount"]
            if before.get(one["name"]) != now:
                yield _waits(pod, one["name"], one["image"], reason)
        ended = status.get("reason", "")
        if ended not in ("", self._ended, pod_status(pod).get("reason", "")):
            yield Told("", "Warning", ended, status.get("message", ""))
        self._ended = ended


def _waits(pod: Pod, container: str, image: str, reason: str) -> Told:
    if reason == "ImagePullBackOff":
        return Told(container, "Normal", "BackOff", f'Back-off pulling image "{image}"')
    meta = pod["metadata"]
    name = f"{meta.get('name', '')}_{meta.get('namespace', '')}({meta.get('uid', '')})"
    message = f"Back-off restarting failed container {container} in pod {name}"
    return Told(container, "Warning", "BackOff", message)
