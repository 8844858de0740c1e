"""What nodes and pods use: `kubectl top`'s metrics.k8s.io, and the nodes' own pages through `nodes/NAME/proxy/…`.

Each node is asked when somebody asks us; one that does not answer in time is left out, as metrics-server does.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from gitops.api.authorize import authorize
from gitops.api.context import STORE, TARGET, USER, Target
from gitops.api.hub import HUB, AgentHub
from gitops.api.reads import select, selection_of
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import GitwardError, NotFound, Unavailable
from gitops.kinds.kind import Kind
from gitops.kinds.metrics import NODE_METRICS, POD_METRICS
from gitops.kinds.objects import KubeObject, labels_of, uid

log = logging.getLogger(__name__)

NODE_SECONDS: Final = 5.0
ANSWER_MAX_BYTES: Final = 16 << 20
WINDOW: Final = "10s"  # As the agents sample.
SUMMARY: Final = "/stats/summary"
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

Json = Mapping[str, Any]


class _Cpu(BaseModel):
    time: str
    usageNanoCores: int | None = None  # noqa: N815 # Their names are the kubelet's.


class _Memory(BaseModel):
    workingSetBytes: int  # noqa: N815


class Stats(BaseModel):
    """Of a node, or with a name of a container. Here and below: what is read of a summary."""

    cpu: _Cpu
    memory: _Memory
    name: str = ""


class _PodReference(BaseModel):
    uid: str


class _PodStats(BaseModel):
    podRef: _PodReference  # noqa: N815
    cpu: _Cpu
    containers: list[Stats]


class Summary(BaseModel):
    node: Stats
    pods: list[_PodStats]


async def proxy(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/nodes/NAME/proxy/PATH, for the paths that an agent answers."""
    target = Target(NODE, "", request.match_info["name"], "proxy")
    request[TARGET] = target
    view = request.app[STORE].view()
    authorize(view, request[USER], "get", target)
    if view.get(NODE, NODE.key("", target.name)) is None:
        raise NotFound(f'nodes "{target.name}" not found')
    path = "/" + request.match_info.get("path", "")
    body = await fetch(request.app[HUB], target.name, path)
    return web.Response(body=body, headers={"Content-Type": "application/json" if path == SUMMARY else TEXT})


async def node_metrics(request: web.Request) -> web.Response:
    """/apis/metrics.k8s.io/v1beta1/nodes[/NAME]"""
    target = _target(request, NODE_METRICS)
    nodes = _selected(request, target, NODE)
    summaries = await summaries_of(request.app[HUB], (_name(node) for node in nodes))
    items = [
        _metrics(NODE_METRICS, node, found.node.cpu.time, {"usage": usage})
        for node in nodes
        if (found := summaries.get(_name(node))) is not None and (usage := usage_of(found.node)) is not None
    ]
    return _answer(target, items)


async def pod_metrics(request: web.Request) -> web.Response:
    """/apis/metrics.k8s.io/v1beta1[/namespaces/NAMESPACE]/pods[/NAME]"""
    target = _target(request, POD_METRICS)
    pods = {uid(pod): pod for pod in _selected(request, target, POD)}
    nodes = {*map(_node_of, pods.values())} - {""}
    summaries = await summaries_of(request.app[HUB], nodes)
    items = []
    for node, found in summaries.items():
        for told in found.pods:
            pod = pods.get(told.podRef.uid)
            containers = [
                {"name": one.name, "usage": usage}
                for one in told.containers
                if (usage := usage_of(one)) is not None
            ]
            if (
                pod is not None and containers and _node_of(pod) == node
            ):  # A node tells of its own pods alone.
                items.append(_metrics(POD_METRICS, pod, told.cpu.time, {"containers": containers}))
    return _answer(target, items)


async def summaries_of(hub: AgentHub, nodes: Iterable[str]) -> dict[str, Summary]:
    """By node. Those that are not connected, do not answer in time, or answer oddly, are left out."""
    names = sorted(set(nodes))
    found = await asyncio.gather(*(_summary(hub, name) for name in names))
    return {name: one for name, one in zip(names, found, strict=True) if one is not None}


async def _summary(hub: AgentHub, node: str) -> Summary | None:
    try:
        return Summary.model_validate_json(await fetch(hub, node, SUMMARY))
    except (GitwardError, ValidationError) as error:
        log.debug("no usage of a node", extra={"fields": {"node": node, "error": str(error)}})
        return None


async def fetch(hub: AgentHub, node: str, path: str) -> bytes:
    """A page of a node. Raises NotFound for one that it has not, Unavailable if it does not answer."""
    body = bytearray()
    try:
        async with asyncio.timeout(NODE_SECONDS):
            async with aclosing(hub.ask(node, "get", {"path": path})) as chunks:
                async for chunk in _bounded(chunks):
                    body += chunk
    except TimeoutError as error:
        raise Unavailable(f"node {node} did not answer within {NODE_SECONDS:g} s") from error
    return bytes(body)


async def _bounded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    left = ANSWER_MAX_BYTES
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise Unavailable(f"the node's answer is longer than {ANSWER_MAX_BYTES} bytes")
        yield chunk


def usage_of(stats: Stats) -> dict[str, str] | None:
    """As quantities, from a part of a summary that has cpu and memory. None: no rate is known yet."""
    rate, memory = stats.cpu.usageNanoCores, stats.memory.workingSetBytes
    return None if rate is None else {"cpu": f"{rate}n", "memory": f"{memory // 1_024}Ki"}


def _target(request: web.Request, kind: Kind[Any]) -> Target:
    """Raises Forbidden."""
    match = request.match_info
    target = Target(kind, match.get("namespace", ""), match.get("name", ""))
    request[TARGET] = target
    authorize(request.app[STORE].view(), request[USER], "get" if target.name else "list", target)
    return target


def _selected(request: web.Request, target: Target, of: Kind[Any]) -> Sequence[KubeObject]:
    """The nodes or pods that are meant, by name or by selectors on themselves."""
    view = request.app[STORE].view()
    if target.name:
        found = view.object(of.key(target.namespace, target.name))
        if found is None:
            raise NotFound(f'{target.kind.resource} "{target.name}" not found')
        return (found,)
    meant = Target(of, target.namespace)
    return tuple(select(view, meant, selection_of(request, meant)))


def _name(obj: KubeObject) -> str:
    return obj["metadata"].get("name", "")


def _node_of(pod: KubeObject) -> str:
    return cast(Pod, pod)["spec"].get("nodeName", "")


def _metrics(kind: Kind[Any], of: KubeObject, at: str, usage: Json) -> Json:
    meta = {"name": _name(of), "creationTimestamp": at, "labels": labels_of(of)}
    if namespace := of["metadata"].get("namespace"):
        meta["namespace"] = namespace
    head = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
    return {**head, "timestamp": at, "window": WINDOW, **usage}


def _answer(target: Target, items: list[Json]) -> web.Response:
    kind = target.kind
    if target.name:
        if not items:
            raise NotFound(f'{kind.resource} "{target.name}" not found: its node has told nothing of it yet')
        body = items[0]
    else:
        body = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": {}, "items": items}
    return web.Response(body=orjson.dumps(body), content_type="application/json")
