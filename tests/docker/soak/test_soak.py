"""Many pods made and deleted on one engine, in batches: nothing grows, whatever the number.

60 pods by default; `make soak` takes 1,000 (GITWARD_SOAK_PODS).
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import docker
import pytest

from gitops.cli.bench.cluster import Cluster, running_cluster
from gitops.client import Client
from gitops.kinds.apps import DEPLOYMENT, Deployment
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE, Service
from gitops.kinds.errors import NotFound
from tests.docker.engine import IMAGE, lacks, load_busybox
from tests.docker.snapshot import snapshot

PODS: Final = int(os.environ.get("GITWARD_SOAK_PODS", "60"))
BATCH_PODS: Final = 20
WAIT_SECONDS: Final = 180.0
# The first batches fill caches and pools of threads; from then on a batch may leave nothing behind.
WARM_BATCHES: Final = 1
AGENT_GROWTH_BYTES_MAX: Final = 16 << 20
DESCRIPTORS_GROWTH_MAX: Final = 6  # A connection or two more or less at the moment of counting.


class Usage(NamedTuple):
    memory_bytes: int
    descriptors: int
    host: Mapping[str, frozenset[str]]
    containers: int


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if missing := lacks():
        pytest.skip(missing)
    load_busybox(os.environ["DOCKER_HOST"])
    with running_cluster() as running:
        yield running


def web(batch: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Deployment of a batch with everything a pod leaves traces of: volumes, a tmpfs, a Service, a probe."""
    labels = {"app": f"batch-{batch}"}
    app = {
        "name": "app",
        "image": IMAGE,
        "command": ["sh", "-c", "trap 'exit 0' TERM; httpd -p 8080; while :; do sleep 0.2; done"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"}],
    }
    volumes = [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}]
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [app], "volumes": volumes, "terminationGracePeriodSeconds": 5},
    }
    meta = {"name": f"batch-{batch}", "namespace": "default"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"replicas": BATCH_PODS, "selector": {"matchLabels": labels}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    return deployment, service


def agent_pid(cluster: Cluster) -> int:
    assert cluster.process is not None
    up = cluster.process.pid
    for child in Path(f"/proc/{up}/task/{up}/children").read_text().split():
        if "agent.node" in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
            return int(child)
    raise AssertionError("no agent runs")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def usage(cluster: Cluster) -> Usage:
    pid = agent_pid(cluster)
    with_engine = docker.from_env()
    containers = len(with_engine.api.containers(all=True))
    with_engine.close()
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Usage(resident_bytes(pid), descriptors, snapshot(), containers)


async def eventually(holds: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():
            await asyncio.sleep(0.3)


async def run_batch(cluster: Cluster, batch: int) -> None:
    deployment, service = web(batch)
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        await client.create(SERVICE, cast(Service, service))
        await client.create(DEPLOYMENT, cast(Deployment, deployment))

        async def ready() -> bool:
            found = await client.get(DEPLOYMENT, "default", f"batch-{batch}")
            return (found.get("status") or {}).get("readyReplicas", 0) == BATCH_PODS

        async def gone() -> bool:
            try:
                await client.get(SERVICE, "default", f"batch-{batch}")
            except NotFound:
                return not (await client.list(POD, "default", label_selector=f"app=batch-{batch}")).items
            return False

        await eventually(ready, "the batch is ready")
        await client.delete(DEPLOYMENT, "default", f"batch-{batch}")
        await client.delete(SERVICE, "default", f"batch-{batch}")
        await eventually(gone, "the batch is gone")


def settled(cluster: Cluster, before: Usage | None = None) -> Usage:
    """Once the engine has ended what is ending, and the agent has closed the connections to it that rest."""
    descriptors_max = before.descriptors + DESCRIPTORS_GROWTH_MAX if before else sys.maxsize
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = usage(cluster)
        if not found.containers and found.descriptors <= descriptors_max:
            break
        time.sleep(0.5)
    return found


@pytest.mark.timeout(7200)
def test_pods_that_come_and_go_leave_nothing(cluster: Cluster) -> None:
    batches = max(PODS // BATCH_PODS, WARM_BATCHES + 1)
    before: Usage | None = None
    for batch in range(batches):
        asyncio.run(run_batch(cluster, batch))
        print(
            f"{(batch + 1) * BATCH_PODS} pods: agent {resident_bytes(agent_pid(cluster)) >> 20} MiB",
            flush=True,
        )
        if batch + 1 == WARM_BATCHES:
            before = settled(cluster)
    assert before is not None
    after = settled(cluster, before)

    print(
        f"{batches * BATCH_PODS} pods: agent {before.memory_bytes >> 20} -> {after.memory_bytes >> 20} MiB, "
        f"descriptors {before.descriptors} -> {after.descriptors}, mounts {len(after.host['mounts'])}, "
        f"rules {len(after.host['rules'])}"
    )
    assert after.containers == before.containers == 0
    assert after.host == before.host  # Links, addresses, routes, rules, mounts, sysctls.
    assert after.memory_bytes - before.memory_bytes < AGENT_GROWTH_BYTES_MAX
    assert after.descriptors - before.descriptors <= DESCRIPTORS_GROWTH_MAX
    assert list((cluster.data_dir / "pods").iterdir()) == []
