"""Which folders are rendered, and what a kustomization reaches."""

from typing import Any

import pytest

from gitops.sync.render.roots import Root, astray, reach, renders, within

ROOTS: dict[str, tuple[list[str], list[str]]] = {
    "a kustomization by each of its names": (
        ["a/kustomization.yaml", "b/kustomization.yml", "c/Kustomization"],
        ["kubectl a", "kubectl b", "kubectl c"],
    ),
    "a chart": (["a/Chart.yaml", "a/templates/x.yaml"], ["helm a"]),
    "the repository itself": (["kustomization.yaml", "a/x.yaml"], ["kubectl "]),
    "what lies within a root is its own business": (
        ["a/kustomization.yaml", "a/b/kustomization.yaml", "a/chart/Chart.yaml"],
        ["kubectl a"],
    ),
    "charts within charts": (["a/Chart.yaml", "a/charts/b/Chart.yaml"], ["helm a"]),
    "a chart goes before a kustomization": (["a/kustomization.yaml", "a/Chart.yaml"], ["helm a"]),
    "neighbours": (["a/Chart.yaml", "ab/Chart.yaml", "a.b/Chart.yaml"], ["helm a", "helm a.b", "helm ab"]),
    "other files": (["a/x.yaml", "Chart.yml", "a/chart.yaml"], []),
}


@pytest.mark.parametrize("case", ROOTS.values(), ids=ROOTS.keys())
def test_roots(case: tuple[list[str], list[str]]) -> None:
    paths, expected = case

    assert [f"{root.tool} {root.folder}" for root in renders(paths)] == expected


def test_a_root_stands_by_its_file() -> None:
    assert renders(["a/kustomization.yml"]) == (Root("a", "a/kustomization.yml", "kubectl"),)


def test_what_lies_within_a_folder() -> None:
    assert within("a/b/c.yaml", {"a"})
    assert within("a.yaml", {""})
    assert not within("ab/c.yaml", {"a"})


REACHED: dict[str, tuple[Any, list[str]]] = {
    "files and folders beside it": ({"resources": ["x.yaml", "../b", "./c/"]}, ["o/p/x.yaml", "o/b", "o/p/c"]),
    "in whatever field": ({"patches": [{"path": "p.yaml"}], "openapi": {"path": "../o"}}, ["o/p/p.yaml", "o/o"]),
    "a generator's key": ({"configMapGenerator": [{"files": ["k=../c/x"]}]}, ["o/p/k=../c/x", "o/c/x"]),
    "the repository's root": ({"bases": ["../.."]}, [""]),
    "nothing above it": ({"resources": ["../../../x", "/etc/passwd"]}, []),
    "no numbers, no texts of several lines": ({"a": 1, "b": None, "c": "x\ny"}, []),
}  # fmt: skip


@pytest.mark.parametrize("case", REACHED.values(), ids=REACHED.keys())
def test_reach(case: tuple[Any, list[str]]) -> None:
    kustomization, expected = case
    found = reach(kustomization, "o/p", lambda path: False)

    assert [path for path in expected if path not in found.paths] == []
    assert found.refused == ()
    if not expected:
        assert found.paths == ()


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/base",
        "github.com/org/repo",
        "github.com/org/repo//deploy?ref=v1",
        "git@example.com:org/repo",
        "git::ssh://example.com/x",
        "oci://example.com/x",
    ],
)
def test_what_is_remote_is_refused_with_what_to_do(text: str) -> None:
    (refused,) = reach({"resources": [text]}, "a", lambda path: False).refused

    assert refused == (
        f"resources: {text!r} is remote, and nothing is fetched while rendering: commit a copy, or follow it as a "
        "source of its own"
    )


def test_a_folder_that_is_called_like_a_host_is_local_if_it_is_there() -> None:
    assert reach({"resources": ["my.app/web"]}, "", lambda path: path == "my.app/web").refused == ()


def test_a_url_elsewhere_is_only_a_text() -> None:
    assert (
        reach({"commonAnnotations": {"see": "https://example.com/x"}}, "", lambda path: False).refused == ()
    )


def test_charts_in_a_kustomization_are_refused() -> None:
    (refused,) = reach({"helmCharts": [{"name": "x"}]}, "", lambda path: False).refused

    assert refused.startswith("helmCharts: charts in a kustomization are not rendered")


def test_no_mapping_and_no_depth_does_harm() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]

    assert reach(["a"], "", lambda path: False).refused == ("a kustomization is a mapping",)
    assert reach({"a": deep}, "", lambda path: False).paths == ()


FILES = {"base/a.yaml", "base/kustomization.yaml", "prod/kustomization.yaml", "prod/web.yaml"}


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ("web.yaml", ""),
        ("./web.yaml", ""),
        ("../base", ""),
        ("https://example.com/x.yaml", ""),
        ("apiVersion: v1\nkind: ConfigMap", ""),
        ("wep.yaml", "resources: 'wep.yaml': there is no such file or folder"),
        (
            "../base/a.yaml",
            "resources: '../base/a.yaml' is a file outside of this folder, and kustomize takes only whole folders from "
            "elsewhere: name its folder, and give that a kustomization.yaml",
        ),
        ("../../other", "resources: '../../other' leaves the repository"),
    ],
)
def test_what_kustomize_would_not_find_is_told_in_plain_words(resource: str, told: str) -> None:
    def is_folder(path: str) -> bool:
        return any(file.startswith(f"{path}/") for file in FILES)

    found = list(astray({"resources": [resource]}, "prod", FILES.__contains__, is_folder))

    assert found == ([told] if told else [])


def test_no_mapping_has_nothing_astray() -> None:
    assert list(astray(["a"], "", lambda path: False, lambda path: False)) == []
