"""`gitward agent`: joins once, then runs the node by the identity that lies in the data directory (mode 0600).

A token is looked at only where there is no identity yet, or where the master has forgotten it: so a unit file may go on
naming an old one.
"""

import asyncio
import hashlib
import logging
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.addresses import own_address
from agent.network.settings import BRIDGE
from agent.node import run_process
from agent.settings import NodeSettings, config_path, read_config, write_config
from agent.teardown import bridge_owner
from gitops.cli import pidfile
from gitops.cli.doctor.facts import Role, Wanted
from gitops.cli.doctor.report import refuse_if_unfit
from gitops.cli.node_limits import limits_of
from gitops.cli.settings import AgentSettings
from gitops.cli.usage import WrongUsage
from gitops.client import Client, Credentials, logs
from gitops.client.joining import SERVER_NAME, JoinToken, ca_hash, fetch_ca, join, new_key
from gitops.kinds.core.node import NODE
from gitops.kinds.errors import BadRequest, Conflict, GitwardError, Unauthorized, Unavailable
from gitops.kinds.sensitive import Sensitive

log = logging.getLogger(__name__)

DOCKER_HOST: Final = "unix:///var/run/docker.sock"
PENDING: Final = "joining.key"  # Kept until the certificate is there: the same key may ask again.


def run_agent(told: AgentSettings) -> None:
    """Until SIGTERM. Raises WrongUsage, Unauthorized, Conflict and Unavailable before the node runs."""
    if os.geteuid() != 0:
        raise WrongUsage("a node needs root (network, mounts, iptables): use sudo")
    logs.configure()
    refuse_if_unfit(
        Wanted(Role.AGENT, told.data_dir, ingress_http=told.ingress_http, ingress_https=told.ingress_https)
    )
    told.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if pid := pidfile.running(told.data_dir, pidfile.AGENT):
        raise Conflict(f"an agent (process {pid}) runs on {told.data_dir} already")
    pidfile.write(told.data_dir, pidfile.AGENT)
    try:
        run_process(*_identity(told))
    finally:
        pidfile.remove(told.data_dir, pidfile.AGENT)


def _identity(told: AgentSettings) -> tuple[NodeSettings, Credentials]:
    """What this host joined as, with the flags of this start; joined now if it has not, or is not known any more."""
    known = _known(told)
    if known is not None and not (
        told.join and (_is_elsewhere(told, known[1]) or asyncio.run(_is_forgotten(*known)))
    ):
        node, credentials = known
        credentials = replace(credentials, url=told.master or credentials.url)
        node = replace(
            node,
            node_ip=_node_ip(told, credentials.url),
            overlay=told.overlay,
            static_pods=told.static_pods,
            service_proxy=told.service_proxy,
            spare_sandboxes=told.spare_sandboxes,
            unsafe_sysctls=told.allowed_unsafe_sysctls,
            limits=limits_of(told),
            ingress_http=told.ingress_http,
            ingress_https=told.ingress_https,
            docker_host=os.environ.get("DOCKER_HOST", DOCKER_HOST),
        )
    elif not told.join or not told.master:
        raise WrongUsage(
            f"{told.data_dir} holds no node: --master URL and --join TOKEN are wanted; the token is what "
            "`gitward token create` prints on the master"
        )
    else:
        node, credentials = asyncio.run(_join(told, owner=bridge_owner()))
    write_config(node, credentials)
    (told.data_dir / PENDING).unlink(missing_ok=True)
    return node, credentials


def _known(told: AgentSettings) -> tuple[NodeSettings, Credentials] | None:
    """Only what was joined, not the file of an `up` in the same directory. Raises WrongUsage if there are several."""
    paths = sorted((told.data_dir / "agent").glob("*.json"))
    if told.node_name:
        paths = [path for path in paths if path == config_path(told.data_dir, told.node_name)]
    found = [one for one in map(read_config, paths) if one[1].server_name]
    if len(found) > 1:
        names = ", ".join(node.name for node, _ in found)
        raise WrongUsage(f"{told.data_dir} holds the nodes {names}: choose one by --node-name")
    return found[0] if found else None


def _is_elsewhere(told: AgentSettings, credentials: Credentials) -> bool:
    """Whether the token is of another cluster than the one that was joined: the operator moves this host."""
    with suppress(BadRequest):
        return JoinToken.of(told.join).ca_hash != ca_hash(credentials.ca)
    return False


async def _is_forgotten(node: NodeSettings, credentials: Credentials) -> bool:
    """Whether the master says that this identity is nobody's. A master that is away says nothing."""
    async with Client(credentials, user_agent="gitward-agent") as client:
        try:
            await client.get(NODE, "", node.name)
        except Unauthorized as error:
            log.warning("joining again", extra={"fields": {"node": node.name, "why": str(error)}})
            return True
        except GitwardError:
            return False
    return False


async def _join(told: AgentSettings, *, owner: str | None) -> tuple[NodeSettings, Credentials]:
    token = JoinToken.of(told.join)
    name = told.node_name or socket.gethostname().lower()
    key = _pending_key(told.data_dir / PENDING)
    ca = await fetch_ca(told.master, token.ca_hash)
    cluster = hashlib.sha256(ca).hexdigest()[:8]
    _refuse_if_taken(cluster, owner)
    joined = await join(told.master, ca, token, name, key)
    node = NodeSettings(
        name=name,
        cluster=cluster,
        data_dir=told.data_dir,
        pod_cidr=joined.pod_cidr,
        service_cidr=joined.service_cidr,
        ingress_http=told.ingress_http,
        ingress_https=told.ingress_https,
        docker_host=os.environ.get("DOCKER_HOST", DOCKER_HOST),
        node_ip=_node_ip(told, told.master),
        overlay=told.overlay,
        static_pods=told.static_pods,
        service_proxy=told.service_proxy,
        spare_sandboxes=told.spare_sandboxes,
        unsafe_sysctls=told.allowed_unsafe_sysctls,
        limits=limits_of(told),
    )
    # What it was told as another node, or before it was deleted, is nothing to go by.
    shutil.rmtree(node.memory_dir, ignore_errors=True)
    log.info("joined", extra={"fields": {"node": name, "master": told.master, "cluster": node.cluster}})
    return node, Credentials(told.master, ca, joined.cert, key, server_name=SERVER_NAME)


def _refuse_if_taken(cluster: str, owner: str | None) -> None:
    """Before the token is spent. `owner`: the cluster that has this host's network. Raises Conflict."""
    if owner is not None and owner != cluster:
        raise Conflict(
            f"this host is a node of cluster {owner} (its link {BRIDGE} is there), and the token is of cluster "
            f"{cluster}: one host is a node of one cluster; take it out of the other by `gitward down` (with "
            "--data-dir, if that cluster's is another one), then join"
        )


def _pending_key(path: Path) -> Sensitive:
    """On the disk before it is used: if the answer is lost, the same key may ask again with the same token."""
    with suppress(FileNotFoundError):
        return Sensitive(path.read_bytes())
    key = new_key()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.reveal())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or error}") from error
    return key


def _node_ip(told: AgentSettings, master: str) -> str:
    """Where the master is, the other nodes are: our address on that way, found anew at each start."""
    return told.node_ip or own_address(urlsplit(master).hostname or "")
