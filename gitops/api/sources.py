"""`gitsources/<name>/sync`: POST says "look now", GET asks how it stands. Both answer with the source.

POST answers when that look has ended, which may take as long as a fetch does; what it found is in the source's status.
"""

import inspect

from aiohttp import web

from gitops.api.authorize import authorize
from gitops.api.context import STORE, TRIGGER, USER, Target
from gitops.api.represent import encode
from gitops.api.status import not_found


async def sync(request: web.Request, target: Target) -> web.StreamResponse:
    view = request.app[STORE].view()
    asks = request.method == "POST"
    authorize(view, request[USER], "create" if asks else "get", target)
    key = target.kind.key("", target.name)
    source = view.object(key)
    if source is None:
        raise not_found(target)
    if asks:
        told = request.app[TRIGGER](target.name)
        if inspect.isawaitable(told):
            await told
        source = view.object(key) or source
    return web.Response(body=encode(source), content_type="application/json", status=202 if asks else 200)
