"""The systemd units that we ship: a restart of them must be no event for what runs on the node."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Final

import pytest
import typer.main

from gitops.cli.down import STOP_SECONDS
from gitops.cli.main import EXIT_USAGE, app

UNITS: Final = sorted((Path(__file__).parents[2] / "docs" / "systemd").glob("*.service"))


def read(path: Path) -> ConfigParser:
    found = ConfigParser(interpolation=None, strict=True)
    found.optionxform = str  # type: ignore[assignment,method-assign] # Their keys' case counts.
    found.read(path)
    return found


def test_there_is_a_unit_for_each_command_that_runs_for_ever() -> None:
    starts = {path.name: read(path)["Service"]["ExecStart"] for path in UNITS}

    assert starts == {
        "gitward.service": "/usr/local/bin/gitward up",
        "gitward-master.service": "/usr/local/bin/gitward master",
        "gitward-agent.service": "/usr/local/bin/gitward agent",
    }
    assert {"up", "master", "agent"} <= set(getattr(typer.main.get_command(app), "commands", {}))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_stop_ends_the_process_alone_and_leaves_it_its_time(path: Path) -> None:
    service = read(path)["Service"]

    assert service["KillMode"] == "process"
    assert float(service["TimeoutStopSec"]) > STOP_SECONDS
    assert service["Restart"] == "always"
    assert int(service["RestartPreventExitStatus"]) == EXIT_USAGE
    assert path.read_text().startswith(f"# /etc/systemd/system/{path.name}\n")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_knows_every_key_of_a_unit(path: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/usr/local/bin/gitward", "/bin/true"))

    done = subprocess.run(
        ("systemd-analyze", "verify", str(copy)), capture_output=True, text=True, check=False
    )

    assert [line for line in done.stderr.splitlines() if copy.name in line] == []
