"""Where the objects of charts and kustomizations are stated: real kubectl and helm, and files that try to mislead."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.keys import Origin
from gitops.kinds.yaml import Document
from gitops.sync.check import check
from gitops.sync.render.origins import of_chart, of_kustomization
from gitops.sync.render.renderer import Rendered
from tests.integration.sync.render_world import CHART, DEPLOYMENT, World
from tests.integration.sync.render_world import world as a_world
from tests.integration.sync.repository import Followed, Repository, config_map, following
from tests.tools.kubectl import renderers


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("origins")) as world:
        yield world


def places(rendered: Rendered) -> dict[str, str]:
    """Name of the object -> where it is stated."""
    assert rendered.problems == ()
    assert rendered.file is not None
    found = rendered.file.places
    return {
        document.value["metadata"]["name"]: str(found[document.index])
        for document in rendered.file.parsed.documents
        if document.index in found
    }


def test_an_object_of_a_kustomization_is_stated_where_its_resource_is(world: World) -> None:
    two = f"{config_map('one')}---\n{config_map('two')}"
    rendered = world.one(
        {
            "base/kustomization.yaml": "resources: [web.yaml, two.yaml]\nnamePrefix: a-\n",
            "base/web.yaml": f"# The web.\n{DEPLOYMENT}",
            "base/two.yaml": two,
            "prod/kustomization.yaml": (
                "resources: [../base]\nnamespace: prod\nnamePrefix: b-\nnameSuffix: -x\n"
                "patches: [{path: patch.yaml}]\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n"
            ),
            "prod/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a-web}\nspec: {replicas: 2}\n",
        }
    )

    found = places(rendered)
    assert {name: place for name, place in found.items() if not name.startswith("b-settings")} == {
        "b-a-web-x": "base/web.yaml:2",
        "b-a-one-x": "base/two.yaml:1",
        "b-a-two-x": "base/two.yaml:8",
    }
    assert len(found) == 3  # The generated one is stated by the kustomization itself.


def test_an_object_of_a_chart_is_stated_by_its_template(world: World) -> None:
    rendered = world.one(
        {
            "web/Chart.yaml": CHART,
            "web/templates/a.yaml": (
                "{{- if true }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
                "---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\n{{- end }}\n"
            ),
            "web/crds/x.yaml": (
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x.io}\n"
            ),
            "web/charts/sub/Chart.yaml": CHART.replace("name: web", "name: sub"),
            "web/charts/sub/templates/c.yaml": "# Source: web/../../etc/passwd\n"
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        }
    )

    found = places(rendered)
    assert {name: found[name] for name in ("a", "b", "x.io")} == {
        "a": "web/templates/a.yaml:3",
        "b": "web/templates/a.yaml:7",
        "x.io": "web/crds/x.yaml:2",
    }
    assert "c" not in found or found["c"].startswith("web/charts/sub/templates/c.yaml:")


def test_errors_and_claims_name_the_source_and_check_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "repo")
    files: dict[str, str | None] = {
        "base/kustomization.yaml": "resources: [web.yaml]\n",
        "base/web.yaml": DEPLOYMENT,
        "prod/kustomization.yaml": "namespace: prod\nresources: [../base]\n",
    }
    repository.commit(files)

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared, followed.lines
        (claim,) = followed.record("Deployment", "web", "prod", "apps")["claims"]
        assert (claim["file"], claim["line"]) == ("base/web.yaml", 1)
        repository.commit({"base/web.yaml": DEPLOYMENT.replace("  selector", "  replicas: many\n  selector")})
        assert not (await followed.look()).declared
        told.extend(followed.lines)

    told: list[str] = []
    following(tmp_path, str(repository.folder), story, render_bin_dir=renderers())

    (line,) = told
    assert line.startswith("base/web.yaml:1: Deployment.apps prod/web: spec.replicas: ")
    assert line.endswith(" (rendered by prod/kustomization.yaml)")
    monkeypatch.chdir(repository.folder)
    report = check([Path()], render_bin_dir=renderers())
    assert list(report.errors) == told


def test_two_resources_of_one_name_are_not_guessed_between() -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    held = {path: [Document(one, 1, 0)] for path in ("a.yaml", "b.yaml")}

    assert of_kustomization([Document(one, 1, 0)], {"kustomization.yaml": {}}, held) == {}


texts = st.text("ab-./#: \n", max_size=30)


@given(
    st.binary(max_size=200), st.dictionaries(texts, st.binary(max_size=50), max_size=3), st.integers(1, 20)
)
def test_only_files_of_the_chart_are_ever_named(output: bytes, inputs: dict[str, bytes], line: int) -> None:
    found = of_chart(b"# Source: a/b\n" + output, [Document({"kind": "A"}, line, 0)], "", inputs)

    assert all(origin.file in inputs for origin in found.values())


@given(texts, texts, st.lists(texts, max_size=4))
def test_prefixes_that_would_take_for_ever_do_not(name: str, rendered: str, parts: list[str]) -> None:
    """Whatever the names are, the answer is a place or none."""
    stated = {"a.yaml": [Document({"kind": "A", "metadata": {"name": name}}, 3, 0)]}
    wanted = [Document({"kind": "A", "metadata": {"name": "a" * 200 + rendered}}, 1, 7)]

    found = of_kustomization(wanted, {"k": {"namePrefix": "a", "nameSuffix": parts}}, stated)

    assert set(found.values()) <= {Origin("a.yaml", 3)}
