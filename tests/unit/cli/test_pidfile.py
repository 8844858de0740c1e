"""Which process runs on a data directory."""

import os
import subprocess
import sys
from pathlib import Path

from gitops.cli import pidfile


def test_a_running_up_is_found_by_its_file(tmp_path: Path) -> None:
    pidfile.write(tmp_path)

    assert pidfile.running(tmp_path) == os.getpid()
    pidfile.remove(tmp_path)
    assert pidfile.running(tmp_path) is None
    pidfile.remove(tmp_path)


def test_a_process_that_got_a_dead_ones_pid_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "up.pid").write_text(f"{os.getpid()} 1\n")

    assert pidfile.running(tmp_path) is None


def test_a_torn_file_names_nobody(tmp_path: Path) -> None:
    for text in ("", "77", "a b\n", "1 2 3\n"):
        (tmp_path / "up.pid").write_text(text)
        assert pidfile.running(tmp_path) is None


def test_terminating_waits_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        assert pidfile.terminate(process.pid, timeout_seconds=10)

        assert process.wait() == -15
    assert pidfile.terminate(process.pid, timeout_seconds=10)


def test_one_that_does_not_end_in_time_is_told() -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        assert not pidfile.terminate(process.pid, timeout_seconds=0.05)
        process.kill()
