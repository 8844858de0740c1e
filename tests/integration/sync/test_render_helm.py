"""Charts as helm renders them: release, namespace, values, subcharts, hooks, custom resources, errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sync.render_world import CHART, TEMPLATE, World, values, world

WEB: dict[str, str | bytes] = {
    "apps/web/Chart.yaml": CHART,
    "apps/web/values.yaml": "colour: blue\n",
    "apps/web/templates/settings.yaml": TEMPLATE,
}


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("render")) as made:
        yield made


def test_a_chart_is_a_release_called_as_its_folder_in_the_namespace_default(charts: World) -> None:
    rendered = charts.one(WEB)

    (settings,) = values(rendered)
    assert settings["metadata"] == {"name": "web", "namespace": "default"}
    assert settings["data"] == {"colour": "blue"}
    assert rendered.file is not None
    assert rendered.file.path == "apps/web/Chart.yaml"


def test_annotations_choose_release_namespace_and_values(charts: World) -> None:
    chart = CHART + (
        "annotations:\n  gitward.io/release: shop-web\n  gitward.io/namespace: shop\n"
        "  gitward.io/values: values-prod.yaml, ../../settings.yaml\n"
    )
    files = {
        **WEB,
        "apps/web/Chart.yaml": chart,
        "apps/web/values-prod.yaml": "colour: red\n",
        "settings.yaml": "x: 1\n",
    }

    (settings,) = values(charts.one(files))

    assert settings["metadata"] == {"name": "shop-web", "namespace": "shop"}
    assert settings["data"] == {"colour": "red"}


def test_later_values_win_and_null_deletes(charts: World) -> None:
    chart = CHART + "annotations: {gitward.io/values: 'a.yaml,b.yaml'}\n"
    template = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {all: {{ toJson .Values.m | quote }}}\n"
    )
    files = {
        "c/Chart.yaml": chart,
        "c/values.yaml": "m: {a: 1, b: 1, c: 1, list: [1, 2]}\n",
        "c/a.yaml": "m: {a: 2, list: [3]}\n",
        "c/b.yaml": "m: {a: 3, b: null}\n",
        "c/templates/x.yaml": template,
    }

    (found,) = values(charts.one(files))

    assert found["data"]["all"] == '{"a":3,"c":1,"list":[3]}'


def test_a_values_file_elsewhere_is_part_of_what_a_render_depends_on(tmp_path: Path) -> None:
    chart = CHART + "annotations: {gitward.io/values: ../../settings.yaml}\n"
    files = {**WEB, "apps/web/Chart.yaml": chart}
    with world(tmp_path) as fresh:
        (blue,) = values(fresh.one({**files, "settings.yaml": "colour: blue\n"}))
        (green,) = values(fresh.one({**files, "settings.yaml": "colour: green\n"}))
        fresh.one({**files, "settings.yaml": "colour: green\n", "other.yaml": "x: 1\n"})

        assert (blue["data"]["colour"], green["data"]["colour"]) == ("blue", "green")
        assert fresh.renderer.runs == 2


def test_vendored_subcharts_are_rendered_and_missing_ones_are_told(charts: World) -> None:
    chart = CHART + "dependencies: [{name: db, version: 1.0.0, repository: https://example.com}]\n"
    alone = {**WEB, "apps/web/Chart.yaml": chart}
    vendored = {
        **alone,
        "apps/web/charts/db/Chart.yaml": CHART.replace("web", "db"),
        "apps/web/charts/db/templates/x.yaml": TEMPLATE.replace("}}\"}", "}}-db\"}", 1),
    }  # fmt: skip

    (problem,) = charts.one(alone).problems
    assert problem.startswith("apps/web/Chart.yaml:1: helm template: ")
    assert "missing in charts/ directory: db" in problem
    assert sorted(obj["metadata"]["name"] for obj in values(charts.one(vendored))) == ["web", "web-db"]


def test_hooks_are_left_out_and_told_and_tests_are_nothing(charts: World) -> None:
    job = """apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-install}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}
"""
    test = "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\nspec: {}\n"
    rendered = charts.one(
        {**WEB, "apps/web/templates/job.yaml": job, "apps/web/templates/tests/t.yaml": test}
    )

    assert [obj["kind"] for obj in values(rendered)] == ["ConfigMap"]
    assert rendered.warnings == (
        "apps/web/Chart.yaml:1: Job migrate is a Helm hook (pre-install): hooks are not acted on yet",
    )


def test_definitions_of_custom_resources_are_included(charts: World) -> None:
    definition = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x.io}\n"
    )

    assert "CustomResourceDefinition" in [
        obj["kind"] for obj in values(charts.one({**WEB, "apps/web/crds/x.yaml": definition}))
    ]


def test_what_a_chart_learns_of_its_cluster(charts: World) -> None:
    template = """apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data:
  version: {{ .Capabilities.KubeVersion.Version }}
  install: "{{ .Release.IsInstall }}"
  lookup: "{{ lookup "v1" "Secret" "kube-system" "x" }}"
"""
    (found,) = values(charts.one({"c/Chart.yaml": CHART, "c/templates/x.yaml": template}))

    assert found["data"] == {"version": "v1.35.0", "install": "true", "lookup": "map[]"}


def test_a_library_is_not_rendered(charts: World) -> None:
    assert charts.render({"lib/Chart.yaml": CHART + "type: library\n"}) == []


def test_random_values_are_told(charts: World) -> None:
    rendered = charts.one({**WEB, "apps/web/templates/s.yaml": "# {{ randAlphaNum 8 }}\n"})

    assert rendered.warnings == (
        "apps/web/templates/s.yaml:1: it asks for random values or the time: they are new with each change of the "
        "chart",
    )


DRAWN = """apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {password: "{{ randAlphaNum 20 }}"}
"""


def test_random_values_are_drawn_once_and_kept_where_nobody_reads_them(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {**WEB, "apps/web/templates/s.yaml": DRAWN}

    def drawn(files: dict[str, str | bytes]) -> str:
        with world(tmp_path) as started:
            rendered = started.one(files)
            found = values(rendered)
            assert rendered.file is not None
            assert "apps/web/templates/s.yaml" in {one.file for one in rendered.file.places.values()}
        return str(next(one for one in found if one["kind"] == "Secret")["stringData"]["password"])

    first = drawn(files)

    assert drawn(files) == first  # After a restart.
    assert drawn({**files, "apps/web/values.yaml": "colour: green\n"}) != first
    assert drawn(files) == first  # A revert.
    on_disk = [one for one in tmp_path.rglob("*") if one.is_file() and not one.is_symlink()]
    assert [one for one in on_disk if first.encode() in one.read_bytes()] == []
    for kept in (tmp_path / "rendered").iterdir():
        assert kept.stat().st_mode & 0o077 == 0
        content = kept.read_bytes()
        kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert drawn(files) != first  # What is not as we wrote it is not believed.


ERRORS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "a template that fails": (
        {**WEB, "apps/web/templates/x.yaml": "{{ fail `no port` }}"},
        "apps/web/Chart.yaml:1: helm template: execution error at (web/templates/x.yaml:1:3): no port",
    ),
    "a template that is none": (
        {**WEB, "apps/web/templates/x.yaml": "{{ if }}"},
        "apps/web/Chart.yaml:1: helm template: parse error at (web/templates/x.yaml:1)",
    ),
    "a template that gives no YAML": (
        {**WEB, "apps/web/templates/x.yaml": "a: [\n"},
        "apps/web/Chart.yaml:1: helm template: YAML parse error on web/templates/x.yaml",
    ),
    "a chart without a version": (
        {"c/Chart.yaml": "apiVersion: v2\nname: c\n"},
        "c/Chart.yaml:1: helm template: ",
    ),
    "values that are not there": (
        {**WEB, "apps/web/Chart.yaml": CHART + "annotations: {gitward.io/values: x.yaml}\n"},
        "apps/web/Chart.yaml:1: there is no file apps/web/x.yaml for values",
    ),
    "an option as a name": (
        {"c/Chart.yaml": CHART + "annotations: {gitward.io/release: --post-renderer=x}\n"},
        "c/Chart.yaml:1: release '--post-renderer=x' is no name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_names_its_chart(charts: World, case: tuple[dict[str, str | bytes], str]) -> None:
    files, expected = case
    (problem, *_) = charts.one(files).problems

    assert problem.startswith(expected)
