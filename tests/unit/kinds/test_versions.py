"""An autoscaler of autoscaling/v1 is taken as Kubernetes takes it; what cannot be carried over is told."""

from typing import Any, cast

from gitops.kinds import registry
from gitops.kinds.objects import KubeObject
from gitops.kinds.versions import as_served, mistake, problems_of


def an_autoscaler(**spec: object) -> KubeObject:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return cast(
        KubeObject,
        {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": target, "maxReplicas": 10, **spec},
        },
    )


def test_the_cpu_target_becomes_a_metric() -> None:
    found = cast(Any, as_served(an_autoscaler(minReplicas=1, targetCPUUtilizationPercentage=50)))

    assert found["apiVersion"] == "autoscaling/v2"
    assert found["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 10,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
    }


def test_without_a_target_there_is_no_metric_and_the_default_decides() -> None:
    assert "metrics" not in cast(Any, as_served(an_autoscaler()))["spec"]


def test_what_is_served_stays_the_same_object() -> None:
    pod = cast(KubeObject, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})

    assert as_served(pod) is pod
    assert list(problems_of(pod)) == []


def test_fields_of_another_version_and_bad_numbers_are_told() -> None:
    assert [one.message for one in problems_of(an_autoscaler(metrics=[]))] == [
        "spec.metrics: not a field of autoscaling/v1, but of autoscaling/v2"
    ]
    assert [one.message for one in problems_of(an_autoscaler(targetCPUUtilizationPercentage=0))] == [
        "spec.targetCPUUtilizationPercentage: Invalid value: 0: must be greater than 0"
    ]
    assert [one.field for one in problems_of(an_autoscaler(targetCPUUtilizationPercentage="50"))] == [
        "spec.targetCPUUtilizationPercentage"
    ]


def test_metrics_that_lie_in_an_annotation_are_not_dropped_in_silence() -> None:
    scaler = an_autoscaler()
    scaler["metadata"]["annotations"] = {"autoscaling.alpha.kubernetes.io/metrics": "[]"}

    assert [one.message for one in problems_of(scaler)] == [
        "autoscaling.alpha.kubernetes.io/metrics: not read: state its metrics as fields of autoscaling/v2"
    ]


def test_no_kind_that_is_served_is_a_mistake() -> None:
    assert [one for one in registry.ALL if mistake(one.api_version, one.kind) is not None] == []
