"""`gitward node leave`: this host stops being a node, by its own word: pods, network, Node and identity go.

In this order: it is asked whether the master is there, pods are drained where that is wanted, all that runs here ends,
and only then the Node goes, so that a pod with a name of its own is never made elsewhere while it runs here. Each step
may be repeated.
"""

import asyncio
import os
import shutil
from pathlib import Path

import typer

from agent.settings import NodeSettings, config_path, read_config
from gitops.cli import pidfile
from gitops.cli.down import run_down
from gitops.cli.drain import DrainRules, run_drain
from gitops.cli.usage import WrongUsage
from gitops.client import Client, Credentials
from gitops.kinds.core.node import NODE
from gitops.kinds.errors import Conflict, NotFound, Unauthorized, Unavailable


def run_leave(data_dir: Path, node_name: str, *, kubeconfig: Path | None, drain: DrainRules | None) -> None:
    """`kubeconfig`: whose rights drain. Raises WrongUsage, CannotDrain, Conflict, and Unavailable: then nothing was
    done, or what could not be done is said."""
    if os.geteuid() != 0:
        raise WrongUsage("taking a node apart needs root: use sudo")
    node, credentials = _joined(data_dir, node_name)
    known = asyncio.run(_is_known(node, credentials))
    if drain is not None and known:
        if kubeconfig is None:
            raise WrongUsage(
                "--drain: a node may not evict pods by itself: name an administrator's --kubeconfig, or type "
                f"`gitward node drain {node.name}` on the master first"
            )
        run_drain(kubeconfig, node.name, drain)
    run_down(data_dir)
    if pid := pidfile.running(data_dir, pidfile.AGENT):
        raise Conflict(
            f"an agent (process {pid}) was started again: stop its unit first (systemctl disable --now)"
        )
    if known:
        asyncio.run(_leave(node, credentials))
    _forget(data_dir, node)
    typer.echo(f"node {node.name} left cluster {node.cluster}; it may join again by a new token")


def _joined(data_dir: Path, node_name: str) -> tuple[NodeSettings, Credentials]:
    paths = sorted((data_dir / "agent").glob("*.json"))
    if node_name:
        paths = [path for path in paths if path == config_path(data_dir, node_name)]
    found = [one for one in map(read_config, paths) if one[1].server_name]
    if len(found) > 1:
        names = ", ".join(node.name for node, _ in found)
        raise WrongUsage(f"{data_dir} holds the nodes {names}: choose one by --node-name")
    if not found:
        raise WrongUsage(
            f"{data_dir} holds no node that joined a master; the node of an `up` is taken apart by `gitward down`"
        )
    return found[0]


async def _is_known(node: NodeSettings, credentials: Credentials) -> bool:
    """Whether the master still has it. Raises Unavailable."""
    async with Client(credentials, user_agent="gitward") as client:
        try:
            await client.get(NODE, "", node.name)
        except (NotFound, Unauthorized):
            return False
        except Unavailable as error:
            raise Unavailable(
                f"{error}; nothing was done: `gitward down` takes this host apart without the master, and "
                f"`gitward node delete {node.name}` there removes the node"
            ) from error
    return True


async def _leave(node: NodeSettings, credentials: Credentials) -> None:
    """What the node has open ends with it, and that may be this very request: so it is asked again by another."""
    try:
        async with Client(credentials, user_agent="gitward") as client:
            await client.request("POST", f"/gitward/v1/nodes/{node.name}/leave", body={})
    except Unauthorized:
        return  # Somebody deleted it meanwhile.
    except Unavailable as error:
        async with Client(credentials, user_agent="gitward") as client:
            try:
                await client.get(NODE, "", node.name)
            except (NotFound, Unauthorized):
                return
            except Unavailable:
                pass
        raise Unavailable(
            f"{error}; this host runs nothing any more, and its Node is still there: say it again"
        ) from error


def _forget(data_dir: Path, node: NodeSettings) -> None:
    """The identity and what it was told. What belongs to PersistentVolumes stays, and what the operator put there."""
    config_path(data_dir, node.name).unlink(missing_ok=True)
    for path in (node.memory_dir, node.volumes_dir, node.network_dir):
        shutil.rmtree(path, ignore_errors=True)
