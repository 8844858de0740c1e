"""pods/exec and pods/attach: a client's streams joined to those of a process on the pod's node.

Source: Kubernetes API reference, "Pod: exec, attach"; kubelet/pkg/cri/streaming/remotecommand.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal, NoReturn, Protocol

from aiohttp import web
from multidict import MultiMapping

from gitops.api.channels import PROTOCOLS, WebSocketLink, websocket
from gitops.api.context import STORE, STREAMING, Target
from gitops.api.hub import HUB
from gitops.api.logs import container_of
from gitops.api.rights import authorize_stream, until_revoked
from gitops.api.spdy_exec import open_spdy
from gitops.api.status import not_found
from gitops.api.upgrades import Upgrade, upgrade_of
from gitops.client.reverse import ProcessRequest
from gitops.client.streams import STATUS, STDIN, Piece, Stream, json_of
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import BadRequest, GitwardError, Invalid, Unavailable
from gitops.kinds.objects import uid

BEGIN_SECONDS: Final = 15.0
_TRUE: Final = ("true", "1")

Json = Mapping[str, Any]
SUCCESS: Final[Json] = {"metadata": {}, "status": "Success"}


class Link(Protocol):
    """A client's end, whatever it speaks. A client that has gone: `receive` gives None, the others raise
    ConnectionError."""

    async def greet(self, *, stdout: bool, stderr: bool) -> None: ...

    async def keep_alive(self) -> NoReturn: ...

    async def receive(self) -> Piece | None: ...

    async def send(self, channel: int, data: bytes) -> None: ...

    async def conclude(self, status: Json) -> None: ...


async def exec_(request: web.Request, target: Target) -> web.StreamResponse:
    """A command in a container that runs."""
    return await _process(request, target, "exec")


async def attach(request: web.Request, target: Target) -> web.StreamResponse:
    """A container's own process."""
    return await _process(request, target, "attach")


async def _process(
    request: web.Request, target: Target, method: Literal["exec", "attach"]
) -> web.StreamResponse:
    """What can be known before the connection is another protocol's is told as a `Status`."""
    authorize_stream(request, target)
    pod = request.app[STORE].view().get(POD, POD.key(target.namespace, target.name))
    if pod is None:
        raise not_found(target)
    asked = request_for(pod, request.query, method)
    how, node = upgrade_of(request), pod["spec"].get("nodeName", "")
    async with request.app[HUB].open(node, method, asked.params(), scope=uid(pod)) as stream:
        await _begun(stream, node)
        request[STREAMING] = True
        if how is Upgrade.SPDY:
            async with open_spdy(request, asked) as (response, link):
                await _relay(link, stream, asked, request, target)
            return response
        socket = await websocket(request, PROTOCOLS)
        await _relay(WebSocketLink(socket), stream, asked, request, target)
        return socket


def request_for(pod: Pod, query: MultiMapping[str], method: Literal["exec", "attach"]) -> ProcessRequest:
    """What to ask the node. Raises BadRequest in Kubernetes' words."""
    name = pod["metadata"].get("name", "")
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {name} does not have a host assigned")
    default = "true" if method == "attach" else "false"
    stdin, tty = (query.get(part, "") in _TRUE for part in ("stdin", "tty"))
    stdout, stderr = (query.get(part, default) in _TRUE for part in ("stdout", "stderr"))
    command = tuple(query.getall("command", [])) if method == "exec" else ()
    if method == "exec" and not any(command):
        raise BadRequest("you must specify at least 1 command")
    if not (stdin or stdout or stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return ProcessRequest(
        namespace=pod["metadata"].get("namespace", ""),
        pod=name,
        pod_uid=uid(pod),
        container=container_of(pod, query.get("container", "")),
        command=command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr and not tty,
        tty=tty,
    )


async def _begun(stream: Stream, node: str) -> None:
    """Raises what the node says instead."""
    try:
        async with asyncio.timeout(BEGIN_SECONDS):
            first = await stream.receive()
    except Invalid as error:
        raise BadRequest(
            str(error)
        ) from error  # kubectl would say that the pod is invalid, and nothing more.
    except TimeoutError as error:
        raise Unavailable(f"node {node} did not answer within {BEGIN_SECONDS:g} s") from error
    if first is None or first.channel != STATUS:
        raise Unavailable(f"node {node} answered oddly")


async def _relay(
    link: Link, stream: Stream, asked: ProcessRequest, request: web.Request, target: Target
) -> None:
    """Until the process ends, the client leaves, or its right to be here does."""
    with suppress(ConnectionError):
        await link.greet(stdout=asked.stdout, stderr=asked.stderr)
        telling = asyncio.create_task(_tell(stream, link))
        feeding = asyncio.create_task(_feed(link, stream, stdin=asked.stdin))
        guarding = asyncio.create_task(until_revoked(request, target))
        tasks = {telling, feeding, guarding, asyncio.create_task(link.keep_alive())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        try:
            if telling in done:
                await link.conclude(telling.result())
            elif guarding in done:
                guarding.result()
        except GitwardError as error:
            await link.conclude(failure_of(error))


async def _tell(stream: Stream, link: Link) -> Json:
    """All output, then how it ended."""
    status = SUCCESS
    while (piece := await stream.receive()) is not None:
        if piece.channel == STATUS:
            status = status_of_exit(json_of(piece).get("exitCode"))
        elif piece.data:
            await link.send(*piece)
    return status


async def _feed(link: Link, stream: Stream, *, stdin: bool) -> None:
    """All input; its return: the client has gone."""
    while (piece := await link.receive()) is not None:
        with suppress(Unavailable):  # The process has ended, which `_tell` hears too.
            if piece.channel != STDIN or (stdin and piece.data):
                await stream.send(*piece)
            elif stdin:
                await stream.finish(STDIN)


def status_of_exit(code: object) -> Json:
    """The last word of a process that ended by itself."""
    if code in (0, None):
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_of(error: GitwardError) -> Json:
    """The last word where something else went wrong."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {error}",
        "reason": "InternalError",
        "details": {"causes": [{"message": str(error)}]},
        "code": 500,
    }
