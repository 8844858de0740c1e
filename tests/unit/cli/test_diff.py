"""Names of commits that `gitward diff` takes, beside ids."""

import subprocess
from pathlib import Path

import pytest

from gitops.cli.diff import commit_named


def test_in_a_clone_any_name_of_gits_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *author, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message", "one")
    git("commit", "--quiet", "--allow-empty", "--message", "two")
    monkeypatch.chdir(tmp_path)

    assert commit_named("HEAD~1") == git("rev-parse", "HEAD~1")
    assert commit_named("main") == git("rev-parse", "HEAD")
    assert commit_named("3f2c1ab") == "3f2c1ab"  # An id is the master's to find.
    assert commit_named("--help") == "--help"
    assert commit_named("") == ""


def test_elsewhere_a_name_is_left_for_the_master_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert commit_named("HEAD~1") == "HEAD~1"
