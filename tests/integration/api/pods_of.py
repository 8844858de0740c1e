"""A node with the agent's own handlers, connected to a served API. On the fake engine its programs are coroutines."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

from agent.logs import log_handler
from agent.ports import Connection, dial_loopback, port_handler
from agent.probes.checks import Checks
from agent.runtime.fake import FakeRuntime
from agent.runtime.fake_programs import STDERR, Process
from agent.runtime.protocol import Runtime
from agent.sessions import attach_handler, exec_handler
from agent.usage import CgroupReader, Sampler, usage_handler
from agent.usage.cgroups import Usage
from gitops.client import Client, serve_reverse
from gitops.kinds.core.pod import POD, Pod, is_ready
from gitops.kinds.errors import Unavailable
from gitops.kinds.objects import uid
from tests.agent_world import Api, a_pod, running_node
from tests.integration.api.served import Served, now

PATIENCE_SECONDS: Final = 20.0
NODE: Final = "n1"
APP: Final = {"name": "app", "image": "shop/web:1", "stdin": True}


class Running:
    """Connected while the block runs. Every method may be called from the test's thread."""

    def __init__(self, api: Served, runtime: Runtime) -> None:
        self.api, self.runtime = api, runtime
        self.ended = threading.Event()  # A program was killed.
        self.begun = threading.Event()
        self.seen: dict[str, Any] = {}
        self.ports: dict[int, int] = {}  # Of the pod, to one of this host.
        self.task: asyncio.Task[None] | None = None
        self.sampling: asyncio.Task[None] | None = None
        self.programs: dict[str, Any] = {
            "cat": _cat,
            "fail": _fail,
            "yes": self._yes,
            "deaf": self._deaf,
            "size": self._size,
            "app": _cat,
        }

    async def stop(self) -> None:
        """The agent ends."""
        for task in (self.task, self.sampling):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))

    async def dial(self, pid: int, port: int) -> Connection:
        if port not in self.ports:
            raise Unavailable(f"dial tcp 127.0.0.1:{port}: Connection refused")
        return await asyncio.open_connection("127.0.0.1", self.ports[port])

    async def _yes(self, process: Process) -> int:
        self.begun.set()
        written = 0
        try:
            while True:
                await process.print("y\n" * 512)
                written += 1024
                self.seen["written"] = written
        finally:
            self.ended.set()

    async def _deaf(self, process: Process) -> int:
        """Reads nothing."""
        self.begun.set()
        try:
            await asyncio.sleep(3_600)
        finally:
            self.ended.set()
        return 0

    async def _size(self, process: Process) -> int:
        await process.resized.wait()
        await process.print(f"{process.size[0]}x{process.size[1]} tty={process.streams.tty}")
        return 0


async def _cat(process: Process) -> int:
    while data := await process.input.get():
        await process.print(data.decode())
    return 0


async def _fail(process: Process) -> int:
    await process.print("to out\n")
    await process.print("to err\n", STDERR)
    return int(process.command[1])


class Counting:
    """Each container has used half a core since it began to be read, and 64 MiB."""

    def __init__(self) -> None:
        self._began = monotonic()

    def read(self, container_id: str, pid: int) -> Usage | None:
        used = int((monotonic() - self._began) * 500_000_000)
        return Usage(used, 80 << 20, 64 << 20, 32 << 20, 3)

    def forget(self, but: set[str]) -> None:
        return


class NoProbes:
    async def check(self, *_: object) -> Any:
        raise Unavailable("no probes here")


@contextmanager
def a_running_pod(
    api: Served, name: str = "web", *, engine: Runtime | None = None, **spec: Any
) -> Iterator[Running]:
    """One pod, its container `app` running on the node, and known to the API. `engine`: instead of a fake one."""
    runtime = engine or FakeRuntime(now)
    running = Running(api, runtime)
    dial = dial_loopback if engine else running.dial
    if isinstance(runtime, FakeRuntime):
        runtime.programs.update(running.programs)
    stack = AsyncExitStack()
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    api.create(a_pod(name, **{"containers": [APP], **spec}))
    pod: Pod = api.found(POD, "shop", name)

    async def start() -> Pod:
        world = Api()
        world.put(pod)
        checks: Checks = NoProbes()
        node = await stack.enter_async_context(running_node(runtime, checks, world))
        client = await stack.enter_async_context(Client.from_kubeconfig(api.config_of(NODE)))
        sampler = Sampler(
            NODE,
            2,
            Path("/"),
            lambda: node.pods.states,
            node.pods.pods,
            now,
            CgroupReader() if engine else Counting(),
            networks=engine is not None,
            sleep=lambda _: asyncio.sleep(0.5),
        )
        running.sampling = asyncio.create_task(sampler.run())
        handlers = {
            "get": usage_handler(sampler),
            "exec": exec_handler(runtime, lambda: node.pods),
            "attach": attach_handler(runtime, lambda: node.pods),
            "logs": log_handler(runtime, lambda: node.pods),
            "portforward": port_handler(runtime, lambda: node.pods, dial),
        }
        found = await node.until(uid(pod), is_ready)
        running.task = asyncio.create_task(serve_reverse(client, NODE, handlers))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while NODE not in api.hub.connected():
                await asyncio.sleep(0.01)
        return found

    try:
        found = api.run(start())
        api.update({**pod, "status": found.get("status", {})}, "status")
        yield running
    finally:
        api.run(running.stop())
        api.run(stack.aclose())
