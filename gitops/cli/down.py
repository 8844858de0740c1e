"""`gitward down`: takes this host's node apart again. All is found by its marks, so the data directory may be gone.

Order: whoever would put things back first, then containers (which use the network), then the network and mounts.
"""

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import docker
import docker.errors
import requests
import typer

from agent import teardown
from agent.removal import CONTAINER_LINE, VOLUMES_LINE, down_containers
from agent.runtime.protocol import LABEL_CLUSTER
from agent.settings import RUN_DIR, NodeSettings, read_config
from gitops.cli import pidfile
from gitops.kinds.errors import BadRequest, Conflict, Forbidden, GitwardError, Unavailable
from gitops.kinds.printable import shown

STOP_SECONDS: Final = 40.0  # `up` gives its agent half of that.
LIST_SECONDS: Final = 20
DOCKER_HOST: Final = "unix:///var/run/docker.sock"


def run_down(data_dir: Path) -> None:
    """Print what was stopped and removed; the data stays. Raises Unavailable with what could not be removed."""
    _stop(data_dir, pidfile.UP, "up")
    _stop(data_dir, pidfile.AGENT, "agent")
    host = os.environ.get("DOCKER_HOST") or DOCKER_HOST
    known = clusters_of(data_dir)
    owner = teardown.bridge_owner()
    # Without either there was no node with an engine here: a simulated one leaves nothing on the host.
    had_node = any((data_dir / "agent").glob("*.json")) or owner in known
    if known and not had_node:
        typer.echo("nothing else to remove")
        return
    found = known or ([owner] if owner is not None else [])
    if not found and (labelled := _cluster_by_labels(host)) is not None:
        found = [labelled]
    if not found:
        typer.echo("nothing else to remove")
        return
    if os.geteuid() != 0:
        raise Forbidden(f"the node of cluster {', '.join(found)} is not removed: that needs root, use sudo")
    # The owner of the network last: as long as its bridge is there, `down` is not finished.
    for cluster in sorted(found, key=lambda one: one == owner):
        _remove(cluster, host, data_dir)


def _remove(cluster: str, host: str, data_dir: Path) -> None:
    failure = _remove_containers(cluster, host, data_dir)
    _say(
        teardown.remove(
            cluster=cluster,
            network_state_dir=data_dir / "network",
            run_dir=RUN_DIR / cluster,
            data_dir=data_dir,
        )
    )
    if failure is not None:
        raise Unavailable(f"{failure}; not removed: the containers of cluster {cluster}") from failure
    typer.echo(f"cluster {cluster} left this host; its data stays in {data_dir}")


def _stop(data_dir: Path, name: str, command: str) -> None:
    pid = pidfile.running(data_dir, name)
    if pid is None:
        return
    if not pidfile.terminate(pid, timeout_seconds=STOP_SECONDS):
        raise Unavailable(f"`{command}` (process {pid}) does not end: nothing was removed")
    typer.echo(f"stopped `{command}` (process {pid})")


def clusters_of(data_dir: Path) -> list[str]:
    """Whose this directory is: by what a node was told when it joined, and by the master's CA.

    One as a rule, none where nothing ran yet. Several: a host that was a master's, or joined another cluster before.
    """
    found: list[str] = []
    for path in sorted((data_dir / "agent").glob("*.json")):
        with suppress(BadRequest):
            found.append(read_config(path)[0].cluster)
    try:
        found.append(hashlib.sha256((data_dir / "pki" / "ca.crt").read_bytes()).hexdigest()[:8])
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Forbidden(f"{error.filename}: {error.strerror}") from error
    return list(dict.fromkeys(found))


def _cluster_by_labels(host: str) -> str | None:
    """The cluster whose containers this engine has; Conflict if there are several."""
    try:
        api = docker.APIClient(base_url=host, version="auto", timeout=LIST_SECONDS)
        found = api.containers(all=True, filters={"label": [LABEL_CLUSTER]})
        api.close()
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise Unavailable(
            f"Docker at {host}: {error}; whether it has containers of ours is not known"
        ) from error
    clusters = sorted({str(entry["Labels"][LABEL_CLUSTER]) for entry in found})
    if len(clusters) > 1:
        raise Conflict(f"containers of clusters {', '.join(clusters)} are here: name one by its --data-dir")
    return clusters[0] if clusters else None


def _remove_containers(cluster: str, host: str, data_dir: Path) -> GitwardError | None:
    """Volumes too. What went wrong is returned: the network can go all the same."""
    node = NodeSettings(
        name="", cluster=cluster, data_dir=data_dir, pod_cidr="", service_cidr="", ingress_http="", ingress_https="",
        docker_host=host,
    )  # fmt: skip
    try:
        _say(summed_up(asyncio.run(down_containers(node))))
    except GitwardError as error:
        return error
    return None


def summed_up(lines: list[str]) -> list[str]:
    """One line for all containers and volumes, of which a node has hundreds."""
    words = (CONTAINER_LINE, VOLUMES_LINE)
    containers, volumes = (sum(line.startswith(word) for line in lines) for word in words)
    parts = [f"{count} {noun if count == 1 else more}"
             for count, noun, more in ((containers, "container", "containers"),
                                       (volumes, "pod's volumes", "pods' volumes")) if count]  # fmt: skip
    others = [line for line in lines if not line.startswith(words)]
    return [f"removed {' and '.join(parts)}", *others] if parts else others


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(shown(line))
