"""A node whose disk runs short, on a real engine: a file system of 64 MiB stands for the node's."""

import asyncio
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.relief import Relief, readings_of
from agent.thresholds import parse
from agent.usage.node_counters import read_disk
from agent.usage.sampler import Snapshot
from gitops.kinds.core.pod import Pod, is_ready, pod_phase, pod_status
from tests.agent_world import a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, status_of

MI = 1 << 20


def a_writer(name: str, mebibytes: int) -> Pod:
    mounts = [{"name": "work", "mountPath": "/scratch"}]
    writes = f"head -c {mebibytes * MI} /dev/zero > /scratch/file; {FOREVER}"
    return a_pod(
        name,
        containers=[container("app", writes, volumeMounts=mounts)],
        volumes=[{"name": "work", "emptyDir": {}}],
    )


async def _no_usage() -> Snapshot | None:
    return None


def test_the_greediest_pod_goes_and_its_neighbour_stays(play: Play) -> None:
    async def scenario(host: Host) -> None:
        disk = host.home / "pods"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
        try:
            async with host.agent() as node:
                host.api.put(a_writer("modest", 4))
                await node.until("uid-modest", is_ready)
                relief = Relief(parse("nodefs.available<50%"), 0, lambda: datetime.now(UTC))
                root = Path((await node.means.runtime.info()).root_dir)
                watching = asyncio.create_task(
                    relief.run(node.pods, readings_of(disk, disk), _no_usage, root)
                )
                host.api.put(a_writer("greedy", 48))
                pod = await node.until("uid-greedy", lambda pod: pod_phase(pod) == "Failed", seconds=60)

                assert relief.conditions() == {"DiskPressure"}
                assert pod_status(pod)["reason"] == "Evicted"
                said = pod_status(pod)["message"]
                assert said.startswith(
                    "The node was low on resource: ephemeral-storage. Threshold quantity: 32Mi, "
                )
                assert ("greedy", "Evicted", said) in host.api.events
                async with asyncio.timeout(60):
                    while relief.conditions():
                        await asyncio.sleep(0.2)
                assert read_disk(disk).available_bytes > 32 * MI
                assert is_ready(host.api.pods["uid-modest"])
                assert pod_phase(host.api.pods["uid-greedy"]) == "Failed"
                watching.cancel()
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    play(scenario)


def test_who_has_most_files_goes_where_inodes_run_short_and_is_given_time_by_a_soft_threshold(
    play: Play,
) -> None:
    def files(name: str, count: int) -> Pod:
        mounts = [{"name": "work", "mountPath": "/scratch"}]
        script = f"for n in $(seq {count}); do : > /scratch/$n; done; {FOREVER}"
        return a_pod(
            name,
            containers=[container("app", script, volumeMounts=mounts)],
            volumes=[{"name": "work", "emptyDir": {}}],
        )

    async def scenario(host: Host) -> None:
        disk = host.home / "pods"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1000", "tmpfs", disk], check=True)
        try:
            async with host.agent() as node:
                host.api.put(files("modest", 50))
                await node.until("uid-modest", is_ready)
                soft = parse("nodefs.inodesFree<50%")[0]._replace(grace_seconds=1)
                relief = Relief((soft,), 0, lambda: datetime.now(UTC), pod_grace_max_seconds=30)
                root = Path((await node.means.runtime.info()).root_dir)
                watching = asyncio.create_task(
                    relief.run(node.pods, readings_of(disk, disk), _no_usage, root)
                )
                host.api.put(files("greedy", 700))
                pod = await node.until("uid-greedy", lambda pod: pod_phase(pod) == "Failed", seconds=60)

                assert pod_status(pod)["message"].startswith(
                    "The node was low on resource: inodes. Threshold quantity: 500, available: "
                )
                pod = await node.until("uid-greedy", lambda pod: "terminated" in status_of(pod)["state"])
                assert status_of(pod)["state"]["terminated"]["exitCode"] == 0
                async with asyncio.timeout(60):
                    while relief.conditions():
                        await asyncio.sleep(0.2)
                assert is_ready(host.api.pods["uid-modest"])
                watching.cancel()
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    play(scenario)


def test_a_container_that_writes_more_than_its_limit_is_evicted(play: Play) -> None:
    async def scenario(host: Host) -> None:
        limits = {"requests": {}, "limits": {"ephemeral-storage": "2Mi"}}
        writes = f"head -c {8 * MI} /dev/zero > /file; {FOREVER}"
        greedy = container("app", writes, resources=limits)
        modest = container("app", f"head -c 4000 /dev/zero > /file; {FOREVER}", resources=limits)
        async with host.agent() as node:
            host.api.put(a_pod("modest", containers=[modest]))
            host.api.put(a_pod("greedy", containers=[greedy]))
            await node.until("uid-modest", is_ready)
            relief = Relief((), 0, lambda: datetime.now(UTC))
            root = Path((await node.means.runtime.info()).root_dir)
            watching = asyncio.create_task(
                relief.run(node.pods, readings_of(host.home, root), _no_usage, root)
            )
            pod = await node.until("uid-greedy", lambda pod: pod_phase(pod) == "Failed", seconds=60)

            assert (
                pod_status(pod)["message"]
                == 'Container app exceeded its local ephemeral storage limit "2Mi". '
            )
            assert is_ready(host.api.pods["uid-modest"])
            watching.cancel()

    play(scenario)


@pytest.mark.parametrize("file", ["/etc/hosts", "/etc/resolv.conf", "/dev/termination-log"])
def test_a_pod_that_floods_the_files_which_every_pod_has_is_evicted(play: Play, file: str) -> None:
    """K12: it states no limit, and nothing else of the disk's accounts holds there."""

    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod("modest", containers=[container("app", f"echo a > {file}; {FOREVER}")]))
            host.api.put(
                a_pod("flood", containers=[container("app", f"yes | head -c {24 * MI} > {file}; {FOREVER}")])
            )
            await node.until("uid-modest", is_ready)
            relief = Relief((), 0, lambda: datetime.now(UTC))
            root = Path((await node.means.runtime.info()).root_dir)
            watching = asyncio.create_task(
                relief.run(node.pods, readings_of(host.home, root), _no_usage, root)
            )
            pod = await node.until("uid-flood", lambda pod: pod_phase(pod) == "Failed", seconds=60)

            assert pod_status(pod)["reason"] == "Evicted"
            assert (
                "termination messages of the pod hold 24 MiB, more than 16 MiB" in pod_status(pod)["message"]
            )
            assert is_ready(host.api.pods["uid-modest"])
            watching.cancel()

    play(scenario)
