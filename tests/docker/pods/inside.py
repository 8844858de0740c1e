"""Containers of busybox for tests, and how to look into them and at what the API says of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gitops.kinds.core.pod import ContainerStatus, Pod, pod_status
from tests.agent_world import Node
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host

Play = Callable[[Callable[[Host], Awaitable[None]]], None]


def container(name: str, script: str, **fields: Any) -> Mapping[str, Any]:
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", f"trap 'exit 0' TERM; {script}"], **fields}


FOREVER = "while :; do sleep 0.1; done"


def status_of(pod: Pod, name: str = "app") -> ContainerStatus:
    every = [*pod_status(pod).get("initContainerStatuses", []), *pod_status(pod).get("containerStatuses", [])]
    return next(one for one in every if one["name"] == name)


def restarts(pod: Pod, name: str = "app") -> int:
    return status_of(pod, name)["restartCount"] if "containerStatuses" in pod_status(pod) else -1


async def inside(node: Node, uid: str, script: str, name: str = "app") -> str:
    """What a shell in the running container prints."""
    states = await node.means.runtime.states(uid)
    newest = max((s for s in states if s.container == name), key=lambda s: s.attempt)
    result = await node.means.runtime.exec(newest.id, ("sh", "-c", script), timeout_seconds=10)
    return result.output.decode().strip()


async def logs(node: Node, uid: str, name: str = "app") -> str:
    states = await node.means.runtime.states(uid)
    newest = max((s for s in states if s.container == name), key=lambda s: s.attempt)
    chunks = node.means.runtime.logs(newest.id, follow=False, tail_lines=None, since=None, timestamps=False)
    return b"".join([chunk async for chunk in chunks]).decode()
