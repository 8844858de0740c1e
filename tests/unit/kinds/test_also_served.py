"""Autoscalers of autoscaling/v1 and events of events.k8s.io/v1: other words for what is stored, and nothing is lost."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.also_served import ALSO_SERVED, find_resource
from gitops.kinds.errors import Invalid
from gitops.kinds.objects import KubeObject

HPA, EVENT = ALSO_SERVED
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
}
NOW_CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "9m"}},
}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def a_hpa(version: str = "autoscaling/v2", status: Any = None, **spec: object) -> Any:
    return {
        "apiVersion": version,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": TARGET, "maxReplicas": 10, **spec},
        **({"status": status} if status else {}),
    }


def an_event(**fields: object) -> Any:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "web.1", "namespace": "shop"},
        "eventTime": "2026-01-01T12:00:00.000000Z",
        "reportingController": "example.com/ship",
        "reportingInstance": "ship-0",
        "action": "Sail",
        "reason": "Wind",
        "type": "Normal",
        "note": "it blows",
        "regarding": {"kind": "Pod", "name": "web", "namespace": "shop"},
        **fields,
    }


def test_an_autoscaler_is_shown_with_its_cpu_target_and_what_it_measured() -> None:
    stored = a_hpa(metrics=[MEMORY, CPU], behavior={"scaleDown": {}}, minReplicas=2,
                   status={"currentMetrics": [NOW_CPU], "desiredReplicas": 3, "conditions": []})  # fmt: skip

    assert HPA.show(stored) == a_hpa(
        "autoscaling/v1",
        minReplicas=2,
        targetCPUUtilizationPercentage=50,
        status={"desiredReplicas": 3, "currentCPUUtilizationPercentage": 40},
    )


def test_what_v1_has_no_fields_for_stays_when_it_is_written() -> None:
    old = a_hpa(metrics=[MEMORY, CPU], behavior={"scaleDown": {"selectPolicy": "Disabled"}})
    shown: Any = HPA.show(old)
    spec = {**shown["spec"], "targetCPUUtilizationPercentage": 80, "maxReplicas": 20}
    written: Any = {**shown, "spec": spec}

    taken = cast(Any, HPA.take(written, old))

    assert taken["spec"]["maxReplicas"] == 20
    assert taken["spec"]["behavior"] == {"scaleDown": {"selectPolicy": "Disabled"}}
    assert [one["resource"]["target"] for one in taken["spec"]["metrics"]] == [
        {"type": "AverageValue", "averageValue": "1Gi"},
        {"type": "Utilization", "averageUtilization": 80},
    ]


metrics = st.lists(st.sampled_from([MEMORY, CPU]), unique_by=str)
current = st.lists(st.sampled_from([NOW_CPU, {"type": "Pods", "pods": {}}]), unique_by=str)


@given(metrics, st.booleans(), current)
def test_an_autoscaler_that_is_read_and_written_back_is_the_same(
    stated: list[Any], has_behavior: bool, measured: list[Any]
) -> None:
    spec: dict[str, Any] = {"behavior": {"scaleUp": {}}} if has_behavior else {}
    if stated:
        spec["metrics"] = stated
    status = {"currentReplicas": 1, **({"currentMetrics": measured} if measured else {})}
    stored = a_hpa(status=status)
    stored["spec"] |= spec

    assert HPA.take(HPA.show(stored), stored) == stored


def test_an_autoscaler_of_v1_may_not_speak_as_one_of_v2() -> None:
    with pytest.raises(Invalid, match=r"spec\.metrics: not a field of autoscaling/v1, but of autoscaling/v2"):
        HPA.take(a_hpa("autoscaling/v1", metrics=[CPU]), None)


def test_an_event_is_taken_under_the_core_groups_names_and_shown_under_its_own() -> None:
    taken = cast(Any, EVENT.take(an_event(), None))

    assert taken["apiVersion"] == "v1"
    assert (taken["message"], taken["reportingComponent"]) == ("it blows", "example.com/ship")
    assert taken["involvedObject"] == {"kind": "Pod", "name": "web", "namespace": "shop"}
    assert EVENT.show(taken) == an_event()


def test_an_event_of_the_core_group_is_shown_with_what_was_deprecated() -> None:
    core = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "a", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": "web"},
        "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-01T12:00:00Z",
        "count": 3,
    }

    shown = cast(Any, EVENT.show(cast(KubeObject, core)))

    assert shown["deprecatedSource"] == {"component": "kubelet"}
    assert (shown["deprecatedFirstTimestamp"], shown["deprecatedCount"]) == ("2026-01-01T12:00:00Z", 3)
    assert EVENT.take(shown, cast(KubeObject, core)) == core


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"eventTime": None}, "eventTime: Required value"),
        ({"action": ""}, "action: Required value"),
        ({"type": "Odd"}, 'type: Invalid value: "Odd"'),
        ({"reportingController": "a b"}, 'reportingController: Invalid value: "a b"'),
        ({"note": "x" * 1025}, "note: Invalid value"),
        ({"reportingInstance": "x" * 129}, "reportingInstance: Invalid value"),
    ],
)
def test_a_new_event_of_its_own_group_must_be_whole(fields: dict[str, object], told: str) -> None:
    with pytest.raises(Invalid) as refused:
        EVENT.take(an_event(**fields), None)

    assert told in str(refused.value)


def test_they_are_found_by_group_version_and_plural() -> None:
    assert find_resource("autoscaling", "v1", "horizontalpodautoscalers") is HPA
    assert find_resource("events.k8s.io", "v1", "events") is EVENT
    assert find_resource("autoscaling", "v2", "horizontalpodautoscalers") is None
