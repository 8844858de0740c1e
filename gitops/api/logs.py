"""GET …/pods/x/log: text that the pod's node streams to us. Source: Kubernetes API reference, "Pod: read log"."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, cast

from aiohttp import WSMsgType, web
from multidict import MultiMapping

from gitops.api.authorize import authorize
from gitops.api.channels import keep_alive, websocket
from gitops.api.context import CLOCK, STORE, STREAMING, USER, Target
from gitops.api.hub import HUB
from gitops.api.status import not_found
from gitops.api.upgrades import Upgrade
from gitops.client.reverse import LogRequest
from gitops.kinds.core.pod import POD, ContainerStatus, Pod
from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.objects import moment_of, uid

FIRST_WORD_SECONDS: Final = (
    1.0  # So long an error of the node can still become a Status; then followers get headers.
)
SINCE_SECONDS_MAX: Final = (
    10**9
)  # Thirty years: more is all that there is, and no calendar goes back for ever.
BASE64_BINARY: Final = "base64.binary.k8s.io"
STREAMS: Final = {"All": "", "Stdout": "stdout", "Stderr": "stderr"}
_TRUE: Final = ("true", "1")


async def log(request: web.Request, target: Target) -> web.StreamResponse:
    """A container's output. An error of the node before the first byte is a `Status`; a later one cuts the answer."""
    view = request.app[STORE].view()
    authorize(view, request[USER], "get", target)
    pod = view.get(POD, POD.key(target.namespace, target.name))
    if pod is None:
        raise not_found(target)
    asked = request_for(pod, request.query, request.app[CLOCK]())
    node = pod["spec"].get("nodeName", "")
    asking = request.app[HUB].ask(node, "logs", asked.params(), scope=uid(pod))
    async with aclosing(_limited(asking, asked.limit_bytes)) as chunks:
        if request.headers.get("Upgrade", "").lower() == Upgrade.WEBSOCKET:
            return await _stream_to_socket(request, chunks)
        return await _stream(request, chunks)


def request_for(pod: Pod, query: MultiMapping[str], now: datetime) -> LogRequest:
    """What to ask the node. Raises BadRequest, in Kubernetes' words, for what cannot be answered."""
    check_options(query)
    container = container_of(pod, query.get("container", ""))
    previous = query.get("previous", "") in _TRUE
    _check_started(pod, container, previous=previous)
    seconds, since_time = query.get("sinceSeconds"), query.get("sinceTime")
    try:
        since = moment_of(since_time) if since_time else None
    except ValueError as error:
        raise BadRequest(f"sinceTime: found {since_time!r}, wanted RFC 3339") from error
    if seconds:
        since = now - timedelta(seconds=min(int(seconds), SINCE_SECONDS_MAX))
    tail, limit = query.get("tailLines"), query.get("limitBytes")
    return LogRequest(
        namespace=pod["metadata"].get("namespace", ""),
        pod=pod["metadata"].get("name", ""),
        pod_uid=uid(pod),
        container=container,
        follow=query.get("follow", "") in _TRUE,
        previous=previous,
        tail_lines=int(tail) if tail else None,
        since=since,
        timestamps=query.get("timestamps", "") in _TRUE,
        limit_bytes=int(limit) if limit else None,
        stream=STREAMS[query.get("stream") or "All"],
    )


def check_options(query: MultiMapping[str]) -> None:
    """Raises Invalid with every broken rule. Source: kubernetes/pkg/apis/core/validation, `ValidatePodLogOptions`."""
    wrong: list[tuple[str, str]] = []
    for name, least, wanted in (
        ("tailLines", 0, "greater than or equal to 0"),
        ("limitBytes", 1, "greater than 0"),
        ("sinceSeconds", 1, "greater than 0"),
    ):
        text = query.get(name)
        if text and not _whole(text):
            raise BadRequest(f"{name}: found {text!r}, wanted a whole number")
        if text and int(text) < least:
            wrong.append((name, f"Invalid value: {text}: must be {wanted}"))
    if query.get("sinceSeconds") and query.get("sinceTime"):
        wrong.append(("", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"))
    stream = query.get("stream") or "All"
    if stream not in STREAMS:
        known = ", ".join(f'"{one}"' for one in STREAMS)
        wrong.append(("stream", f'Unsupported value: "{stream}": supported values: {known}'))
    elif stream != "All" and query.get("tailLines"):
        wrong.append(("", "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now"))
    if wrong:
        told = ", ".join(f"{field}: {message}" if field else message for field, message in wrong)
        raise Invalid(f"PodLogOptions is invalid: {told}", tuple(wrong))


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19


async def _stream(request: web.Request, chunks: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    response.enable_chunked_encoding()
    async with _begun(chunks) as first:
        request[STREAMING] = True
        await response.prepare(request)
        async for chunk in _after(first, chunks):
            await response.write(chunk)
        await response.write_eof()
        return response


async def _stream_to_socket(request: web.Request, chunks: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """The same in messages. Source: apimachinery/pkg/util/httpstream/wsstream/stream.go."""
    async with _begun(chunks) as first:
        request[STREAMING] = True
        socket = await websocket(request, ("", "binary.k8s.io", BASE64_BINARY))
        tasks = [
            asyncio.create_task(one)
            for one in (_send(socket, first, chunks), _left(socket), keep_alive(socket))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # A log that breaks off is no success.
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return socket


async def _send(
    socket: web.WebSocketResponse, first: asyncio.Task[bytes], chunks: AsyncGenerator[bytes, None]
) -> None:
    async for chunk in _after(first, chunks):
        if socket.ws_protocol == BASE64_BINARY:
            await socket.send_str(base64.b64encode(chunk).decode())
        else:
            await socket.send_bytes(chunk)
    await socket.close()


async def _left(socket: web.WebSocketResponse) -> None:
    """Until the client leaves: it has nothing to say here."""
    while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        pass


@asynccontextmanager
async def _begun(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[asyncio.Task[bytes], None]:
    """The first chunk, which may still be under way: whoever follows a silent container is answered meanwhile.

    Raises what the node said instead, if it said so in time.
    """
    first = asyncio.ensure_future(anext(chunks, b""))
    try:
        await asyncio.wait({first}, timeout=FIRST_WORD_SECONDS)
        if first.done():
            first.result()
        yield first
    finally:
        first.cancel()
        await asyncio.wait({first})


async def _limited(
    chunks: AsyncGenerator[bytes, None], limit_bytes: int | None
) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        left = limit_bytes
        async for chunk in chunks:
            yield chunk if left is None else chunk[:left]
            if left is not None:
                left -= len(chunk)
                if left <= 0:
                    return


async def _after(
    first: asyncio.Task[bytes], rest: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    if chunk := await first:
        yield chunk
    async for chunk in rest:
        yield chunk


def container_of(pod: Pod, asked: str) -> str:
    """The container that is asked for, or the only one. Raises BadRequest in Kubernetes' words."""
    name = pod["metadata"].get("name", "")
    spec = cast(Mapping[str, Any], pod["spec"])
    app, init, debug = (
        [container["name"] for container in spec.get(which) or ()]
        for which in ("containers", "initContainers", "ephemeralContainers")
    )
    if asked:
        if asked not in (*app, *init, *debug):
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(app) > 1:
        hint = f" or one of the init containers: [{' '.join(init)}]" if init else ""
        raise BadRequest(
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(app)}]{hint}"
        )
    return str(app[0])


def _check_started(pod: Pod, container: str, *, previous: bool) -> None:
    """A container that has not run yet, or had no attempt before, has nothing to tell."""
    name = pod["metadata"].get("name", "")
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {name} does not have a host assigned")
    status = cast(Mapping[str, Any], pod.get("status") or {})
    found: list[ContainerStatus] = [
        one
        for which in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        for one in status.get(which) or ()
    ]
    state = next((one for one in found if one["name"] == container), None)
    if previous and (state is None or not (state.get("lastState") or {}).get("terminated")):
        raise BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
    if state is not None and not previous and _waits(state):
        reason = ((state.get("state") or {}).get("waiting") or {}).get("reason") or "ContainerCreating"
        raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
    if state is None and not previous:
        raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')


def _waits(state: ContainerStatus) -> bool:
    """Waiting, and no earlier attempt whose output could be shown instead."""
    return bool((state.get("state") or {}).get("waiting")) and not (state.get("lastState") or {}).get(
        "terminated"
    )
