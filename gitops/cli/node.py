"""`gitward node`: nodes as the master has them; drains by evictions, as kubectl does."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any, Final

import typer

from gitops.cli.output import columns, emit
from gitops.client import Client
from gitops.kinds.core.node import NODE, Node, node_condition
from gitops.kinds.core.pod import POD, Pod, is_terminal
from gitops.kinds.errors import NotFound, Unavailable
from gitops.kinds.objects import annotations_of, uid

AGAIN_SECONDS: Final = 1.0  # After a budget said no; kubectl waits five.
MIRROR: Final = "kubernetes.io/config.mirror"


def run_list(kubeconfig: Path, output: str) -> None:
    found = [_shown(node) for node in asyncio.run(_nodes(kubeconfig))]
    table = columns(
        ("NAME", "STATUS", "ADDRESS", "PODS FROM"),
        [(one["name"], one["status"], one["address"] or "-", one["podCIDR"] or "-") for one in found],
    )
    emit({"nodes": found}, output, table)


def run_cordon(kubeconfig: Path, name: str, *, closed: bool) -> None:
    """Raises NotFound."""
    asyncio.run(_cordon(kubeconfig, name, closed=closed))
    typer.echo(f"node {name} is {'closed to' if closed else 'open for'} new pods")


def run_drain(kubeconfig: Path, name: str, *, timeout_seconds: float) -> None:
    """Raises Unavailable with the pods that are left."""
    asyncio.run(_drain(kubeconfig, name, timeout_seconds))
    typer.echo(f"node {name} is drained")


def run_delete(kubeconfig: Path, name: str) -> None:
    """Raises NotFound."""
    asyncio.run(_delete(kubeconfig, name))
    typer.echo(f"node {name} is removed; `gitward down` on that host takes its pods off it")


def _shown(node: Node) -> dict[str, Any]:
    ready = node_condition(node, "Ready")
    state = "Ready" if ready is not None and ready["status"] == "True" else "NotReady"
    told = (node.get("status") or {}).get("addresses") or ()
    return {
        "name": node["metadata"].get("name", ""),
        "status": f"{state},closed" if node["spec"].get("unschedulable") else state,
        "address": next((one["address"] for one in told if one["type"] == "InternalIP"), ""),
        "podCIDR": node["spec"].get("podCIDR", ""),
    }


async def _nodes(kubeconfig: Path) -> tuple[Node, ...]:
    async with Client.from_kubeconfig(kubeconfig) as client:
        return (await client.list(NODE)).items


async def _cordon(kubeconfig: Path, name: str, *, closed: bool) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.patch(NODE, "", name, {"spec": {"unschedulable": True if closed else None}})


async def _delete(kubeconfig: Path, name: str) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.delete(NODE, "", name)


async def _drain(kubeconfig: Path, name: str, timeout_seconds: float) -> None:
    end = monotonic() + timeout_seconds
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.patch(NODE, "", name, {"spec": {"unschedulable": True}})
        why: dict[str, str] = {}
        while left := [pod for pod in await _pods_on(client, name) if _goes(pod)]:
            if monotonic() > end:
                lines = ", ".join(f"{_name(pod)}{why.get(uid(pod), '')}" for pod in left)
                raise Unavailable(f"node {name} is closed to new pods, but not drained; it still has {lines}")
            for pod in left:
                why[uid(pod)] = await _evicted(client, pod)
            await asyncio.sleep(AGAIN_SECONDS)


async def _pods_on(client: Client, node: str) -> tuple[Pod, ...]:
    return (await client.list(POD, field_selector=f"spec.nodeName={node}")).items


def _goes(pod: Pod) -> bool:
    """A DaemonSet's pod would come back at once, a mirror of a static pod is its node's own."""
    owners = pod["metadata"].get("ownerReferences") or ()
    is_of_node = MIRROR in annotations_of(pod) or any(one["kind"] == "DaemonSet" for one in owners)
    return not is_of_node and not is_terminal(pod)


async def _evicted(client: Client, pod: Pod) -> str:
    """'' once its eviction is under way, else why not."""
    meta = pod["metadata"]
    if "deletionTimestamp" in meta:
        return ""
    namespace, name = meta.get("namespace", ""), meta.get("name", "")
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": uid(pod)}},
    }
    try:
        await client.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body=body)
    except NotFound:
        return ""
    except Unavailable as error:
        return f" ({error})"
    return ""


def _name(pod: Pod) -> str:
    return f"{pod['metadata'].get('namespace')}/{pod['metadata'].get('name')}"
