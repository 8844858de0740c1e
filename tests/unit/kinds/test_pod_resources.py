"""Resources of a pod as a whole."""

from typing import Any

import pytest

from gitops.kinds.core.amounts import requests_of
from gitops.kinds.core.pod import POD, qos_class
from tests.unit.kinds.objects import a_container, a_pod

HALF: Any = {"requests": {"cpu": "500m", "memory": "32Mi"}}

DEFAULTS: dict[str, tuple[Any, list[Any], Any]] = {
    "requests are the limits": (
        {"limits": {"cpu": "1", "memory": "64Mi"}},
        [{}],
        {"cpu": "1", "memory": "64Mi"},
    ),
    "or what containers request together": (
        {"limits": {"cpu": "2"}},
        [HALF, HALF],
        {"cpu": "1", "memory": "64Mi"},
    ),
    "what is stated stays": ({"requests": {"cpu": "1500m"}}, [HALF], {"cpu": "1500m", "memory": "32Mi"}),
    "nothing": ({}, [HALF], None),
}


@pytest.mark.parametrize("case", DEFAULTS.values(), ids=DEFAULTS.keys())
def test_requests_that_are_not_stated(case: tuple[Any, list[Any], Any]) -> None:
    whole, parts, wanted = case
    containers = [a_container(name=f"c{number}", resources=one) for number, one in enumerate(parts)]

    pod = POD.defaults(a_pod(resources=whole, containers=containers))

    assert pod["spec"].get("resources", {}).get("requests") == wanted
    assert POD.defaults(pod) is pod


def test_they_count_instead_of_its_containers() -> None:
    pod = POD.defaults(a_pod(resources={"requests": {"cpu": "2"}}, containers=[a_container(resources=HALF)]))

    assert requests_of(pod) == {"cpu": 2000, "memory": 32 << 20}


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({}, "BestEffort"),
    ],
)
def test_its_class_is_theirs(whole: Any, expected: str) -> None:
    assert qos_class(POD.defaults(a_pod(resources=whole, containers=[a_container(resources={})]))) == expected


BROKEN: dict[str, tuple[Any, Any, str]] = {
    "less than containers request": (
        {"requests": {"cpu": "100m"}},
        HALF,
        'spec.resources.requests[cpu]: Invalid value: "100m": must be greater than or equal to aggregate container '
        "requests of 500m",
    ),
    "a container's limit beyond the pod's": (
        {"limits": {"memory": "64Mi"}},
        {"limits": {"memory": "128Mi"}, "requests": {"memory": "1Mi"}},
        'spec.containers[0].resources.limits[memory]: Invalid value: "128Mi": must be less than or equal to pod limits '
        "of 64Mi",
    ),
    "what no pod has as a whole": (
        {"limits": {"ephemeral-storage": "1Gi"}},
        {},
        'spec.resources.limits[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", '
        '"hugepages", "memory"',
    ),
    "a quantity that is none": (
        {"limits": {"cpu": "x"}},
        {},
        'spec.resources.limits[cpu]: Invalid value: "x": quantities must match the regular expression '
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_what_contradicts_is_told(case: tuple[Any, Any, str]) -> None:
    whole, part, wanted = case
    pod = POD.defaults(a_pod(resources=whole, containers=[a_container(resources=part)]))

    told = [f"{one.field}: {one.message}" for one in POD.check(pod)]

    assert wanted in told
