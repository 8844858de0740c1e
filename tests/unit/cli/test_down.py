"""`gitward down` of a simulated cluster: a process and nothing of the host. Real nodes are in `tests/docker`."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from gitops.cli import pidfile
from gitops.cli.down import summed_up
from tests.unit.cli.running import Shell

UP: Final = """
import pathlib, sys, time
from gitops.cli import pidfile
from gitops.cli.down import summed_up
pidfile.write(pathlib.Path(sys.argv[1]))
print(flush=True)
time.sleep(60)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.crt").write_text("a CA")
    return tmp_path


def test_a_running_up_is_stopped_and_said(shell: Shell, data_dir: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", UP, str(data_dir)], stdout=subprocess.PIPE) as up:
        assert up.stdout is not None
        up.stdout.readline()

        ended = shell.run("down", "--data-dir", str(data_dir))

        assert ended == (0, f"stopped `up` (process {up.pid})\nnothing else to remove\n", "")
        assert up.wait() == -15
    assert pidfile.running(data_dir) is None


def test_where_nothing_runs_nothing_is_removed(
    shell: Shell, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    assert shell.run("down", "--data-dir", str(data_dir)) == (0, "nothing else to remove\n", "")


def test_containers_are_summed_up_and_nothing_else_is() -> None:
    lines = [
        "removed container main of pod shop/web-1",
        "removed container main of pod shop/web-2",
        "removed the volumes of pod 1234",
        "removed something else",
    ]

    assert summed_up(lines) == ["removed 2 containers and 1 pod's volumes", "removed something else"]
    assert summed_up([]) == []
