"""From a commit to the declared set, through a kustomization and a chart; and what `gitward check` says of the same."""

from pathlib import Path

import pytest

from gitops.sync.check import check
from tests.integration.sync.render_world import CHART, DEPLOYMENT, TEMPLATE
from tests.integration.sync.repository import Followed, Repository, config_map, following
from tests.tools.kubectl import renderers

SHOP: dict[str, str | None] = {
    "plain.yaml": config_map("plain"),
    "base/kustomization.yaml": "resources: [web.yaml]\n",
    "base/web.yaml": DEPLOYMENT,
    "prod/kustomization.yaml": "namespace: prod\nresources: [../base]\n",
    "prod/values.yaml": "not: a manifest\n",
    "chart/Chart.yaml": CHART,
    "chart/values.yaml": "colour: blue\n",
    "chart/templates/settings.yaml": TEMPLATE,
}


def test_a_commit_of_manifests_overlays_and_charts_is_declared(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    commit = repository.commit(SHOP)

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared, followed.lines
        assert followed.states() == {"plain": "declared", "web": "declared", "chart": "declared"}
        told = followed.source().get("status", {}).get("renderers", [])
        assert [line.partition(" sha256:")[0] for line in told[:2]] == [
            "helm v4.1.4",
            "kubectl v1.35.2 (kustomize v5.7.1)",
        ]
        (claim,) = followed.record("Deployment", "web", "prod", "apps")["claims"]
        assert (claim["file"], claim["line"], claim["commit"]) == ("base/web.yaml", 1, commit)

        repository.commit({"base/web.yaml": DEPLOYMENT.replace("web:1", "web:2")})
        assert (await followed.look()).declared
        (claim,) = followed.record("Deployment", "web", "prod", "apps")["claims"]
        assert claim["object"]["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"

    following(tmp_path, str(repository.folder), story, render_bin_dir=renderers())


def test_what_lies_outside_of_the_sources_path_may_be_a_base(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(SHOP)

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared, followed.lines
        assert followed.states() == {"web": "declared"}

    following(tmp_path, str(repository.folder), story, render_bin_dir=renderers(), path="prod")


def test_a_render_that_fails_holds_the_commit_back_and_is_repaired(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(SHOP)

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared
        repository.commit({"base/web.yaml": DEPLOYMENT.replace("kind: Deployment\n", "")})
        assert not (await followed.look()).declared
        assert followed.lines[0].startswith("prod/kustomization.yaml:1: kubectl kustomize: ")
        assert followed.states()["web"] == "declared"

        repository.git("revert", "--no-edit", "HEAD")
        assert (await followed.look()).declared

    following(tmp_path, str(repository.folder), story, render_bin_dir=renderers())


def test_an_object_that_is_wrong_is_told_with_its_file_and_name(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(
        {**SHOP, "base/web.yaml": DEPLOYMENT.replace("  selector", "  replicas: many\n  selector")}
    )

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        assert followed.lines[0].startswith("base/web.yaml:1: Deployment.apps prod/web: spec.replicas: ")

    following(tmp_path, str(repository.folder), story, render_bin_dir=renderers())


def test_check_says_what_the_server_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(SHOP)
    monkeypatch.chdir(repository.folder)

    whole = check([Path()], render_bin_dir=renderers())
    overlay = check([Path("prod")], render_bin_dir=renderers())
    (repository.folder / "base" / "kustomization.yaml").write_text("resources: [other.yaml]\n")
    broken = check([Path("prod")], render_bin_dir=renderers())
    monkeypatch.chdir(repository.folder / "prod")
    inside = check([Path("../prod")], render_bin_dir=renderers())

    assert whole.errors == overlay.errors == ()
    missing = "base/kustomization.yaml:1: resources: 'other.yaml': there is no such file or folder"
    assert broken.errors[0] == missing
    assert inside.errors[0] == f"{repository.folder}/{missing}"


def test_check_reads_nothing_above_the_repository(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"k/kustomization.yaml": "resources: [../../outside]\n"})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kustomization.yaml").write_text("resources: []\n")

    (error,) = check([repository.folder / "k"], render_bin_dir=renderers()).errors

    assert (
        error
        == f"{repository.folder}/k/kustomization.yaml:1: resources: '../../outside' leaves the repository"
    )


def test_check_without_the_tools_says_what_is_missing(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(SHOP)

    found = check([repository.folder], render_bin_dir=tmp_path).errors

    assert [line.partition(":1: ")[2] for line in found] == [
        f"helm is needed, and {tmp_path} (--render-bin-dir) has none",
        f"kubectl is needed, and {tmp_path} (--render-bin-dir) has none",
    ]
