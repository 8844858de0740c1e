"""The Docker driver. What a pod's life is made of goes through `docker_calls.py`, what takes long through
`docker_stream.py`; the rest (images, the engine itself) through Docker's SDK in threads, whose errors become ours in
one place, `_ask`.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

import docker.errors
import requests
from docker.api.client import APIClient

from agent.runtime import log_files, pause
from agent.runtime.docker_answers import (
    container_state,
    engine_info,
    identity_of,
    phase_of,
    version_of,
)
from agent.runtime.docker_calls import MAKE_SECONDS, TELL_SECONDS, DockerCalls, Found
from agent.runtime.docker_ends import DockerEnds
from agent.runtime.docker_images import DockerImages
from agent.runtime.docker_requests import container_body, container_name, oom_score_min, spare_hostname
from agent.runtime.docker_sandboxes import DockerSandboxes
from agent.runtime.docker_sessions import DockerSessions
from agent.runtime.docker_stream import DockerStream
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import (
    LABEL_CLUSTER,
    LABEL_RUNTIME,
    SANDBOX,
    Capacity,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    ImageState,
    Phase,
    RuntimeEvent,
    SandboxSpec,
    Session,
    Streams,
)
from agent.runtime.runc import Runc
from agent.runtime.slot import Slot
from agent.runtime.uts import Renaming, rename, renamed
from gitops.kinds.errors import Forbidden, GitwardError, Invalid, NotFound, Unavailable

log = logging.getLogger(__name__)

API_VERSION_MAX: Final = (
    1,
    45,
)  # The newest that we know; Docker 20.10 speaks 1.41, Docker 29 refuses < 1.44.
PULL_SECONDS: Final = 3_600.0
THREADS: Final = 64
CALLS_PER_CORE: Final = 2  # A start is CPU, not waiting: more at once only makes each one late.

R = TypeVar("R")


class DockerRuntime:
    """One engine, for the containers of one cluster. Made by `connect`.

    Half of the `teller`'s methods are untyped; what they answer is JSON.
    """

    def __init__(
        self,
        host: str,
        cluster: str,
        teller: APIClient,
        info: EngineInfo,
        *,
        width: int,
        tell_seconds: float,
    ) -> None:
        self._host, self._cluster, self._info = host, cluster, info
        self._teller: Any = teller
        self._images = DockerImages(teller)
        self._stream = DockerStream(host, info.api_version)
        self._calls = DockerCalls(self._stream, host, tell_seconds=tell_seconds)
        self._ends = DockerEnds(host, self._calls, self._stream)
        self._sessions = DockerSessions(host, info.api_version, self._stream)
        self._runc = Runc()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        self._slots = asyncio.Semaphore(width)
        self._details: dict[
            str, ContainerState
        ] = {}  # Of ended and running containers: neither changes in place.
        self._renamings: dict[str, Renaming] = {}  # Of containers that are made and not started.
        # The engine is on this host, so what the agent may not do, it may not either.
        self._oom_min = oom_score_min(Path("/proc/self/status").read_text(encoding="ascii"))
        self._pause_id = ""
        self._sandboxes = DockerSandboxes(
            host, cluster, self._calls, info, oom_score_min=self._oom_min, pause_id=self._pause
        )

    @classmethod
    async def connect(
        cls, host: str, *, cluster: str, width: int = 0, tell_seconds: float = TELL_SECONDS
    ) -> Self:
        """`host` as in DOCKER_HOST. `width`: creates and starts in flight; 0: twice the number of cores."""

        def client(version: str) -> APIClient:
            seconds = cast(
                int, tell_seconds
            )  # The library's stub wants whole ones; what takes them does not.
            return APIClient(base_url=host, version=version, timeout=seconds, max_pool_size=THREADS)

        def probe() -> tuple[APIClient, EngineInfo]:
            first = client("auto")
            version = version_of(first.version()["ApiVersion"])
            first.close()
            text = ".".join(str(part) for part in min(version, API_VERSION_MAX))
            teller = client(text)
            return teller, engine_info(teller.info(), text)

        try:
            teller, info = await asyncio.to_thread(probe)
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise unanswered(error, host) from error
        width = width or CALLS_PER_CORE * (os.cpu_count() or 1)
        return cls(host, cluster, teller, info, width=width, tell_seconds=tell_seconds)

    async def info(self) -> EngineInfo:
        await self._ask(self._teller.ping)
        return self._info

    async def has_runtime(self, name: str) -> bool:
        return name in ((await self._ask(self._teller.info)).get("Runtimes") or {})

    async def states(self, pod_uid: str = "") -> list[ContainerState]:
        """A name may hold another pod's uid too (as its pod's name, or as its beginning): the engine finds too many."""
        found = await self._list(pod_uid)
        return [state for state in found if state.pod_uid and pod_uid in ("", state.pod_uid)]

    async def state(self, container_id: str) -> ContainerState | None:
        try:
            return await self._inspect(container_id)
        except NotFound:
            return None

    async def spares(self) -> list[ContainerState]:
        return [state for state in await self._list("") if not state.pod_uid]

    async def make_spare(self, key: str, address: str) -> ContainerState:
        async with self._slot():
            return await self._noted(await self._sandboxes.make_spare(key, address))

    async def ensure_sandbox(self, spec: SandboxSpec, *, spare: str = "") -> ContainerState:
        if spare:  # Two quick calls, which need not stand in line with those that start something.
            return await self._noted(await self._sandboxes.claim(spec, spare))
        async with self._slot():
            return await self._noted(await self._sandboxes.make(spec))

    async def ensure_container(self, spec: ContainerSpec) -> str:
        async with self._slot():
            return await self._make_container(spec)

    async def start(self, container_id: str) -> None:
        async with self._slot():
            await self._start(container_id)

    async def stop(self, container_id: str, *, grace_seconds: float) -> None:
        known = self._details.get(container_id)
        await self._ends.stop(container_id, known, grace_seconds=grace_seconds)

    async def resize(self, container_id: str, capacity: Capacity) -> None:
        try:
            await self._stream.resize(container_id, capacity)
        finally:
            self._details.pop(container_id, None)

    async def remove(self, container_id: str) -> None:
        await self._ends.remove(container_id, self._details.get(container_id))
        self._details.pop(container_id, None)

    async def image(self, reference: str) -> ImageState | None:
        try:
            return await self._ask(lambda: self._images.image(reference))
        except NotFound:
            return None

    async def pull(
        self, reference: str, auth: Mapping[str, str] | None, progress: PullProgress | None = None
    ) -> ImageState:
        try:
            async with asyncio.timeout(PULL_SECONDS):
                await self._stream.pull(reference, auth, progress or PullProgress())
        except TimeoutError as error:
            raise Unavailable(f"{reference} was not pulled within {PULL_SECONDS:.0f} s") from error
        return await self._ask(lambda: self._images.pulled(reference))

    async def remove_image(self, reference: str) -> bool:
        return await self._ask(lambda: self._images.remove(reference))

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout_seconds: float
    ) -> ExecResult:
        known = self._details.get(container_id)
        pid = known.pid if known is not None else 0
        result = await self._runc.exec(container_id, pid, command, timeout_seconds=timeout_seconds)
        if result is not None:
            return result
        return await self._stream.exec(container_id, command, timeout_seconds=timeout_seconds)

    async def logs(
        self,
        container_id: str,
        *,
        follow: bool,
        tail_lines: int | None,
        since: datetime | None,
        timestamps: bool,
        stream: str = "",
    ) -> AsyncGenerator[bytes, None]:
        found = await self._calls.inspect(container_id)
        path = Path(found["LogPath"])
        if follow and await asyncio.to_thread(log_files.is_readable, path):
            wanted = log_files.Wanted(tail_lines, since, timestamps, stream)
            async with aclosing(log_files.follow(path, wanted, lambda: self._runs(container_id))) as lines:
                async for line in lines:
                    yield line
            return
        async for chunk in self._stream.logs(
            container_id,
            tty=found["Config"]["Tty"],
            follow=follow,
            tail_lines=tail_lines,
            since=since,
            timestamps=timestamps,
            stream=stream,
        ):
            yield chunk

    async def _runs(self, container_id: str) -> bool:
        try:
            found = await self._calls.inspect(container_id)
        except NotFound:
            return False
        return bool(found["State"]["Running"])

    def open_exec(
        self, container_id: str, command: tuple[str, ...], streams: Streams
    ) -> AbstractAsyncContextManager[Session]:
        return self._sessions.open_exec(container_id, command, streams)

    def attach(self, container_id: str, streams: Streams) -> AbstractAsyncContextManager[Session]:
        return self._sessions.attach(container_id, streams)

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        async for event in self._stream.events(self._cluster):
            yield event

    async def close(self) -> None:
        await self._stream.close()
        self._teller.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, call: Callable[[], R], *, timeout_seconds: float = MAKE_SECONDS) -> R:
        """The one place where a blocking call leaves the loop, and where the library's errors become ours."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_seconds + 1):
                return await loop.run_in_executor(self._threads, call)
        except docker.errors.APIError as error:
            raise _translated(error, self._host) from error
        except (docker.errors.DockerException, requests.RequestException, TimeoutError, OSError) as error:
            raise unanswered(error, self._host) from error

    def _slot(self) -> Slot:
        return Slot(self._slots)

    async def _list(self, pod_uid: str) -> list[ContainerState]:
        """By name where one pod is asked for: all of its containers bear its uid there, taken spare ones too."""
        filters = {"label": [f"{LABEL_CLUSTER}={self._cluster}"], **({"name": [pod_uid]} if pod_uid else {})}
        found = await self._calls.listed(filters)
        states = []
        for entry in found:
            known = self._details.get(entry["Id"])
            if known is None or not _is_current(known, entry):
                known = await self.state(entry["Id"])
            if known is not None:
                states.append(known)
        if not pod_uid:
            there = {entry["Id"] for entry in found}
            for container_id in self._details.keys() - there:
                self._details.pop(container_id, None)
            for container_id in self._renamings.keys() - there:
                self._renamings.pop(container_id, None)
        return states

    async def _inspect(self, container_id: str) -> ContainerState:
        return await self._noted(await self._calls.inspect(container_id))

    async def _noted(self, found: Found) -> ContainerState:
        state = container_state(found)
        if not self._images.knows(state.image_id):
            await self._ask(lambda: self._images.learn(state.image_id))
        state = state._replace(image_id=self._images.pinned(state.image_id, state.image))
        if state.phase is not Phase.CREATED:
            self._details[state.id] = state
        return state

    async def _make_container(self, spec: ContainerSpec) -> str:
        sandbox = await self._sandbox_of(spec.pod_uid)
        if sandbox is None:
            pod = f"{spec.pod_namespace}/{spec.pod_name}"
            raise Invalid(f"container {spec.container} of pod {pod}: its sandbox does not run")
        runtime = sandbox.labels.get(LABEL_RUNTIME, "")
        body = container_body(self._cluster, spec, sandbox.id, runtime=runtime, oom_score_min=self._oom_min)
        before = spare_hostname(sandbox.labels)
        if before and spec.hostname:
            # Docker calls it as its sandbox, in its own variable too.
            body["Env"] = [f"HOSTNAME={spec.hostname}", *body["Env"]]
        try:
            container_id = await self._calls.create(body, container_name(self._cluster, spec))
        except Unavailable:
            self._details.pop(sandbox.id, None)  # It may be gone behind our back.
            raise
        if before and spec.hostname:
            self._renamings[container_id] = Renaming(before, spec.hostname, sandbox.id, sandbox.pid)
        return container_id

    async def _start(self, container_id: str) -> None:
        change = self._renamings.pop(container_id, None)
        if change is None:
            await self._calls.start(container_id)
            return
        with renamed(container_id, change) as done:
            await self._calls.start(container_id)
        if not done.is_set():
            state = await self._inspect(container_id)
            if state.pid and not await asyncio.to_thread(rename, state.pid, change):
                log.warning(
                    "a container keeps its sandbox's hostname", extra={"fields": {"id": container_id}}
                )

    async def _sandbox_of(self, pod_uid: str) -> ContainerState | None:
        """Its running sandbox."""
        for state in self._details.values():
            if state.pod_uid == pod_uid and state.container == SANDBOX and state.phase is Phase.RUNNING:
                return state
        found = await self._sandboxes.of_pod(pod_uid)
        return await self.state(found) if found else None

    async def _pause(self) -> str:
        """The id of the pause image, loaded if the engine lacks it."""
        if not self._pause_id:
            image = pause.image(self._info.architecture)
            await self._ask(lambda: self._images.ensure(image.id, image.archive))
            self._pause_id = image.id
        return self._pause_id


def _is_current(known: ContainerState, entry: Mapping[str, Any]) -> bool:
    """Whether the list says of a container what is known; a spare sandbox may have been taken since."""
    whose = identity_of(entry["Labels"] or {}, entry["Names"][0]) if entry["Names"] else None
    return known.phase is phase_of(entry["State"]) and (whose is None or whose.pod_uid == known.pod_uid)


def unanswered(error: Exception, host: str) -> Unavailable:
    if isinstance(error, requests.Timeout | TimeoutError):
        return Unavailable(f"Docker at {host} does not answer")
    return Unavailable(f"Docker at {host}: {error or type(error).__name__}")


def _translated(error: docker.errors.APIError, host: str) -> GitwardError:
    message = error.explanation or str(error)
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    match error.status_code:
        case 404:
            return NotFound(message)
        case 400 | 409:
            return Invalid(message)
        case 401 | 403:
            return Forbidden(message)
        case _:
            return Unavailable(f"Docker at {host}: {message}")
