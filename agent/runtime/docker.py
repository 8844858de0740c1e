"""The Docker driver. Plain calls go through Docker's SDK in threads, a bounded number at once; long ones through
`docker_stream.py`. Docker's errors become ours in one place, `_ask`.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Self, TypeVar, cast

import docker.errors
import requests
from docker.api.client import APIClient

from agent.runtime import log_files
from agent.runtime.docker_answers import (
    container_state,
    engine_info,
    identity_of,
    phase_of,
    version_of,
)
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
# Of one answer. A thread cannot be cancelled: the client's own limit is the shorter. What an engine makes may take its
# time; what it knows it tells at once, or it hangs.
MAKE_SECONDS: Final = 60.0
TELL_SECONDS: Final = 10.0
PULL_SECONDS: Final = 3_600.0
REMOVAL_SECONDS: Final = 30.0
REMOVAL_POLL_SECONDS: Final = 0.1
THREADS: Final = 64
CALLS_PER_CORE: Final = 2  # A start is CPU, not waiting: more at once only makes each one late.

R = TypeVar("R")


class DockerRuntime:
    """One engine, for the containers of one cluster. Made by `connect`.

    `maker` and `teller` differ in their patience alone. Half of their methods are untyped; what they answer is JSON.
    """

    def __init__(
        self, host: str, cluster: str, maker: APIClient, teller: APIClient, info: EngineInfo, *, width: int
    ) -> None:
        self._host, self._cluster, self._info = host, cluster, info
        self._api: Any = maker
        self._teller: Any = teller
        self._images = DockerImages(teller)
        self._stream = DockerStream(host, info.api_version)
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
        self._sandboxes = DockerSandboxes(
            host, cluster, maker, info.architecture, oom_score_min=self._oom_min, forget=self._details.clear
        )

    @classmethod
    async def connect(
        cls, host: str, *, cluster: str, width: int = 0, tell_seconds: float = TELL_SECONDS
    ) -> Self:
        """`host` as in DOCKER_HOST. `width`: creates and starts in flight; 0: twice the number of cores."""

        def client(version: str, seconds: float) -> APIClient:
            timeout = cast(
                int, seconds
            )  # The library's stub wants whole ones; what it hands them to does not.
            return APIClient(base_url=host, version=version, timeout=timeout, max_pool_size=THREADS)

        def probe() -> tuple[APIClient, APIClient, EngineInfo]:
            first = client("auto", tell_seconds)
            version = version_of(first.version()["ApiVersion"])
            first.close()
            text = ".".join(str(part) for part in min(version, API_VERSION_MAX))
            teller = client(text, tell_seconds)
            return client(text, MAKE_SECONDS), teller, engine_info(teller.info(), text)

        try:
            maker, teller, info = await asyncio.to_thread(probe)
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise unanswered(error, host) from error
        return cls(host, cluster, maker, teller, info, width=width or CALLS_PER_CORE * (os.cpu_count() or 1))

    async def info(self) -> EngineInfo:
        await self._ask(self._teller.ping)
        return self._info

    async def has_runtime(self, name: str) -> bool:
        return name in ((await self._ask(self._teller.info)).get("Runtimes") or {})

    async def states(self, pod_uid: str = "") -> list[ContainerState]:
        """A name may hold another pod's uid too (as its pod's name, or as its beginning): the engine finds too many."""
        found = await self._ask(lambda: self._list(pod_uid))
        return [state for state in found if state.pod_uid and pod_uid in ("", state.pod_uid)]

    async def spares(self) -> list[ContainerState]:
        return [state for state in await self._ask(lambda: self._list("")) if not state.pod_uid]

    async def make_spare(self, key: str, address: str) -> ContainerState:
        async with self._slot():
            return await self._ask(lambda: self._noted(self._sandboxes.make_spare(key, address)))

    async def ensure_sandbox(self, spec: SandboxSpec, *, spare: str = "") -> ContainerState:
        if spare:  # Two quick calls, which need not stand in line with those that start something.
            return await self._ask(lambda: self._noted(self._sandboxes.claim(spec, spare)))
        async with self._slot():
            return await self._ask(lambda: self._noted(self._sandboxes.make(spec)))

    async def ensure_container(self, spec: ContainerSpec) -> str:
        async with self._slot():
            return await self._ask(lambda: self._make_container(spec))

    async def start(self, container_id: str) -> None:
        async with self._slot():
            await self._ask(lambda: self._start(container_id))

    async def stop(self, container_id: str, *, grace_seconds: float) -> None:
        await self._stream.stop(container_id, grace_seconds=grace_seconds)

    async def resize(self, container_id: str, capacity: Capacity) -> None:
        try:
            await self._stream.resize(container_id, capacity)
        finally:
            self._details.pop(container_id, None)

    async def remove(self, container_id: str) -> None:
        def call() -> None:
            try:
                self._api.remove_container(container_id, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                self._await_removal(container_id)

        await self._ask(call)
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
        found = await self._ask(lambda: self._teller.inspect_container(container_id))
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
            found = await self._ask(lambda: self._teller.inspect_container(container_id))
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
        self._api.close()
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

    # What follows blocks and runs in threads.

    def _list(self, pod_uid: str) -> list[ContainerState]:
        """By name where one pod is asked for: all of its containers bear its uid there, taken spare ones too."""
        filters = {"label": [f"{LABEL_CLUSTER}={self._cluster}"], **({"name": [pod_uid]} if pod_uid else {})}
        found = self._teller.containers(all=True, filters=filters)
        states = []
        for entry in found:
            known = self._details.get(entry["Id"])
            if known is None or not _is_current(known, entry):
                try:
                    known = self._inspect(entry["Id"])
                except docker.errors.NotFound:
                    continue
            states.append(known)
        if not pod_uid:
            there = {entry["Id"] for entry in found}
            for container_id in self._details.keys() - there:
                self._details.pop(container_id, None)
            for container_id in self._renamings.keys() - there:
                self._renamings.pop(container_id, None)
        return states

    def _inspect(self, container_id: str) -> ContainerState:
        return self._noted(self._teller.inspect_container(container_id))

    def _noted(self, found: Mapping[str, Any]) -> ContainerState:
        state = container_state(found)
        state = state._replace(image_id=self._images.pinned(state.image_id, state.image))
        if state.phase is not Phase.CREATED:
            self._details[state.id] = state
        return state

    def _make_container(self, spec: ContainerSpec) -> str:
        sandbox = self._sandbox_of(spec.pod_uid)
        if sandbox is None:
            pod = f"{spec.pod_namespace}/{spec.pod_name}"
            raise Invalid(f"container {spec.container} of pod {pod}: its sandbox does not run")
        runtime = sandbox.labels.get(LABEL_RUNTIME, "")
        body = container_body(self._cluster, spec, sandbox.id, runtime=runtime, oom_score_min=self._oom_min)
        before = spare_hostname(sandbox.labels)
        if before and spec.hostname:
            # Docker calls it as its sandbox, in its own variable too.
            body["Env"] = [f"HOSTNAME={spec.hostname}", *body["Env"]]
        container_id = self._sandboxes.create(body, container_name(self._cluster, spec))
        if before and spec.hostname:
            self._renamings[container_id] = Renaming(before, spec.hostname, sandbox.id, sandbox.pid)
        return container_id

    def _start(self, container_id: str) -> None:
        change = self._renamings.pop(container_id, None)
        if change is None:
            self._sandboxes.start(container_id)
            return
        with renamed(container_id, change) as done:
            self._sandboxes.start(container_id)
        if not done.is_set():
            state = self._inspect(container_id)
            if state.pid and not rename(state.pid, change):
                log.warning(
                    "a container keeps its sandbox's hostname", extra={"fields": {"id": container_id}}
                )

    def _sandbox_of(self, pod_uid: str) -> ContainerState | None:
        """Its running sandbox."""
        for state in list(self._details.values()):
            if state.pod_uid == pod_uid and state.container == SANDBOX and state.phase is Phase.RUNNING:
                return state
        found = self._sandboxes.of_pod(pod_uid)
        return self._inspect(found) if found else None

    def _await_removal(self, container_id: str) -> None:
        """It is in progress already, and until it is done the name is taken by a container that dies."""
        end = monotonic() + REMOVAL_SECONDS
        while monotonic() < end:
            try:
                self._teller.inspect_container(container_id)
            except docker.errors.NotFound:
                return
            sleep(REMOVAL_POLL_SECONDS)
        raise Unavailable(f"Docker at {self._host}: container {container_id[:12]} is still being removed")


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
