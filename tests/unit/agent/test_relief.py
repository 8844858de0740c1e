"""A node that runs short, with a fake engine: one pod goes, the others stay, and the node says so until it is over."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.pods.pressure import Candidate, Reading, Taken, first_to_go, message, met
from agent.probes.checks import SimulatedChecks
from agent.relief import Relief, readings_of
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.thresholds import Signal, parse
from agent.usage.sampler import Snapshot
from gitops.kinds.core.pod import is_ready, pod_phase, pod_status
from tests.agent_world import Api, a_pod, running_node

APP = [{"name": "app", "image": "shop:1"}]
START = datetime(2026, 1, 1, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


async def no_usage() -> Snapshot | None:
    return None


class Scenario:
    """Memory is short until the first pod has gone."""

    def __init__(self, api: Api) -> None:
        self.api, self.waited, self.time, self.looks = api, asyncio.Event(), START, 0

    def read(self) -> Mapping[Signal, Reading]:
        self.looks += 1
        short = all(pod_phase(pod) != "Failed" for pod in self.api.pods.values())
        return {Signal.MEMORY: Reading(10 if short else 1 << 30, 4 << 30)}

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0.01)


def test_one_pod_goes_and_pressure_ends_five_minutes_later(tmp_path: Path) -> None:
    async def play() -> None:
        api, told = Api(), list[frozenset[str]]()
        world = Scenario(api)
        async with running_node(FakeRuntime(now), SimulatedChecks(now, READY_AFTER), api) as node:
            for name, priority in (("low", 0), ("high", 5)):
                api.put(a_pod(name, containers=APP, priority=priority))
                await node.until(f"uid-{name}", is_ready)
            relief = Relief(parse("memory.available<100Mi"), 300, lambda: world.time, world.sleep)
            relief.changed = lambda: told.append(relief.conditions())
            watching = asyncio.create_task(relief.run(node.pods, world.read, no_usage, tmp_path))
            pod = await node.until("uid-low", lambda pod: pod_phase(pod) == "Failed")
            async with asyncio.timeout(20):
                while len(told) < 2:
                    await asyncio.sleep(0.01)
            watching.cancel()

            assert pod_status(pod)["reason"] == "Evicted"
            assert told == [frozenset({"MemoryPressure"}), frozenset()]
            assert world.time - START >= timedelta(seconds=300)
            assert is_ready(api.pods["uid-high"])

    asyncio.run(play())


def test_below_a_soft_threshold_a_pod_goes_after_the_grace_and_has_time_to_end(tmp_path: Path) -> None:
    async def play() -> None:
        api = Api()
        world = Scenario(api)
        graces = list[float]()

        class Noting(FakeRuntime):
            async def stop(self, container_id: str, *, grace_seconds: float) -> None:
                graces.append(grace_seconds)
                await super().stop(container_id, grace_seconds=grace_seconds)

        async with running_node(Noting(now), SimulatedChecks(now, READY_AFTER), api) as node:
            api.put(a_pod("low", containers=APP, terminationGracePeriodSeconds=7))
            await node.until("uid-low", is_ready)
            soft = parse("memory.available<100Mi")[0]._replace(grace_seconds=60)
            relief = Relief((soft,), 300, lambda: world.time, world.sleep, pod_grace_max_seconds=20)
            told = list[tuple[float, frozenset[str]]]()
            relief.changed = lambda: told.append(((world.time - START).total_seconds(), relief.conditions()))
            watching = asyncio.create_task(relief.run(node.pods, world.read, no_usage, tmp_path))
            await node.until("uid-low", lambda pod: pod_phase(pod) == "Failed")
            watching.cancel()

            assert told[0] == (0.0, frozenset({"MemoryPressure"}))
            assert world.time - START >= timedelta(seconds=60)
            assert graces == [7]

    asyncio.run(play())


def test_a_node_without_inodes_ends_the_pod_that_has_most_files() -> None:
    some, many = (
        Candidate(a_pod(name, containers=APP), {"": Taken(disk_bytes=size, inodes=count)})
        for name, size, count in (("large", 1 << 30, 5), ("many", 1 << 10, 9_000))
    )
    below = parse("nodefs.inodesFree<5%")

    chosen = first_to_go([some, many], below[0].signal)

    assert chosen is many
    assert met(below, {Signal.NODEFS_INODES: Reading(4, 100)}) == below
    assert message(many, below[0], Reading(4, 100)) == (
        "The node was low on resource: inodes. Threshold quantity: 5, available: 4. "
    )


def test_under_disk_pressure_images_go_first_and_no_pod_if_they_suffice(tmp_path: Path) -> None:
    async def play() -> None:
        api, wanted = Api(), list[int]()

        def read() -> Mapping[Signal, Reading]:
            return {Signal.IMAGEFS: Reading(900 if wanted else 50, 1000)}

        async def collect(size_bytes: int) -> int:
            wanted.append(size_bytes)
            return 850

        async with running_node(FakeRuntime(now), SimulatedChecks(now, READY_AFTER), api) as node:
            api.put(a_pod("web", containers=APP))
            await node.until("uid-web", is_ready)
            relief = Relief(parse("imagefs.available<15%"), 0, now, lambda _: asyncio.sleep(0.01))
            relief.collect = collect
            relief.changed = lambda: seen.append(relief.conditions())
            seen = list[frozenset[str]]()
            watching = asyncio.create_task(relief.run(node.pods, read, no_usage, tmp_path))
            async with asyncio.timeout(20):
                while len(seen) < 2:
                    await asyncio.sleep(0.01)
            watching.cancel()

            assert wanted == [100]
            assert seen == [frozenset({"DiskPressure"}), frozenset()]
            assert is_ready(api.pods["uid-web"])

    asyncio.run(play())


def test_this_host_can_be_read(tmp_path: Path) -> None:
    found = readings_of(tmp_path, tmp_path / "nowhere")()

    inodes = {Signal.NODEFS_INODES} if os.statvfs(tmp_path).f_files else set()
    assert found.keys() == {Signal.MEMORY, Signal.PID, Signal.NODEFS, *inodes}
    assert all(0 < one.available <= one.capacity for one in found.values())
