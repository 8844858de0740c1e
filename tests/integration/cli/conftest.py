"""A served API that follows a real repository, and a shell beside it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.kinds.gitward import GIT_SOURCE, CommitState, GitSourceStatus
from tests.integration.api.served import Served, serving
from tests.integration.cli.repository import Repository
from tests.unit.cli.running import Ended, Shell


class Cluster:
    """What the command line talks to. `run` is a command with the administrator's kubeconfig."""

    def __init__(self, api: Served, repository: Repository, shell: Shell) -> None:
        self.api, self.repository, self.shell = api, repository, shell
        self.follow("main", repository.url)

    def follow(self, name: str, url: str) -> None:
        meta = {"name": name}
        self.api.create({"apiVersion": GIT_SOURCE.api_version, "kind": "GitSource", "metadata": meta,
                         "spec": {"url": url, "branch": "main"}})  # fmt: skip

    def status(self, status: GitSourceStatus, name: str = "main") -> None:
        """As sync and apply would write it."""
        source = self.api.found(GIT_SOURCE, "", name)
        self.api.update({**source, "status": status}, subresource="status")

    def live(self, commit: str) -> None:
        self.status({"commit": CommitState(fetched=commit, declared=commit, live=commit)})

    def run(self, *arguments: str) -> Ended:
        return self.shell.run(*arguments, "--kubeconfig", str(self.api.config_of()))


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cluster]:
    for name in list(os.environ):
        if name.startswith(("GITWARD_", "KUBECONFIG", "GIT_")):
            monkeypatch.delenv(name)
    for name, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com")):
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)
    repository = Repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path) as api:
        yield Cluster(api, repository, Shell(monkeypatch, capsys))
