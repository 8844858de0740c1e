"""A shell in an empty folder, with no environment variable of ours."""

import os
from pathlib import Path

import pytest

from tests.unit.cli.running import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    for name in list(os.environ):
        if name.startswith(("GITWARD_", "SOPS_", "KUBECONFIG", "XDG_STATE_HOME")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Shell(monkeypatch, capsys)
