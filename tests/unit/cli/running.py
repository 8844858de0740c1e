"""The command line as a shell sees it: arguments in; exit code, stdout and stderr out."""

import sys
from typing import NamedTuple

import pytest

from gitops.cli.main import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in this process; what pytest captured is theirs."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch, self._captured = patch, captured

    def run(self, *arguments: str) -> Ended:
        self._patch.setattr(sys, "argv", ["gitward", *arguments])
        self._captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, *self._captured.readouterr())
