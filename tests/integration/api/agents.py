"""A stand-in for a node's agent: connects as one and answers what the master asks for."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from gitops.client import Client, LogRequest, of_bytes, serve_reverse
from gitops.kinds.errors import NotFound
from tests.integration.api.served import Served

PATIENCE_SECONDS: Final = 10.0
BROKEN: Final = "broken"  # A line that is an error of the node instead.


class Answering:
    """Its containers have said some lines; `say` adds one to those who follow."""

    def __init__(self, api: Served, lines: Mapping[str, list[str]]) -> None:
        self.asked: list[LogRequest] = []
        self._api = api
        self._lines = lines
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._left = threading.Event()

    async def logs(self, params: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        request = LogRequest.of(params)
        self.asked.append(request)
        for line in self._lines[request.container]:
            if line == BROKEN:
                raise NotFound(f"container {request.container} is gone")
            yield line.encode()
        try:
            while request.follow:
                yield await self._said.get()
        finally:
            if request.follow:
                self._left.set()

    def say(self, line: str) -> None:
        self._api.loop.call_soon_threadsafe(self._said.put_nowait, line.encode())

    def wait_until_left(self) -> None:
        """Until whoever followed has gone, and we were told."""
        assert self._left.wait(PATIENCE_SECONDS)


@contextmanager
def answering(api: Served, node: str, lines: Mapping[str, list[str]]) -> Iterator[Answering]:
    """Connected while the block runs."""
    answers = Answering(api, lines)
    client = Client.from_kubeconfig(api.config_of(node))
    task = api.run(_start(client, node, answers))
    try:
        api.run(until_connected(api, node))
        yield answers
    finally:
        api.run(stop(task, client))


async def _start(client: Client, node: str, answers: Answering) -> asyncio.Task[None]:
    return asyncio.create_task(serve_reverse(client, node, {"logs": of_bytes(answers.logs)}))


async def until_connected(api: Served, node: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while node not in api.hub.connected():
            await asyncio.sleep(0.01)


async def stop(task: asyncio.Task[None], client: Client) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()
