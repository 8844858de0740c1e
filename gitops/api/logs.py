"""GET …/pods/x/log: text that the pod's node streams to us. Source: Kubernetes API reference, "Pod: read log"."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web
from multidict import MultiMapping

from gitops.api.authorize import authorize
from gitops.api.context import CLOCK, STORE, STREAMING, USER, Target
from gitops.api.hub import HUB
from gitops.api.reads import whole_number
from gitops.api.status import not_found
from gitops.client.reverse import LogRequest
from gitops.kinds.core.pod import POD, ContainerStatus, Pod
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import moment_of, uid

FIRST_WORD_SECONDS: Final = (
    1.0  # So long an error of the node can still become a Status; then followers get headers.
)
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
    async with aclosing(request.app[HUB].ask(node, "logs", asked.params())) as chunks:
        return await _stream(request, chunks, asked.limit_bytes)


def request_for(pod: Pod, query: MultiMapping[str], now: datetime) -> LogRequest:
    """What to ask the node. Raises BadRequest, in Kubernetes' words, for what cannot be answered."""
    container = _container(pod, query.get("container", ""))
    previous = query.get("previous", "") in _TRUE
    _check_started(pod, container, previous=previous)
    seconds, since_time = query.get("sinceSeconds"), query.get("sinceTime")
    if seconds and since_time:
        raise BadRequest("at most one of sinceTime or sinceSeconds may be specified")
    try:
        since = moment_of(since_time) if since_time else None
    except ValueError as error:
        raise BadRequest(f"sinceTime: found {since_time!r}, wanted RFC 3339") from error
    if seconds:
        since = now - timedelta(seconds=whole_number(seconds, "sinceSeconds"))
    tail, limit = query.get("tailLines"), query.get("limitBytes")
    return LogRequest(
        namespace=pod["metadata"].get("namespace", ""),
        pod=pod["metadata"].get("name", ""),
        pod_uid=uid(pod),
        container=container,
        follow=query.get("follow", "") in _TRUE,
        previous=previous,
        tail_lines=whole_number(tail, "tailLines") if tail else None,
        since=since,
        timestamps=query.get("timestamps", "") in _TRUE,
        limit_bytes=whole_number(limit, "limitBytes") if limit else None,
    )


async def _stream(
    request: web.Request, chunks: AsyncGenerator[bytes, None], limit_bytes: int | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    response.enable_chunked_encoding()
    first = asyncio.ensure_future(anext(chunks, b""))
    try:
        await asyncio.wait({first}, timeout=FIRST_WORD_SECONDS)
        if first.done():
            first.result()  # Raises what the node said instead.
        request[STREAMING] = True
        await response.prepare(request)
        return await _copy(response, chunks, await first, limit_bytes)
    finally:
        first.cancel()
        await asyncio.wait({first})


async def _copy(
    response: web.StreamResponse, chunks: AsyncGenerator[bytes, None], first: bytes, limit_bytes: int | None
) -> web.StreamResponse:
    left = limit_bytes
    async for chunk in _after(first, chunks):
        shown = chunk if left is None else chunk[:left]
        await response.write(shown)
        if left is not None:
            left -= len(shown)
            if left <= 0:
                break
    await response.write_eof()
    return response


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk


def _container(pod: Pod, asked: str) -> str:
    name = pod["metadata"].get("name", "")
    app = [container["name"] for container in pod["spec"]["containers"]]
    init = [container["name"] for container in pod["spec"].get("initContainers") or ()]
    if asked:
        if asked not in (*app, *init):
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(app) > 1:
        hint = f" or one of the init containers: [{' '.join(init)}]" if init else ""
        raise BadRequest(
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(app)}]{hint}"
        )
    return app[0]


def _check_started(pod: Pod, container: str, *, previous: bool) -> None:
    """A container that has not run yet, or had no attempt before, has nothing to tell."""
    name = pod["metadata"].get("name", "")
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {name} does not have a host assigned")
    status = pod.get("status") or {}
    found = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
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
