"""Parts of a node made from its settings: for the composition root, which would be too long with them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.addresses import LOOPBACK
from agent.contained import Contained
from agent.helpers import spawn_process
from agent.images import Images, disk_of
from agent.network import NetworkSettings
from agent.pods.pulls import Pulls
from agent.proxies import NodeNetworkSettings
from agent.relief import Relief
from agent.runtime.protocol import Runtime
from agent.settings import NodeSettings
from agent.thresholds import SOFT, parse


def network_settings(
    settings: NodeSettings, pod_cidr: str, address: str, container: Contained | None, api_url: str
) -> NodeNetworkSettings:
    """Of the node's network. `container`: the agent's own, if it runs in one. `api_url`: of the master."""
    network = NetworkSettings(
        cluster=settings.cluster,
        node=settings.name,
        pod_cidr=pod_cidr,
        cluster_pod_cidr=settings.pod_cidr,
        service_cidr=settings.service_cidr,
        state_dir=settings.network_dir,
        node_address="" if address == LOOPBACK else address,
        overlay=settings.overlay,
    )
    return NodeNetworkSettings(
        network,
        settings.run_dir,
        settings.ingress_http,
        settings.ingress_https,
        api_url,
        service_proxy=settings.service_proxy,
        spawn=container.spawn if container is not None else spawn_process,
    )


def relief_of(settings: NodeSettings) -> Relief:
    """What helps the node when it runs short. Raises BadRequest for thresholds that are none."""
    limits = settings.limits
    soft = (
        one._replace(grace_seconds=limits.soft_grace_seconds[one.signal])
        for one in parse(limits.eviction_soft, SOFT)
    )
    return Relief(
        (*parse(limits.eviction_hard), *soft),
        limits.pressure_seconds,
        lambda: datetime.now(UTC),
        pod_grace_max_seconds=limits.pod_grace_max_seconds,
    )


def pulls_of(
    settings: NodeSettings,
    runtime: Runtime,
    root_dir: str,
    in_use: Callable[[], frozenset[str]],
    group: asyncio.TaskGroup,
    relief: Relief,
) -> Pulls:
    """The node's pulls; what they bring is collected again. `root_dir`: where the engine keeps images; '': not told."""
    limits = settings.limits
    pulls = Pulls(runtime, config_file=Path(limits.docker_config) if limits.docker_config else None)
    if not settings.simulated:
        images = Images(
            runtime,
            settings.data_dir / "images.json",
            disk_of(Path(root_dir or settings.data_dir), settings.data_dir),
            in_use,
            lambda: datetime.now(UTC),
        )
        pulls.pulled = images.pulled
        relief.collect = images.collect
        group.create_task(images.run(limits.image_gc_high_percent, limits.image_gc_low_percent))
    return pulls
