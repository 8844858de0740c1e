"""Answers the master's question for a container's output. The master has no other way to a node."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from agent.pods.pods import Pods
from agent.pods.restarting import every_container
from agent.runtime.protocol import ContainerState, Phase, Runtime
from gitops.client import Handler, LogRequest, of_bytes
from gitops.kinds.core.pod import ContainerStatus, Pod, pod_status
from gitops.kinds.errors import BadRequest, NotFound


def log_handler(runtime: Runtime, pods: Callable[[], Pods | None]) -> Handler:
    """The method `logs` of the way back."""

    async def logs(params: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        asked = LogRequest.of(params)
        node = pods()
        worker = node.find(asked.namespace, asked.pod, asked.pod_uid) if node is not None else None
        if worker is None or worker.pod is None:
            raise NotFound(f'pods "{asked.pod}" not found on this node')
        states = await runtime.states(worker.pod["metadata"].get("uid", ""))
        state = choose(worker.pod, states, asked)
        output = runtime.logs(
            state.id,
            follow=asked.follow and state.phase is Phase.RUNNING,
            tail_lines=asked.tail_lines,
            since=asked.since,
            timestamps=asked.timestamps,
            stream=asked.stream,
        )
        async with aclosing(output) as chunks:
            async for chunk in chunks:
                yield chunk

    return of_bytes(logs)


def choose(pod: Pod, states: list[ContainerState], asked: LogRequest) -> ContainerState:
    """The attempt that is meant: the newest one that was started, or the one before it. Errors in Kubernetes' words."""
    name = asked.container
    if all(one["name"] != name for one in every_container(pod)):
        raise BadRequest(f"container {name} is not valid for pod {asked.pod}")
    ours = [one for one in states if one.container == name and one.phase is not Phase.CREATED]
    attempts = sorted(ours, key=lambda one: one.attempt, reverse=True)
    if asked.previous:
        if len(attempts) < 2:
            raise BadRequest(f'previous terminated container "{name}" in pod "{asked.pod}" not found')
        return attempts[1]
    if not attempts:
        raise BadRequest(
            f'container "{name}" in pod "{asked.pod}" is waiting to start: {_why_waiting(pod, name)}'
        )
    return attempts[0]


def _why_waiting(pod: Pod, name: str) -> str:
    status = pod_status(pod)
    every: list[ContainerStatus] = [
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ]
    waiting = (
        one.get("state", {}).get("waiting", {}).get("reason", "") for one in every if one["name"] == name
    )
    return next(waiting, "") or "ContainerCreating"
