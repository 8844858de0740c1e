"""Who may open a stream to a pod, and that whoever loses this right loses the stream.

Source: Kubernetes, "Authorization overview": a WebSocket is a GET, and needs the right to `create` too (since 1.35).
"""

import asyncio
from typing import Final, NoReturn

from aiohttp import web

from gitops.api.authorize import authorize
from gitops.api.context import STORE, USER, Target

RECHECK_SECONDS: Final = 2.0


def authorize_stream(request: web.Request, target: Target) -> None:
    """Raises Forbidden."""
    view = request.app[STORE].view()
    for verb in ("get", "create") if request.method == "GET" else ("create",):
        authorize(view, request[USER], verb, target)


async def until_revoked(request: web.Request, target: Target) -> NoReturn:
    """Raises Forbidden once the right is gone: a stream may last for days."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        authorize_stream(request, target)
