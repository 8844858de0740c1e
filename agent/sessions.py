"""Answers the master's `exec` and `attach`: the streams of a process in a container, both ways.

A process that nobody attends any more (its client left, its connection was lost, rights were revoked) is killed.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import orjson

from agent.pods.pods import Pods
from agent.pods.restarting import every_container
from agent.runtime.protocol import ContainerState, Phase, Runtime, Session, Streams
from gitops.client import Handler, ProcessRequest
from gitops.client.streams import RESIZE, STATUS, STDIN, Stream, json_of
from gitops.kinds.errors import BadRequest, NotFound

SIZE_MAX: Final = 0xFFFF  # Of a terminal: struct winsize has 16 bits.

Find = Callable[[], Pods | None]


def exec_handler(runtime: Runtime, pods: Find) -> Handler:
    """The method `exec` of the way back."""

    async def execute(params: Mapping[str, Any], stream: Stream) -> None:
        asked = ProcessRequest.of(params)
        state = await _running(runtime, pods, asked)
        await _relay(runtime.open_exec(state.id, asked.command, _streams(asked)), stream)

    return execute


def attach_handler(runtime: Runtime, pods: Find) -> Handler:
    """The method `attach` of the way back."""

    async def attach(params: Mapping[str, Any], stream: Stream) -> None:
        asked = ProcessRequest.of(params)
        state = await _running(runtime, pods, asked)
        await _relay(runtime.attach(state.id, _streams(asked)), stream)

    return attach


async def states_of(runtime: Runtime, pods: Find, pod: str, namespace: str, uid: str) -> list[ContainerState]:
    """The containers of a pod of this node. Raises NotFound."""
    node = pods()
    worker = node.find(namespace, pod, uid) if node is not None else None
    if worker is None or worker.pod is None:
        raise NotFound(f'pods "{pod}" not found on this node')
    return await runtime.states(worker.pod["metadata"].get("uid", ""))


async def _running(runtime: Runtime, pods: Find, asked: ProcessRequest) -> ContainerState:
    """The present attempt. Raises, in Kubernetes' words, if there is none that runs."""
    states = await states_of(runtime, pods, asked.pod, asked.namespace, asked.pod_uid)
    node = pods()
    worker = node.find(asked.namespace, asked.pod, asked.pod_uid) if node is not None else None
    pod = worker.pod if worker is not None else None
    if pod is None or all(one["name"] != asked.container for one in every_container(pod)):
        raise BadRequest(f"container {asked.container} is not valid for pod {asked.pod}")
    found = [one for one in states if one.container == asked.container and one.phase is Phase.RUNNING]
    if not found:
        raise NotFound(f'container not found ("{asked.container}")')
    return max(found, key=lambda one: one.attempt)


def _streams(asked: ProcessRequest) -> Streams:
    return Streams(asked.stdin, asked.stdout, asked.stderr, asked.tty)


async def _relay(opened: AbstractAsyncContextManager[Session], stream: Stream) -> None:
    async with opened as session:
        await stream.send(STATUS, b"{}")
        feeding = asyncio.create_task(_feed(session, stream))
        try:
            while (read := await session.read()) is not None:
                await stream.send(*read)
            code = await session.exit_code()
        finally:
            feeding.cancel()
            await asyncio.wait((feeding,))
        if code is not None:
            await stream.send(STATUS, orjson.dumps({"exitCode": code}))


async def _feed(session: Session, stream: Stream) -> None:
    """What comes for the process, until the stream ends. While it takes no input, a resize waits, as upstream."""
    while (piece := await stream.receive()) is not None:
        if piece.channel == STDIN and piece.data:
            await session.write(piece.data)
        elif piece.channel == STDIN:
            await session.finish()
        elif piece.channel == RESIZE:
            asked = json_of(piece)
            width, height = asked.get("Width"), asked.get("Height")
            if isinstance(width, int) and isinstance(height, int) and 0 < width <= SIZE_MAX >= height > 0:
                await session.resize(width, height)
