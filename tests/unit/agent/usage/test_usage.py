"""Counters from the kernel's files of both cgroup versions, and what is told of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.fake import FakeRuntime
from agent.runtime.protocol import ContainerSpec, ContainerState, SandboxSpec
from agent.usage import Sampler
from agent.usage.cgroups import Usage, folders_of, mounts_of, read_usage, table_of
from agent.usage.exposition import cadvisor, resource
from agent.usage.node_counters import Interface, interfaces_of, node_usage
from agent.usage.sampler import Snapshot
from agent.usage.summary import summary

BOTH = """\
33 24 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
34 33 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
37 33 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:5 - cgroup cgroup rw,cpu,cpuacct
38 33 0:33 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
"""
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_folders_of_a_process_under_version_1() -> None:
    mounts = mounts_of(BOTH)

    assert mounts == {
        "": Path("/sys/fs/cgroup/unified"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "memory": Path("/sys/fs/cgroup/memory"),
    }
    assert folders_of("9:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n", mounts) == {
        "": Path("/sys/fs/cgroup/unified"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct/docker/ab"),
        "memory": Path("/sys/fs/cgroup/memory/docker/ab"),
    }


def test_the_counters_of_version_1(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("1500000000\n")
    (tmp_path / "memory.usage_in_bytes").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("cache 1\ntotal_rss 300\ntotal_inactive_file 400\n")

    assert read_usage({"cpuacct": tmp_path, "memory": tmp_path}) == Usage(1_500_000_000, 1000, 600, 300, 0)


def test_the_counters_of_version_2(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 300\nfile 600\ninactive_file 400\n")
    (tmp_path / "pids.current").write_text("7\n")

    assert read_usage({"": tmp_path}) == Usage(1_500_000_000, 1000, 600, 300, 7)


def test_the_machines_counters() -> None:
    stat = "cpu  100 10 20 5000 30 1 2 3 0 0\ncpu0 1 1 1 1\n"
    meminfo = "MemTotal:  1000 kB\nMemFree:  400 kB\nAnonPages:  50 kB\nInactive(file):  100 kB\nHugePages_Total:  0\n"

    assert node_usage(stat, meminfo, ticks_per_second=100) == Usage(
        1_360_000_000, 600 * 1024, 500 * 1024, 50 * 1024
    )


def test_interfaces_without_loopback() -> None:
    text = (
        "Inter-|   Receive  |  Transmit\n face |bytes ...\n"
        "    lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n"
        "  eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"
    )

    assert list(interfaces_of(text)) == [Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8)]


@given(st.text(max_size=300))
def test_whatever_the_kernel_says_is_read_or_passed_over(text: str) -> None:
    table_of(text)
    mounts_of(text)


class Source:
    """A second of CPU more at each reading."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, container_id: str, pid: int) -> Usage | None:
        self.reads += 1
        return Usage(self.reads * 1_000_000_000, 2_000_000, 1_000_000, 500_000, 4)

    def forget(self, but: set[str]) -> None:
        return


def two_samples() -> Snapshot:
    """Of one running container, four seconds apart."""
    now = [START]

    async def scenario() -> Snapshot:
        runtime = FakeRuntime(lambda: now[0])
        await runtime.ensure_sandbox(SandboxSpec("u1", "web", "shop", "web"))
        made = await runtime.ensure_container(ContainerSpec("u1", "web", "shop", "app", 0, 'shop/"web":1'))
        await runtime.start(made)
        states: list[ContainerState] = await runtime.states()
        turns = asyncio.Semaphore(0)

        async def pause(_: float) -> None:
            now[0] += timedelta(seconds=4)
            if now[0] > START + timedelta(seconds=4):
                await turns.acquire()

        sampler = Sampler(
            "n1",
            2,
            Path("/"),
            lambda: states,
            lambda: (),
            lambda: now[0],
            Source(),
            networks=False,
            sleep=pause,
        )
        task = asyncio.create_task(sampler.run())
        found = await sampler.now()
        while found is not None and found.pods[0].containers[0].sample.nano_cores is None:
            await asyncio.sleep(0.01)
            found = await sampler.now()
        task.cancel()
        assert found is not None
        return found

    return asyncio.run(scenario())


def test_two_samples_make_a_rate_which_the_summary_tells() -> None:
    told = summary(two_samples())["pods"]

    assert told == [
        {
            "podRef": {"name": "web", "namespace": "shop", "uid": "u1"},
            "startTime": "2026-01-01T00:00:00Z",
            "containers": [
                {
                    "name": "app",
                    "startTime": "2026-01-01T00:00:00Z",
                    "cpu": {
                        "time": "2026-01-01T00:00:04Z",
                        "usageCoreNanoSeconds": 2_000_000_000,
                        "usageNanoCores": 250_000_000,
                    },
                    "memory": {
                        "time": "2026-01-01T00:00:04Z",
                        "usageBytes": 2_000_000,
                        "workingSetBytes": 1_000_000,
                        "rssBytes": 500_000,
                    },
                }
            ],
            "cpu": {
                "time": "2026-01-01T00:00:04Z",
                "usageCoreNanoSeconds": 2_000_000_000,
                "usageNanoCores": 250_000_000,
            },
            "memory": {
                "time": "2026-01-01T00:00:04Z",
                "usageBytes": 2_000_000,
                "workingSetBytes": 1_000_000,
                "rssBytes": 500_000,
            },
            "process_stats": {"process_count": 4},
        }
    ]


def test_prometheus_reads_cadvisors_names_and_quotes_are_escaped() -> None:
    snapshot = two_samples()

    assert (
        'container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web",'
        'image="shop/\\"web\\":1",name="u1-app-0",cpu="total"} 2.0\n'
    ) in cadvisor(snapshot)
    assert 'container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web"} 2.0\n' in resource(
        snapshot
    )
