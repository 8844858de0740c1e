"""The API server: routes, middlewares, TLS. What each request does is in the module that its handler comes from."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from gitops.admission import Mint
from gitops.admission import Settings as ClusterSettings
from gitops.admission.settings import DEFAULT
from gitops.api import (
    deletes,
    differences,
    discovery,
    health,
    histories,
    joining,
    objects,
    openapi,
    openid,
    past,
    reads,
    reasons,
    reviews,
    usage,
    watches,
    withdrawal,
)
from gitops.api.applying import apply
from gitops.api.bodies import media_of
from gitops.api.context import (
    BODY_MAX_BYTES,
    CLOCK,
    CLUSTER,
    FACTS,
    MINT,
    SETTINGS,
    STATED_AT,
    STORE,
    TARGET,
    TOKEN_KEYS,
    TRIGGER,
    VERSION,
    Clock,
    Settings,
    Target,
    Trigger,
)
from gitops.api.evictions import evict
from gitops.api.hub import HUB, AgentHub
from gitops.api.identity import authenticate
from gitops.api.joining import Doorkeeper
from gitops.api.jwt import TokenKeys
from gitops.api.logs import log
from gitops.api.noise import HTTP_LOG
from gitops.api.pages import PAGES, Pages
from gitops.api.patching import APPLY_PATCH
from gitops.api.portforward import port_forward
from gitops.api.processes import attach, exec_
from gitops.api.scale import scale
from gitops.api.sources import sync
from gitops.api.status import errors_as_status
from gitops.api.targets import target_of
from gitops.api.token_requests import create_token
from gitops.api.visits import VISITS, Visits, follow
from gitops.client.joining import CA_PATH, JOIN_PATH
from gitops.kinds import metrics
from gitops.kinds.commits import CommitFacts, FactsOf, StatedAt, StatedCommit
from gitops.kinds.errors import NotFound
from gitops.kinds.reviews import REVIEWS, TOKEN_REVIEW
from gitops.store.contract import Store

SHUTDOWN_SECONDS: Final = 1.0  # Watches and logs end at once; their clients come again.
_TRUE: Final = ("true", "1")
_METRICS: Final = f"/apis/{metrics.GROUP}/{metrics.VERSION}"
_IN_NAMESPACE: Final = "namespaces/{namespace}/pods"
TargetHandler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]


def make_app(
    store: Store,
    *,
    clock: Clock,
    mint: Mint,
    version: str,
    hub: AgentHub | None = None,
    trigger: Trigger | None = None,
    facts: FactsOf | None = None,
    stated_at: StatedAt | None = None,
    settings: Settings | None = None,
    cluster: ClusterSettings = DEFAULT,
    doorkeeper: Doorkeeper | None = None,
    token_keys: TokenKeys | None = None,
) -> web.Application:
    """The API over a store.

    Args:
        clock: UTC.
        mint: uids and name suffixes for what is created.
        version: the `gitVersion` that `/version` tells, such as `v1.35.0-gitward`.
        hub: the agents' connections; without one no node can be asked for logs.
        trigger: told the name of a source that someone asked to look at.
        facts: what git says of a commit; without it authors and subjects are not told.
        stated_at: what a commit states that was never declared; without it none is found.
        cluster: what admission must know of the cluster as a whole, the same as the runner's.
        doorkeeper: with what new nodes are let in; without it none are.
        token_keys: what service accounts' tokens are signed with; without it they have none.
    """
    app = web.Application(
        middlewares=[health.measured, errors_as_status, authenticate], client_max_size=BODY_MAX_BYTES
    )
    app[STORE], app[CLOCK], app[MINT], app[VERSION] = store, clock, mint, version
    app[SETTINGS], app[CLUSTER] = settings or Settings(), cluster
    app[HUB] = hub or AgentHub()
    app[joining.DOORKEEPER] = doorkeeper
    app[TOKEN_KEYS] = token_keys or TokenKeys(())
    app[TRIGGER], app[FACTS] = trigger or _no_trigger, facts or _no_facts
    app[STATED_AT] = stated_at or _no_commits
    app[PAGES], app[watches.FRAMES], app[health.METRICS] = Pages(), watches.Frames(), health.Metrics()
    app[VISITS], app[withdrawal.ASKING] = Visits(store), withdrawal.Asking()
    app.cleanup_ctx.append(follow)
    _add_routes(app)
    app.on_shutdown.append(_close_hub)
    return app


@asynccontextmanager
async def serve(app: web.Application, listen: tuple[str, int], tls: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve until the block is left; gives the port (the one chosen, where 0 was asked).

    Handlers are cancelled when their client leaves: an idle watch would hold its place for ever.
    """
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        logger=HTTP_LOG,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, listen[0], listen[1], ssl_context=tls, backlog=1024)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _add_routes(app: web.Application) -> None:
    add = app.router.add_route
    for path in ("/healthz", "/livez"):
        add("GET", path, health.health)
    add("GET", "/readyz", health.ready)
    add("GET", "/metrics", health.metrics)
    for path in ("/version", "/version/"):
        add("GET", path, discovery.version)
    add("GET", "/api", discovery.core)
    add("GET", "/apis", discovery.groups)
    add("GET", "/api/{version}", discovery.group_or_version)
    add("GET", "/apis/{group}", discovery.group_or_version)
    add("GET", "/apis/{group}/{version}", discovery.group_or_version)
    add("GET", "/openapi/v3", openapi.index)
    add("GET", "/openapi/v3/{path:.+}", openapi.group_version)
    add("GET", openid.DISCOVERY_PATH, openid.configuration)
    add("GET", openid.KEYS_PATH, openid.keys)
    add("GET", CA_PATH, joining.ca)
    add("POST", JOIN_PATH, joining.join)
    add("POST", "/gitward/v1/nodes/{node}/certificate", joining.renew)
    add("GET", "/gitward/v1/nodes/{node}/connect", _connect)
    add("POST", "/gitward/v1/nodes/{node}/leave", joining.leave)
    add("POST", "/gitward/v1/nodes/{node}/withdrawn", withdrawal.withdrawn)
    add("GET", "/gitward/v1/get", past.get)
    add("GET", "/gitward/v1/why", reasons.why)
    add("GET", "/gitward/v1/diff", differences.diff)
    add("GET", "/gitward/v1/history", histories.history)
    add("GET", "/api/v1/nodes/{name}/proxy/{path:.*}", usage.proxy)
    for path, handler in (
        ("nodes", usage.node_metrics),
        ("pods", usage.pod_metrics),
        (_IN_NAMESPACE, usage.pod_metrics),
    ):
        add("GET", f"{_METRICS}/{path}", handler)
        add("GET", f"{_METRICS}/{path}/{{name}}", handler)
    for kind in REVIEWS:
        place = "namespaces/{namespace}/" if kind.namespaced else ""
        review = openid.token_review if kind is TOKEN_REVIEW else reviews.answering(kind)
        add("POST", f"/apis/{kind.api_version}/{place}{kind.plural}", review)
    add("*", "/api/v1/{rest:.+}", _resources)
    add("*", "/apis/{group}/{version}/{rest:.+}", _resources)


async def _resources(request: web.Request) -> web.StreamResponse:
    """Everything that has a kind."""
    target = target_of(request)
    request[TARGET] = target
    match target.subresource, request.method:
        case ("" | "status", _):
            handler = _handler(request, target)
        case ("sync", "GET" | "POST"):
            handler = sync
        case ("token", "POST"):
            handler = create_token
        case ("eviction", "POST"):
            handler = evict
        case ("log", "GET"):
            handler = log
        case ("exec", "GET" | "POST"):
            handler = exec_
        case ("attach", "GET" | "POST"):
            handler = attach
        case ("portforward", "GET" | "POST"):
            handler = port_forward
        case ("scale", "GET" | "PUT" | "PATCH"):
            handler = scale
        case (part, "GET" | "PUT" | "PATCH") if part in target.kind.parts:
            handler = _handler(request, target)
        case _:
            raise NotFound("the server could not find the requested resource")
    return await handler(request, target)


def _handler(request: web.Request, target: Target) -> TargetHandler:
    """Of an object, its status, or a collection."""
    match request.method, bool(target.name):
        case ("GET", _) if request.query.get("watch", "") in _TRUE:
            return watches.watch
        case ("GET", True):
            return reads.get
        case ("GET", False):
            return reads.list_
        case ("POST", False) if _is_one_place(target):
            return objects.create
        case ("PUT", True):
            return objects.update
        case ("PATCH", True):
            return apply if media_of(request) == APPLY_PATCH else objects.patch
        case ("DELETE", True) if not target.subresource:
            return deletes.delete
        case ("DELETE", False) if "deletecollection" in target.kind.verbs and _is_one_place(target):
            return deletes.delete_collection
    raise web.HTTPMethodNotAllowed(
        request.method, (), text="the server does not allow this method on the requested resource"
    )


def _is_one_place(target: Target) -> bool:
    """Not a collection over all namespaces, into which nothing can be written."""
    return bool(target.namespace) or not target.kind.namespaced


async def _connect(request: web.Request) -> web.StreamResponse:
    return await request.app[HUB].accept(request)


async def _close_hub(app: web.Application) -> None:
    await app[HUB].close()


async def _no_facts(_source: str, _commit: str) -> CommitFacts | None:
    """Nobody keeps repositories here."""
    return None


async def _no_commits(source: str, commit: str) -> StatedCommit:
    """Nobody fetches from repositories here."""
    raise NotFound(f"source {source}: no commit {commit} was declared")


def _no_trigger(_: str) -> None:
    """Nobody follows sources here."""
