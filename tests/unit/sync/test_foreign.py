"""Marks of Argo CD, Flux and Helm in git: each that asks for something is told, with our own word if there is one."""

import pytest

from gitops.kinds.kind import Problem
from gitops.kinds.objects import KubeObject
from gitops.sync.foreign import explained, marks_of_others


def an_object(annotations: dict[str, str], labels: dict[str, str] | None = None) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": labels or {}, "annotations": annotations},
    }


HOOK = "not acted on: hooks are not run, it is applied with all else"
KEPT = "gitward.io/prune: disabled keeps an object"
ANEW = "gitward.io/replace: allowed lets an object be made anew"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("argocd.argoproj.io/hook", "PreSync", [f"PreSync is {HOOK}"]),
        ("helm.sh/resource-policy", "keep", [f"keep is not acted on: {KEPT}"]),
        ("helm.sh/resource-policy", "anything", []),
        ("argocd.argoproj.io/sync-options", "Validate=false, Prune=false", [f"Prune=false is not acted on: {KEPT}"]),
        ("argocd.argoproj.io/sync-options", "ServerSideApply=true", []),
        ("argocd.argoproj.io/sync-options", "Replace=true", [f"Replace=true is not acted on: {ANEW}"]),
        ("kustomize.toolkit.fluxcd.io/prune", "Disabled", [f"disabled is not acted on: {KEPT}"]),
        ("example.com/hook", "PreSync", []),
    ],
)  # fmt: skip
def test_a_mark_is_told_with_its_value(name: str, text: str, told: list[str]) -> None:
    found = list(marks_of_others(an_object({name: text})))

    field = f"metadata.annotations[{name}]"
    assert found == [Problem(field, f"{field}: {one}") for one in told]


def test_a_label_counts_for_flux_and_not_for_helm() -> None:
    labels = {"kustomize.toolkit.fluxcd.io/prune": "disabled", "helm.sh/resource-policy": "keep"}

    (found,) = marks_of_others(an_object({}, labels))

    assert found.field == "metadata.labels[kustomize.toolkit.fluxcd.io/prune]"


def test_a_variable_that_nobody_fills_in_is_told_as_that() -> None:
    problem = Problem("spec.rules[0].host", 'Invalid value: "www.${DOMAIN:=example.com}": a lowercase name')

    assert explained(problem).message == (
        'Invalid value: "www.${DOMAIN:=example.com}": a lowercase name; variables of Flux\'s postBuild are not filled '
        "in: state the value, by a kustomization for instance"
    )


def test_other_mistakes_are_told_as_they_are() -> None:
    problem = Problem("spec.rules[0].host", 'Invalid value: "$HOME": a lowercase name')

    assert explained(problem) is problem
