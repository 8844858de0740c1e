"""Deployments and ReplicaSets: defaults, rules and rows."""

from typing import Any

import pytest

from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from tests.unit.kinds.objects import a_container, a_deployment, problems, row, updates


def test_a_deployment_rolls_by_quarters_and_keeps_ten_revisions() -> None:
    spec = DEPLOYMENT.defaults(a_deployment())["spec"]

    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert "enableServiceLinks" not in spec["template"]["spec"]
    assert DEPLOYMENT.defaults(a_deployment(replicas=0))["spec"]["replicas"] == 0


def with_template(**spec: object) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [a_container()], **spec}}


DEPLOYMENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "good": ({}, []),
    "fewer than none": (
        {"replicas": -1},
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    ),
    "a selector of other labels": (
        {"selector": {"matchLabels": {"app": "api"}}},
        [
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ],
    ),
    "an empty selector": (
        {"selector": {}},
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    ),
    "pods that end": (
        {"template": with_template(restartPolicy="Never")},
        ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ),
    "no room to roll": (
        {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ],
    ),
    "recreating step by step": (
        {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
        [
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ],
    ),
    "ready later than the deadline": (
        {"minReadySeconds": 600},
        ["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
    ),
    "a rule inside the template": (
        {"template": with_template(containers=[])},
        ["spec.template.spec.containers: Required value"],
    ),
}


@pytest.mark.parametrize(("spec", "expected"), DEPLOYMENTS.values(), ids=DEPLOYMENTS.keys())
def test_deployments(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(DEPLOYMENT, a_deployment(**spec)) == expected


def test_a_deployments_selector_stays() -> None:
    assert updates(DEPLOYMENT, a_deployment(), a_deployment(selector={"matchLabels": {"app": "x"}})) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'
    ]


def test_rows_of_workloads() -> None:
    deployment = {
        **a_deployment(replicas=3),
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
    }

    assert row(DEPLOYMENT, deployment) == {
        "Name": "web",
        "Ready": "2/3",
        "Up-to-date": 3,
        "Available": 1,
        "Age": "<unknown>",
        "Containers": "web",
        "Images": "shop/web:1",
        "Selector": "app=web",
    }
    assert row(REPLICA_SET, {**a_deployment(), "kind": "ReplicaSet"})["Desired"] == 1
