"""`/healthz`, `/livez`, `/readyz` and `/metrics`. Source: Kubernetes, "API health endpoints"; Prometheus."""

from time import perf_counter
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gitops.api.context import STORE, TARGET
from gitops.api.hub import HUB
from gitops.api.status import Handler

_LONG: Final = frozenset({"WATCH", "LOG", "CONNECT"})


class Metrics:
    """Kubernetes' own names where it has one, so that existing dashboards work. A registry of their own: no globals."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("verb", "resource")
        self.requests = Counter(
            "apiserver_request", "Answered requests.", (*labels, "code"), registry=self.registry
        )
        self.seconds = Histogram(
            "apiserver_request_duration_seconds",
            "How long requests took, what goes on left out.",
            labels,
            registry=self.registry,
        )
        self.watches = Gauge(
            "apiserver_longrunning_requests",
            "Watches, logs, exec and its like, and agents' connections.",
            labels,
            registry=self.registry,
        )
        self.revision = Gauge(
            "gitward_store_revision", "The newest revision of the store.", registry=self.registry
        )
        self.agents = Gauge("gitward_agents_connected", "Agents that are connected.", registry=self.registry)


METRICS: Final = web.AppKey("metrics", Metrics)


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts every request; the outermost middleware, so that it sees the final code."""
    metrics, verb, start = request.app[METRICS], _verb(request), perf_counter()
    if verb in _LONG:
        gauge = metrics.watches.labels(verb, _resource_of_path(request))
        with gauge.track_inprogress():
            response = await handler(request)
    else:
        response = await handler(request)
        metrics.seconds.labels(verb, _resource(request)).observe(perf_counter() - start)
    metrics.requests.labels(verb, _resource(request), str(response.status)).inc()
    return response


async def health(_: web.Request) -> web.Response:
    """Alive: the loop answers."""
    return web.Response(text="ok")


async def ready(request: web.Request) -> web.Response:
    """Ready: the store takes writes."""
    problem = request.app[STORE].problem
    if problem is not None:
        return web.Response(text=f"[-]store failed: {problem}\nreadyz check failed\n", status=503)
    return web.Response(text="ok")


async def metrics(request: web.Request) -> web.Response:
    """`/metrics`"""
    found = request.app[METRICS]
    found.revision.set(request.app[STORE].view().revision)
    found.agents.set(len(request.app[HUB].connected()))
    return web.Response(
        body=generate_latest(found.registry), headers={"Content-Type": "text/plain; version=0.0.4"}
    )


def _verb(request: web.Request) -> str:
    if request.query.get("watch", "") in ("true", "1"):
        return "WATCH"
    if request.path.endswith("/log"):
        return "LOG"
    if request.path.endswith(("/connect", "/exec", "/attach", "/portforward")):
        return "CONNECT"
    return request.method


def _resource(request: web.Request) -> str:
    target = request.get(TARGET)
    return target.place if target is not None else ""


def _resource_of_path(request: web.Request) -> str:
    """Before the target is known: the last part that names a collection. Bounded by what is served."""
    return (
        "nodes"
        if request.path.endswith("/connect")
        else "pods"
        if request.path.endswith(("/log", "/exec", "/attach", "/portforward"))
        else "watched"
    )
