"""Exit codes, errors, and how quickly the command is there."""

import subprocess
import sys
from pathlib import Path

from tests.unit.cli.running import Shell

HEAVY = (
    "aiohttp",
    "docker",
    "git",
    "flask",
    "cryptography",
    "apscheduler",
    "pyroute2",
    "gitops.store.sqlite",
)


def test_help_needs_nothing_heavy() -> None:
    """Every command pays for what is imported here; with everything it is half a second and 80 MB."""
    program = "import sys, gitops.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [name for name in HEAVY if name in done.stdout.split()] == []


def test_wrong_usage_is_64(shell: Shell) -> None:
    assert shell.run("polish").code == 64
    assert shell.run("status", "--shiny").code == 64
    assert shell.run("secret", "encrypt", "file.yaml").code == 64
    assert shell.run("rollback", "--data-dir", "/nowhere").code == 64


def test_wrong_usage_says_where_to_look(shell: Shell) -> None:
    assert shell.run("status", "--shiny").err == "No such option: --shiny\nSee `gitward --help`.\n"


def test_a_failure_is_1_and_one_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("not: a kubeconfig\n")

    ended = shell.run("status", "--kubeconfig", "kubeconfig")

    assert ended.code == 1
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1


def test_the_kubeconfig_is_printed_as_it_is(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "admin.kubeconfig").write_text("apiVersion: v1\n")

    assert shell.run("kubeconfig", "--data-dir", str(tmp_path)) == (0, "apiVersion: v1\n", "")
