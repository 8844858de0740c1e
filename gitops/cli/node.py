"""`gitward node`: nodes as the master has them, in kubectl's words."""

import asyncio
from pathlib import Path
from typing import Any

import typer

from gitops.cli.drain import cordon
from gitops.cli.output import columns, emit
from gitops.client import Client
from gitops.kinds.core.node import NODE, Node, node_condition


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


def run_delete(kubeconfig: Path, name: str) -> None:
    """Raises NotFound."""
    asyncio.run(_delete(kubeconfig, name))
    typer.echo(f'node "{name}" deleted')
    typer.echo("`gitward down` on that host takes its pods off it", err=True)


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
        await cordon(client, name, closed=closed)


async def _delete(kubeconfig: Path, name: str) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.delete(NODE, "", name)
