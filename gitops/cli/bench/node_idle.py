"""What a hundred pods at rest cost the agent: CPU of its probes, memory; and an exec probe against `docker exec`."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import docker

from gitops.cli.bench.cluster import Cluster, running_cluster
from gitops.cli.bench.engine import COMMAND, IMAGE
from gitops.cli.bench.node_ours import Ours
from gitops.client import Client
from gitops.kinds.errors import NotFound

PODS: Final = 100
PERIOD_SECONDS: Final = 10
SETTLE_SECONDS: Final = 20.0  # What starting them has left to do is done by then.
MEASURED_SECONDS: Final = 40.0
CPU_GOAL: Final = 0.03  # Of one core.
MEMORY_GOAL_MB: Final = 80
EXEC_PODS: Final = 10
EXEC_SECONDS: Final = 20.0
EXEC_GOAL: Final = 0.7
PORT: Final = 8000
SERVER: Final = "trap 'exit 0' TERM; /bin/busybox httpd -f -p 8000 -h /bin & wait"
ASKS: Final = ("/bin/busybox", "true")
TICKS: Final = os.sysconf("SC_CLK_TCK")


def idle_part(engine: docker.DockerClient) -> None:
    """Half of the pods are asked by http, half by tcp, each every 10 s."""
    with running_cluster() as cluster:
        cpu, memory = asyncio.run(_idle(cluster, engine))
    print(
        f"node: {PODS} pods at rest, http or tcp probes every {PERIOD_SECONDS} s: the agent takes {cpu:.1%} of one core"
        f" (goal < {CPU_GOAL:.0%}); its memory {memory:.0f} MB resident (goal < {MEMORY_GOAL_MB})",
        flush=True,
    )


async def _idle(cluster: Cluster, engine: docker.DockerClient) -> tuple[float, float]:
    actions: tuple[Mapping[str, Any], ...] = (
        {"httpGet": {"port": PORT, "path": "/busybox"}},
        {"tcpSocket": {"port": PORT}},
    )
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        ours = Ours(client, engine)
        for number, action in enumerate(actions):
            probe = {"periodSeconds": PERIOD_SECONDS, **action}
            container = {"command": ["/bin/busybox", "sh", "-c", SERVER], "readinessProbe": probe}
            await ours.pods(PODS // len(actions), container, prefix=f"idle-{number}")
        await asyncio.sleep(SETTLE_SECONDS)
        pid = agent_of(cluster)
        before, begin = _cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(MEASURED_SECONDS)
        spent = (_cpu_seconds(pid) - before) / (time.monotonic() - begin)
        memory = _resident_mb(pid)
        await ours.clear()
    return spent, memory


def exec_part(engine: docker.DockerClient) -> None:
    """CPU time of engine and agent for each exec probe of ours, and for the same program by `docker exec`'s API."""
    with running_cluster() as cluster:
        ours, theirs = asyncio.run(_exec(cluster, engine))
    print(
        f"node: exec probe: {1000 * ours:.1f} ms of CPU; docker exec: {1000 * theirs:.1f} ms;"
        f" ratio {ours / theirs:.2f} (goal <= {EXEC_GOAL})",
        flush=True,
    )


async def _exec(cluster: Cluster, engine: docker.DockerClient) -> tuple[float, float]:
    probe = {"periodSeconds": 1, "exec": {"command": list(ASKS)}}
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        ours = Ours(client, engine)
        await ours.pods(1, prefix="first")
        agent, calls = agent_of(cluster), int(EXEC_PODS * EXEC_SECONDS)
        # The peer first: a shim that ends takes what it has used out of the sum.
        made = engine.containers.run(IMAGE, list(COMMAND), detach=True)
        before = _cpu_of_engine(agent)
        await asyncio.to_thread(lambda: [made.exec_run(list(ASKS)) for _ in range(calls)])
        theirs = _cpu_of_engine(agent) - before
        made.remove(force=True)
        await ours.pods(EXEC_PODS, {"readinessProbe": probe})
        await asyncio.sleep(SETTLE_SECONDS / 4)
        before = _cpu_of_engine(agent)
        await asyncio.sleep(EXEC_SECONDS)
        spent = _cpu_of_engine(agent) - before
        await ours.clear()
        return spent / calls, theirs / calls


def agent_of(cluster: Cluster) -> int:
    """The process of its agent. NotFound if it has none."""
    assert cluster.process is not None
    for pid in _children(cluster.process.pid):
        if b"agent.node" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise NotFound("the cluster has no agent")


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _cpu_of_engine(agent: int) -> float:
    """Of the agent, of dockerd and its containerd, and of the shims, all with the children that have ended.

    Another engine on this host does not count if it is in another network namespace.
    """
    total, ours = _cpu_seconds(agent), Path("/proc/self/ns/net").readlink()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "comm").read_text().strip()
                engine = name in ("dockerd", "containerd") or name.startswith("containerd-shim")
                if engine and (entry / "ns/net").readlink() == ours:
                    total += _cpu_seconds(int(entry.name))
            except OSError:
                continue
    return total


def _cpu_seconds(pid: int) -> float:
    """utime, stime, cutime and cstime of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
