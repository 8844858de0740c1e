"""PodDisruptionBudget: its rules, in Kubernetes' words."""

from typing import Any, cast

import pytest

from gitops.kinds.policy import PodDisruptionBudget, budget_status, check_budget

PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
    "used for validation is '[0-9]+%')"
)
SPEC: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "nothing stated": ({}, []),
    "a number": ({"minAvailable": 2}, []),
    "a percentage": ({"maxUnavailable": "100%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}, []),
    "both": (
        {"minAvailable": 1, "maxUnavailable": 1},
        [
            (
                "spec",
                'Invalid value: {"minAvailable":1,"maxUnavailable":1}: '
                "minAvailable and maxUnavailable cannot be both set",
            )
        ],
    ),
    "negative": (
        {"minAvailable": -1},
        [("spec.minAvailable", "Invalid value: -1: must be greater than or equal to 0")],
    ),
    "no percentage": (
        {"maxUnavailable": "few"},
        [("spec.maxUnavailable", f'Invalid value: "few": {PERCENT}')],
    ),
    "more than all": (
        {"minAvailable": "101%"},
        [("spec.minAvailable", 'Invalid value: "101%": must not be greater than 100%')],
    ),
    "an unknown policy": (
        {"unhealthyPodEvictionPolicy": "Never"},
        [
            (
                "spec.unhealthyPodEvictionPolicy",
                'Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
            )
        ],
    ),
}


def a_budget(spec: Any) -> PodDisruptionBudget:
    return cast(
        PodDisruptionBudget,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec},
    )


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_the_rules_of_a_budget(case: tuple[Any, list[tuple[str, str]]]) -> None:
    spec, problems = case

    assert [tuple(one)[:2] for one in check_budget(a_budget(spec))] == problems


def test_before_its_status_is_known_a_budget_allows_nothing() -> None:
    assert budget_status(a_budget({"minAvailable": 1}))["disruptionsAllowed"] == 0
