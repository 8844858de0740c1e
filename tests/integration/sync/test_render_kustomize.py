"""Kustomizations as kubectl renders them: overlays, components, generators, errors, and what is not rendered again."""

from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.sync.render_world import DEPLOYMENT, Link, World, values, world

SHOP: dict[str, str | bytes] = {
    "base/kustomization.yaml": "resources: [web.yaml]\n",
    "base/web.yaml": DEPLOYMENT,
    "prod/kustomization.yaml": """namespace: prod
namePrefix: big-
resources: [../base]
components: [../tls]
images: [{name: web, newTag: "2"}]
replicas: [{name: web, count: 3}]
patches:
- path: patch.yaml
configMapGenerator:
- name: settings
  files: [colour.txt]
""",
    "prod/patch.yaml": """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {terminationGracePeriodSeconds: 7}}}
""",
    "prod/colour.txt": "blue\n",
    "tls/kustomization.yaml": (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: [{pairs: {tls: \"yes\"}}]\n"
    ),
    "stage/kustomization.yaml": "namespace: stage\nresources: [../base]\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("render")) as made:
        yield made


def test_overlays_are_rendered_and_their_base_is_not_by_itself(shop: World) -> None:
    prod, stage = shop.render(SHOP)

    assert (prod.job.root.file, stage.job.root.file) == (
        "prod/kustomization.yaml",
        "stage/kustomization.yaml",
    )
    settings, web = values(prod)
    assert web["metadata"] == {"name": "big-web", "namespace": "prod", "labels": {"tls": "yes"}}
    assert web["spec"]["replicas"] == 3
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"
    assert web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7
    assert settings["metadata"]["name"].startswith("big-settings-")
    assert settings["data"] == {"colour.txt": "blue\n"}
    assert [obj["metadata"]["namespace"] for obj in values(stage)] == ["stage"]


def test_where_an_object_comes_from_is_the_kustomization(shop: World) -> None:
    _, stage = shop.render(SHOP)

    assert stage.file is not None
    assert stage.file.path == "stage/kustomization.yaml"
    assert [document.line for document in stage.file.parsed.documents] == [1]


def test_a_commit_that_touches_one_app_renders_one_app(tmp_path: Path) -> None:
    with world(tmp_path) as fresh:
        fresh.render(SHOP)
        assert fresh.renderer.runs == 2
        fresh.render(SHOP)
        assert fresh.renderer.runs == 2
        _, stage = fresh.render({**SHOP, "prod/colour.txt": "red\n", "README.md": "hello"})
        assert fresh.renderer.runs == 3
        assert [obj["metadata"]["namespace"] for obj in values(stage)] == ["stage"]
        fresh.render({**SHOP, "base/web.yaml": DEPLOYMENT.replace("web:1", "web:9")})
        assert fresh.renderer.runs == 5
        fresh.render(SHOP)  # A revert.
        assert fresh.renderer.runs == 5


def test_several_sources_may_render_at_once(shop: World) -> None:
    def own(number: int) -> list[str]:
        files = {
            f"a{number}/kustomization.yaml": f"namespace: n{number}\nresources: [w.yaml]\n",
            f"a{number}/w.yaml": DEPLOYMENT,
        }
        return [obj["metadata"]["namespace"] for one in shop.render(files) for obj in values(one)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(own, range(8))) == [[f"n{number}"] for number in range(8)]


def test_a_file_that_a_generator_reads_is_part_of_what_a_render_depends_on(shop: World) -> None:
    red, _ = shop.render({**SHOP, "prod/colour.txt": "red\n"})
    blue, _ = shop.render(SHOP)

    assert values(red)[0]["data"] == {"colour.txt": "red\n"}
    assert values(blue)[0]["data"] == {"colour.txt": "blue\n"}


def test_a_nested_kustomization_is_its_parents(shop: World) -> None:
    rendered = shop.one(
        {
            "kustomization.yaml": "resources: [a]\n",
            "a/kustomization.yaml": "resources: [w.yaml]\n",
            "a/w.yaml": DEPLOYMENT,
        }
    )

    assert len(values(rendered)) == 1


def test_two_that_use_each_other_are_both_told(shop: World) -> None:
    found = shop.render(
        {"a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [../a]\n"}
    )

    assert [one.problems[0].partition(":")[0] for one in found] == [
        "a/kustomization.yaml",
        "b/kustomization.yaml",
    ]
    assert all("cycle" in one.problems[0] for one in found)


ERRORS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "a file that is not there": (
        {"a/kustomization.yaml": "resources: [x.yaml]\n"},
        "a/kustomization.yaml:1: resources: 'x.yaml': there is no such file or folder",
    ),
    "an unknown field": (
        {"a/kustomization.yaml": "resorces: [x.yaml]\n"},
        'a/kustomization.yaml:1: kubectl kustomize: invalid Kustomization: json: unknown field "resorces"',
    ),
    "no YAML": (
        {"a/kustomization.yaml": "resources: [\n"},
        "a/kustomization.yaml:2: while parsing a flow node, did not find expected node content",
    ),
    "two documents": (
        {"a/kustomization.yaml": "resources: []\n---\nresources: []\n"},
        "a/kustomization.yaml:1: found 2 documents, wanted one",
    ),
    "something remote": (
        {"a/kustomization.yaml": "resources: ['https://example.com/x.yaml']\n"},
        "a/kustomization.yaml:1: resources: 'https://example.com/x.yaml' is remote, and nothing is fetched",
    ),
    "something remote in a base": (
        {"a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [github.com/x/y]\n"},
        "b/kustomization.yaml:1: resources: 'github.com/x/y' is remote",
    ),
    "a link to a folder": (
        {"a/kustomization.yaml": "resources: [l]\n", "a/l": Link("../b"), "b/kustomization.yaml": ""},
        "a/l:1: a symbolic link: links are never followed",
    ),
    "a link to a file": (
        {"a/kustomization.yaml": "resources: [l.yaml]\n", "a/l.yaml": Link("/etc/passwd")},
        "a/l.yaml:1: a symbolic link: links are never followed",
    ),
    "too many files": (
        {"a/kustomization.yaml": "resources: []\n", **{f"a/{number}": b"" for number in range(10_000)}},
        "a/kustomization.yaml:1: it reaches 10001 files of 0 MB, at most 10000 of 32 MB are handed to a renderer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_names_its_file(shop: World, case: tuple[dict[str, str | bytes], str]) -> None:
    files, expected = case
    problems = [problem for one in shop.render(files) for problem in one.problems]

    assert problems
    assert problems[0].startswith(expected), problems


def test_what_kustomize_warns_of_is_told(shop: World) -> None:
    files = {
        "a/kustomization.yaml": "bases: [../b]\n",
        "b/kustomization.yaml": "resources: [w.yaml]\n",
        "b/w.yaml": DEPLOYMENT,
    }

    rendered = shop.one(files)

    assert values(rendered)
    assert rendered.warnings[0].startswith("a/kustomization.yaml:1: kubectl: 'bases' is deprecated")


def test_an_error_is_remembered_as_a_result_is(tmp_path: Path) -> None:
    broken = {"a/kustomization.yaml": "configMapGenerator: [{name: a, files: [x]}]\n"}
    with world(tmp_path) as fresh:
        first, second = fresh.one(broken), fresh.one(broken)

        assert first.problems == second.problems != ()
        assert fresh.renderer.runs == 1


def test_a_renderer_that_is_missing_holds_back_what_needs_it_only(tmp_path: Path) -> None:
    only_kubectl = tmp_path / "tools"
    only_kubectl.mkdir()
    with world(tmp_path) as complete:
        (only_kubectl / "kubectl").symlink_to(complete.renderer._binaries.find("kubectl").path)
    with world(tmp_path, only_kubectl) as partial:
        chart, overlay = partial.render(
            {
                "c/Chart.yaml": "name: c\nversion: 1.0.0\n",
                "k/kustomization.yaml": "resources: [w.yaml]\n",
                "k/w.yaml": DEPLOYMENT,
            }
        )

        assert chart.problems == (
            f"c/Chart.yaml:1: helm is needed, and {only_kubectl} (--render-bin-dir) has none",
        )
        assert values(overlay)


def test_what_is_no_renderer_is_told(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kubectl").write_text("#!/bin/sh\ntouch /tmp/x\n")
    (tools / "kubectl").chmod(0o755)
    with world(tmp_path, tools) as broken:
        (problem,) = broken.one({"k/kustomization.yaml": "resources: []\n"}).problems

        assert problem.startswith(f"k/kustomization.yaml:1: {tools}/kubectl does not run in the sandbox: ")


def test_another_renderer_renders_again_and_both_are_told(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    files = {"k/kustomization.yaml": "resources: [w.yaml]\n", "k/w.yaml": DEPLOYMENT}
    with world(tmp_path) as complete:
        content = complete.renderer._binaries.find("kubectl").path.read_bytes()
    (tools / "kubectl").write_bytes(content)
    (tools / "kubectl").chmod(0o755)
    with world(tmp_path, tools) as changing:
        changing.one(files)
        (told, confined) = changing.renderer.told()
        assert told.startswith("kubectl v1.35.2 (kustomize v5.7.1) sha256:924eb50779153f20")
        assert confined.startswith("confined by: ")
        (tools / "kubectl").write_bytes(content + b"\0")

        assert values(changing.one(files))
        assert changing.renderer.runs == 2


def test_a_secret_of_a_generator_has_its_value(shop: World) -> None:
    rendered = shop.one({"k/kustomization.yaml": "secretGenerator: [{name: s, literals: [a=b]}]\n"})

    (secret,) = values(rendered)
    assert b64decode(secret["data"]["a"]) == b"b"
