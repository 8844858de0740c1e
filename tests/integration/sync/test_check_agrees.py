"""`gitward check` says of a work tree what the server says of its commit: the same lines, word for word."""

from pathlib import Path

import pytest

from gitops.sync.check import check
from tests.integration.sync.repository import Followed, Repository, config_map, following

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replica: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: api}}
    spec:
      affinity: {}
      containers: [{name: web, image: web:1, ports: [{containerPort: "80"}]}]
"""
REPOSITORIES: dict[str, dict[str, str | None]] = {
    "nothing wrong": {"a.yaml": config_map("a"), "values.yaml": "x: 1\n"},
    "an unknown field, a wrong type and a selector": {"apps/web.yaml": DEPLOYMENT},
    "no YAML": {"a.yaml": "a: [1,\nb: 2\n", "b.yaml": config_map("b")},
    "a template": {"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ x }}}\n"},
    "a number where text is wanted": {"a.yaml": config_map("a", "1.10")},
    "a key twice": {"a.yaml": config_map("a") + "kind: Secret\n"},
    "an object twice": {"a.yaml": config_map("a"), "b/c.yaml": "\n\n" + config_map("a")},
    "no name": {"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"},
    "a kind that nobody serves": {"a.yaml": "apiVersion: x.example/v1\nkind: Thing\nmetadata: {name: a}\n"},
    "a version that is not served": {
        "a.yaml": "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec: {}\n"
    },
    "a secret in clear text": {
        "a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: canary}\n"
    },
    "ignored files": {".gitwardignore": "broken/\n", "broken/x.yaml": "{{", "a.yaml": config_map("a")},
    "a list": {
        "a.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n"
        "  metadata: {name: a}\n  dat: {}\n"
    },
    "JSON": {
        "a.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": 1}}'
    },
}


@pytest.mark.parametrize("files", REPOSITORIES.values(), ids=REPOSITORIES.keys())
def test_check_and_the_server_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None]
) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(files)

    async def story(followed: Followed) -> tuple[tuple[str, ...], tuple[str, ...]]:
        outcome = await followed.look()
        return outcome.problems, tuple(followed.source().get("status", {}).get("warnings", ()))

    problems, warnings = following(tmp_path, str(repository.folder), story)

    monkeypatch.chdir(repository.folder)
    report = check([Path()])
    assert set(report.errors) == set(problems)
    assert set(report.warnings) == set(warnings)
