"""What takes long at a Docker engine: events, logs, exec, pulls and stopping, over HTTP without a thread for each.

The rest goes through Docker's SDK (`docker.py`), which blocks. Source: Docker Engine API 1.41.
"""

import asyncio
import os
import signal
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import aiohttp
import orjson

from agent.runtime.docker_answers import identity_of, split
from agent.runtime.docker_requests import log_since
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import LABEL_CLUSTER, Capacity, ExecResult, RuntimeEvent
from gitops.kinds.errors import Forbidden, GitwardError, Invalid, NotFound, Unavailable

CONNECT_SECONDS: Final = 10.0
UPDATE_SECONDS: Final = 30.0  # Less memory than before is taken from its caches first.
STOP_MARGIN_SECONDS: Final = 30.0  # Beyond the grace: SIGKILL and the removal of its mounts.
STALLED_SECONDS: Final = 300.0  # Of a pull, as containerd's image_pull_progress_timeout.
OUTPUT_MAX_BYTES: Final = 16 << 10  # Of an exec; the rest is read and dropped.
LINE_MAX_BYTES: Final = 1 << 20
FRAME_HEADER_BYTES: Final = 8
EVENT_ACTIONS: Final = ["die", "oom", "destroy", "pause", "unpause"]


class Taken(Invalid):
    """409: a name that is taken, or something that goes on already."""


class DockerStream:
    """One connection pool at one engine. `host`: unix:///path or tcp://address:port."""

    def __init__(self, host: str, api_version: str) -> None:
        path = host.removeprefix("unix://")
        if path != host:
            self._connector: aiohttp.BaseConnector = aiohttp.UnixConnector(path, limit=0)
            base = "http://docker"
        else:
            self._connector = aiohttp.TCPConnector(limit=0)
            base = "http://" + host.removeprefix("tcp://")
        self._host, self._base = host, f"{base}/v{api_version}"
        self._http = aiohttp.ClientSession(
            connector=self._connector, read_bufsize=LINE_MAX_BYTES, auto_decompress=False
        )

    async def close(self) -> None:
        await self._http.close()

    async def stop(self, container_id: str, *, grace_seconds: float) -> None:
        seconds = max(int(grace_seconds), 0)
        limit = seconds + STOP_MARGIN_SECONDS
        try:
            async with self.ask(
                "POST", f"/containers/{container_id}/stop", {"t": str(seconds)}, timeout=limit
            ):
                return
        except NotFound:
            return

    async def resize(self, container_id: str, capacity: Capacity) -> None:
        body = {
            "Memory": capacity.memory_bytes,
            "MemorySwap": capacity.memory_bytes,
            "NanoCpus": capacity.cpu_nano,
            "CpuShares": capacity.cpu_shares,
        }
        # Zero is what Docker takes for "as it was".
        body = {name: value for name, value in body.items() if value}
        path = f"/containers/{container_id}/update"
        async with self.ask("POST", path, body=body, timeout=UPDATE_SECONDS):
            return

    async def pull(self, reference: str, auth: Mapping[str, str] | None, progress: PullProgress) -> None:
        """Given up by being cancelled, at the engine too. Raises NotFound with the registry's words; Unavailable when
        nothing moves any more.

        Without `auth` nothing is shown to the registry, whatever logins the agent's user has.
        """
        repository, tag = split(reference)
        shown = {"X-Registry-Auth": urlsafe_b64encode(orjson.dumps(dict(auth))).decode()} if auth else {}
        query = {"fromImage": repository, "tag": tag}
        clock = asyncio.get_running_loop().time
        try:
            async with (
                asyncio.timeout(STALLED_SECONDS) as limit,
                self.ask("POST", "/images/create", query, headers=shown) as answer,
            ):
                async for line in _lines(answer, self._host):
                    limit.reschedule(clock() + STALLED_SECONDS)
                    said = orjson.loads(line)
                    progress.note(said)
                    if (error := said.get("error")) is not None:
                        raise NotFound(error)
        except TimeoutError as error:
            why = f"nothing has moved for {STALLED_SECONDS:.0f} s"
            raise Unavailable(f"{reference} is not pulled: {why}") from error

    async def events(self, cluster: str) -> AsyncGenerator[RuntimeEvent, None]:
        """Deaths and removals of our containers, until the engine goes: then Unavailable."""
        wanted = {"type": ["container"], "event": EVENT_ACTIONS, "label": [f"{LABEL_CLUSTER}={cluster}"]}
        async with self.ask("GET", "/events", {"filters": orjson.dumps(wanted).decode()}) as answer:
            async for line in _lines(answer, self._host):
                event = orjson.loads(line)
                about = event["Actor"]["Attributes"]
                whose = identity_of(about, about.get("name", ""))
                yield RuntimeEvent(whose.pod_uid, event["Action"], event["Actor"]["ID"])
        raise Unavailable(f"Docker at {self._host}: the stream of events ended")

    async def logs(
        self,
        container_id: str,
        *,
        tty: bool,
        follow: bool,
        tail_lines: int | None,
        since: datetime | None,
        timestamps: bool,
        stream: str = "",
    ) -> AsyncGenerator[bytes, None]:
        wanted = {name: str(int(stream in ("", name))) for name in ("stdout", "stderr")}
        query = {**wanted, "follow": str(int(follow)), "timestamps": str(int(timestamps))}
        query["tail"] = "all" if tail_lines is None else str(tail_lines)
        if since is not None:
            query["since"] = log_since(since)
        async with self.ask("GET", f"/containers/{container_id}/logs", query) as answer:
            async for chunk in answer.content.iter_any() if tty else _frames(answer):
                yield chunk

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout_seconds: float
    ) -> ExecResult:
        """Raises TimeoutError, having killed what it started."""
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        path = f"/containers/{container_id}/exec"
        async with self.ask("POST", path, body=body, timeout=CONNECT_SECONDS) as answer:
            exec_id = (await answer.json())["Id"]
        output = bytearray()
        try:
            async with asyncio.timeout(timeout_seconds):
                start = {"Detach": False, "Tty": False}
                async with self.ask("POST", f"/exec/{exec_id}/start", body=start) as answer:
                    async for chunk in _frames(answer):
                        output += chunk[: OUTPUT_MAX_BYTES - len(output)]
        except (TimeoutError, asyncio.CancelledError):
            await asyncio.shield(self._kill_exec(exec_id))
            raise
        exit_code = (await self._exec_state(exec_id))["ExitCode"]
        return ExecResult(exit_code if exit_code is not None else -1, bytes(output))

    async def _exec_state(self, exec_id: str) -> Mapping[str, Any]:
        async with self.ask("GET", f"/exec/{exec_id}/json", timeout=CONNECT_SECONDS) as answer:
            found: Mapping[str, Any] = await answer.json()
            return found

    async def _kill_exec(self, exec_id: str) -> None:
        """Docker has no call for it, so the process is killed by its number on the host, which is ours too."""
        with suppress(GitwardError, ProcessLookupError, PermissionError):
            state = await self._exec_state(exec_id)
            if state["Running"] and state["Pid"] > 1:
                os.kill(state["Pid"], signal.SIGKILL)

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # Of the whole exchange, in seconds; None: it may last.
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS)
        try:
            async with self._http.request(
                method, self._base + path, params=query, json=body, headers=headers, timeout=limit
            ) as answer:
                if answer.status >= 400:
                    raise error_of(answer.status, await answer.read(), self._host)
                yield answer
        except TimeoutError as error:
            raise Unavailable(f"Docker at {self._host} does not answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"Docker at {self._host}: {error or type(error).__name__}") from error


def error_of(status: int, body: bytes, host: str) -> GitwardError:
    try:
        message = orjson.loads(body)["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = body[:500].decode(errors="replace")
    match status:
        case 404:
            return NotFound(message)
        case 409:
            return Taken(message)
        case 400:
            return Invalid(message)
        case 401 | 403:
            return Forbidden(message)
        case _:
            return Unavailable(f"Docker at {host}: {message}")


async def _lines(answer: aiohttp.ClientResponse, host: str) -> AsyncGenerator[bytes, None]:
    try:
        async for line in answer.content:
            yield line
    except ValueError as error:
        raise Unavailable(f"Docker at {host}: a line longer than {LINE_MAX_BYTES} bytes") from error


async def _frames(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """stdout and stderr without the headers between them: one byte stream, three zeros, four bytes of length."""
    while True:
        try:
            header = await answer.content.readexactly(FRAME_HEADER_BYTES)
            left = int.from_bytes(header[4:], "big")
            while left:
                chunk = await answer.content.read(min(left, LINE_MAX_BYTES))
                if not chunk:
                    return
                left -= len(chunk)
                yield chunk
        except asyncio.IncompleteReadError:
            return
