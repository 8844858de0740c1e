"""Signals of ours reach a container's own process, or nobody."""

import asyncio
import signal
import subprocess
from pathlib import Path

from agent.runtime import signals

ID = "a" * 64


def end(pid: int, number: signal.Signals, seconds: float = 20) -> bool | None:
    return asyncio.run(signals.end(pid, ID, number, seconds=seconds))


def test_a_process_of_another_cgroup_is_not_told() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            assert end(process.pid, signal.SIGKILL) is None
            assert process.poll() is None
        finally:
            process.kill()


def test_a_process_that_is_not_there_is_not_told() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()

    assert end(process.pid, signal.SIGKILL) is None


def test_the_containers_own_process_is_told_and_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        folder = tmp_path / str(process.pid)
        folder.mkdir()
        (folder / "cgroup").write_text(f"4:pids:/docker/{ID}\n")

        ended = asyncio.run(signals.end(process.pid, ID, signal.SIGTERM, seconds=20, proc=tmp_path))

        assert ended is True
        assert process.wait(timeout=20) == -signal.SIGTERM


def test_one_that_outlives_its_time_is_left_alive(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo; exec sleep 60"], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # It ignores SIGTERM from here on.
            folder = tmp_path / str(process.pid)
            folder.mkdir()
            (folder / "cgroup").write_text(f"0::/system.slice/docker-{ID}.scope\n")

            ended = asyncio.run(signals.end(process.pid, ID, signal.SIGTERM, seconds=0.2, proc=tmp_path))

            assert ended is False
            assert process.poll() is None
        finally:
            process.kill()


def test_only_a_whole_id_names_a_container() -> None:
    assert signals.is_of_container(f"0::/docker/{ID}\n", ID)
    assert not signals.is_of_container(f"0::/docker/{ID}\n", "b" * 64)
    assert not signals.is_of_container(f"0::/docker/{ID}\n", ID[:12])
    assert not signals.is_of_container(f"0::/docker/{ID}\n", "")
