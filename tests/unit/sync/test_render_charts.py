"""What a Chart.yaml asks for, and which of a chart's objects are kept."""

from typing import Any

import pytest

from gitops.kinds.yaml import Document
from gitops.sync.render.charts import Chart, arguments, chart_of, draws, placed


def annotated(**annotations: str) -> dict[str, Any]:
    return {"name": "web", "annotations": {f"gitward.io/{name}": text for name, text in annotations.items()}}


CHARTS: dict[str, tuple[Any, str, Chart]] = {
    "by its folder": ({"name": "web"}, "apps/shop", Chart("shop", "default")),
    "the repository itself: by its name": ({"name": "web"}, "", Chart("web", "default")),
    "by annotations": (annotated(release="r", namespace="n"), "a", Chart("r", "n")),
    "values beside it and elsewhere": (
        annotated(values="values-prod.yaml, ../shared.yaml"),
        "apps/a",
        Chart("a", "default", ("apps/a/values-prod.yaml", "apps/shared.yaml")),
    ),
    "a library": ({"name": "web", "type": "library"}, "a", Chart("a", "default", is_library=True)),
}


@pytest.mark.parametrize("case", CHARTS.values(), ids=CHARTS.keys())
def test_chart(case: tuple[Any, str, Chart]) -> None:
    value, folder, expected = case

    assert chart_of(value, folder) == expected


WRONG: dict[str, tuple[Any, str, str]] = {
    "a folder that is no name": ({"name": "web"}, "apps/My_App", "release 'My_App' is no name"),
    "an option as a release": (
        annotated(release="--post-renderer=x"),
        "a",
        "release '--post-renderer=x' is no name",
    ),
    "an option as a namespace": (annotated(namespace="-x"), "a", "namespace '-x' is no name"),
    "values outside of the repository": (
        annotated(values="../../x"),
        "a",
        "gitward.io/values: '../../x' leaves",
    ),
    "values by an absolute path": (
        annotated(values="/etc/passwd"),
        "",
        "gitward.io/values: '/etc/passwd' leaves",
    ),
    "no mapping": (["web"], "a", "a Chart.yaml is a mapping"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_chart_is_told(case: tuple[Any, str, str]) -> None:
    value, folder, expected = case

    assert any(problem.startswith(expected) for problem in chart_of(value, folder).problems)


def test_the_command_line_holds_paths_that_are_no_urls() -> None:
    chart = Chart("web", "shop", ("https:/x.yaml",))

    assert arguments(chart, "apps/web") == (
        "helm", "template", "web", "./apps/web", "--namespace", "shop", "--include-crds", "--skip-tests",
        "--kube-version", "v1.35.0", "--values", "./https:/x.yaml",
    )  # fmt: skip


def document(kind: str, index: int, api_version: str = "v1", **meta: Any) -> Document:
    return Document({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", **meta}}, 1, index)


def hook(text: str) -> dict[str, Any]:
    return {"annotations": {"helm.sh/hook": text}}


def test_objects_get_the_namespace_of_the_release_where_they_have_none_and_can_have_one() -> None:
    documents = [
        document("ConfigMap", 0),
        document("ConfigMap", 1, namespace="other"),
        document("Namespace", 2),
        document("Unknown", 3, "example.com/v1"),
        Document(["no object"], 1, 4),
    ]

    kept, told = placed(documents, "shop")

    assert [one.value["metadata"].get("namespace") for one in kept[:4]] == ["shop", "other", None, None]
    assert kept[4].value == ["no object"]
    assert told == []


def test_hooks_are_left_out_and_those_that_helm_would_run_are_told() -> None:
    documents = [
        document("Job", 0, "batch/v1", **hook("pre-install,pre-upgrade")),
        document("Pod", 1, **hook("test")),
        document("Job", 2, "batch/v1", **hook("post-delete")),
        document("CustomResourceDefinition", 3, "apiextensions.k8s.io/v1", **hook("crd-install")),
        document("ConfigMap", 4),
    ]

    kept, told = placed(documents, "shop")

    assert [one.index for one in kept] == [3, 4]
    assert told == ["Job x is a Helm hook (pre-install, pre-upgrade): hooks are not acted on yet"]


@pytest.mark.parametrize(
    "text", ["{{ randAlphaNum 8 }}", "{{- $ca := genCA `x` 1 }}", "{{ now | date `2006` }}", "{{ uuidv4 }}"]
)
def test_templates_that_draw_are_known(text: str) -> None:
    assert draws(f"a: {text}".encode())


def test_ordinary_templates_draw_nothing() -> None:
    assert not draws(b"a: {{ .Values.now }}x\nb: known\nc: {{ .Values.x | quote }} now")
