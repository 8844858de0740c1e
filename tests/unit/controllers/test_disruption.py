"""PodDisruptionBudget: what is expected, healthy and allowed; granted evictions; and what cannot be counted."""

from datetime import timedelta
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.disruption import DISRUPTION, reconcile
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.objects import KubeObject, key_of, timestamp
from gitops.kinds.policy import POD_DISRUPTION_BUDGET, PodDisruptionBudget
from tests.unit.controllers.world import NOW, World, a_deployment, a_pod, a_replica_set, reference

ALL: Any = {"matchLabels": {"app": "web"}}
SET = a_replica_set(4)


def a_budget(selector: Any = ALL, status: Any = None, **spec: object) -> PodDisruptionBudget:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "shop", "uid": "budget", "generation": 3},
        "spec": {"selector": selector, **spec},
    }
    return cast(PodDisruptionBudget, {**budget, "status": status} if status else budget)


def pods(ready: int, unready: int = 0, going: int = 0, owner: KubeObject | None = SET) -> list[Pod]:
    return [
        *(a_pod(f"r{one}", owner=owner) for one in range(ready)),
        *(a_pod(f"u{one}", owner=owner, ready=False) for one in range(unready)),
        *(a_pod(f"g{one}", owner=owner, going=True) for one in range(going)),
    ]


class Case(NamedTuple):
    budget: PodDisruptionBudget
    pods: list[Pod]
    expected: int
    desired: int
    healthy: int
    allowed: int


SPEC = {
    "minAvailable as a number: what is above it": Case(a_budget(minAvailable=2), pods(3), 3, 2, 3, 1),
    "a number counts pods without a controller": Case(
        a_budget(minAvailable=1), pods(2, owner=None), 2, 1, 2, 1
    ),
    "a number counts pods as they are, not as their set has them": Case(
        a_budget(minAvailable=4), pods(4, unready=1), 5, 4, 4, 0
    ),
    "fewer healthy than wanted: none, not less": Case(a_budget(minAvailable=4), pods(2), 2, 4, 2, 0),
    "minAvailable in percent: of the set's size, rounded up": Case(
        a_budget(minAvailable="30%"), pods(4), 4, 2, 4, 2
    ),
    "100%: nothing may go": Case(a_budget(minAvailable="100%"), pods(4), 4, 4, 4, 0),
    "maxUnavailable as a number: below the set's size, missing pods included": Case(
        a_budget(maxUnavailable=1), pods(3), 4, 3, 3, 0
    ),
    "maxUnavailable in percent: rounded up": Case(a_budget(maxUnavailable="30%"), pods(4), 4, 2, 4, 2),
    "maxUnavailable above the size: all": Case(a_budget(maxUnavailable=9), pods(4), 4, 0, 4, 4),
    "maxUnavailable 0: nothing may go": Case(a_budget(maxUnavailable=0), pods(4), 4, 4, 4, 0),
    "pods without a controller have no size": Case(
        a_budget(maxUnavailable=1), pods(2, owner=None), 0, 0, 2, 0
    ),
    "an unready pod is not healthy": Case(a_budget(minAvailable=1), pods(2, unready=2), 4, 1, 2, 1),
    "a pod that goes is not healthy": Case(a_budget(minAvailable=1), pods(2, going=2), 4, 1, 2, 1),
    "no pods: nothing is allowed, though nothing is wanted": Case(a_budget(minAvailable=0), [], 0, 0, 0, 0),
    "neither is stated: nothing is allowed": Case(a_budget(), pods(4), 0, 0, 4, 0),
    "no selector selects nothing": Case(a_budget(None, minAvailable=1), pods(4), 0, 1, 0, 0),
    "an empty selector selects all": Case(a_budget({}, minAvailable=1), pods(4), 4, 1, 4, 3),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_disruption(case: Case) -> None:
    world = World(case.budget, SET, *case.pods)

    writes = reconcile(world.view, key_of(case.budget), NOW)

    status = cast(Any, writes.status)["status"]
    assert status == {
        "expectedPods": case.expected,
        "desiredHealthy": case.desired,
        "currentHealthy": case.healthy,
        "disruptionsAllowed": case.allowed,
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "DisruptionAllowed",
                "status": "True" if case.allowed else "False",
                "reason": "SufficientPods" if case.allowed else "InsufficientPods",
                "message": "",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }
        ],
    }


def test_a_deployments_size_counts_once_for_the_sets_of_a_roll() -> None:
    deployment = a_deployment(4)
    old, new = (
        cast(Any, {**one, "metadata": {**one["metadata"], "ownerReferences": [reference(deployment)]}})
        for one in (a_replica_set(3, "web-old"), a_replica_set(2, "web-new"))
    )
    members = [
        *(a_pod(f"o{one}", owner=old) for one in range(3)),
        *(a_pod(f"n{one}", owner=new) for one in range(2)),
    ]
    world = World(budget := a_budget(maxUnavailable=1), deployment, old, new, *members)

    status = cast(Any, reconcile(world.view, key_of(budget), NOW).status)["status"]

    assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (4, 3, 2)


UNCOUNTABLE = {
    "the controller is gone": (SET, 'found no controllers for pod "r0"'),
    "the controller has no size": (
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "job", "namespace": "shop", "uid": "job"},
        },
        "jobs.batch does not implement the scale subresource",
    ),
}


@pytest.mark.parametrize("case", UNCOUNTABLE.values(), ids=UNCOUNTABLE.keys())
def test_what_cannot_be_counted_allows_nothing(case: tuple[Any, str]) -> None:
    owner, why = case
    before = {"disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3}
    there = [] if owner is SET else [owner]
    world = World(budget := a_budget(status=before, maxUnavailable=1), *there, *pods(1, owner=owner))

    writes = reconcile(world.view, key_of(budget), NOW)

    status = cast(Any, writes.status)["status"]
    assert status["disruptionsAllowed"] == 0
    assert status["currentHealthy"] == 3
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "SyncFailed", why)
    assert [note.message for note in writes.events] == [
        f"Failed to calculate the number of expected pods: {why}"
    ]
    assert writes.after_seconds == 30


def granted(seconds_ago: float, *names: str) -> Any:
    when = timestamp(NOW - timedelta(seconds=seconds_ago))
    return {"disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3,
            "disruptedPods": dict.fromkeys(names, when)}  # fmt: skip


def test_a_granted_eviction_counts_until_its_pod_goes() -> None:
    budget = a_budget(status=granted(20, "r0", "g0", "unknown"), minAvailable=1)
    world = World(budget, SET, *pods(3, going=1))

    writes = reconcile(world.view, key_of(budget), NOW)

    status = cast(Any, writes.status)["status"]
    assert status["disruptedPods"] == {"r0": "2026-01-02T03:03:45Z"}
    assert (status["currentHealthy"], status["disruptionsAllowed"]) == (2, 1)
    assert writes.after_seconds == 101


def test_a_granted_eviction_that_ended_no_pod_within_two_minutes_counts_no_more() -> None:
    budget = a_budget(status=granted(121, "r0"), minAvailable=1)
    world = World(budget, SET, *pods(3))

    writes = reconcile(world.view, key_of(budget), NOW)

    status = cast(Any, writes.status)["status"]
    assert "disruptedPods" not in status
    assert (status["currentHealthy"], status["disruptionsAllowed"]) == (3, 2)
    assert [(note.reason, note.message) for note in writes.events] == [
        ("NotDeleted", "Pod was expected by PDB shop/web to be deleted but it wasn't")
    ]


def test_a_budget_without_pods_says_so_once() -> None:
    world = World(a_budget(minAvailable=1))
    runner = world.runner(DISRUPTION)

    world.settle(runner)
    world.settle(runner)

    assert world.events() == ["NoPods: No matching pods found"]


def test_the_status_follows_pods_and_the_size_of_their_set() -> None:
    world = World(a_budget(maxUnavailable=1), SET, *pods(4))
    runner = world.runner(DISRUPTION)
    world.settle(runner)

    def allowed() -> int:
        status = world.read(POD_DISRUPTION_BUDGET, "web").get("status")
        return status["disruptionsAllowed"] if status else -1

    assert allowed() == 1
    world.remove(POD.key("shop", "r0"))
    world.settle(runner)
    assert allowed() == 0
    world.put(a_replica_set(2))
    world.settle(runner)
    assert allowed() == 2


@given(
    ready=st.integers(0, 6),
    unready=st.integers(0, 4),
    going=st.integers(0, 3),
    amount=st.integers(0, 8) | st.integers(0, 100).map(lambda percent: f"{percent}%"),
    field=st.sampled_from(["minAvailable", "maxUnavailable"]),
)
def test_what_is_allowed_never_takes_more_than_the_healthy_above_the_wanted(
    ready: int, unready: int, going: int, amount: int | str, field: str
) -> None:
    """And with what is written the budget is settled."""
    world = World(budget := a_budget(**{field: amount}), SET, *pods(ready, unready, going))

    writes = reconcile(world.view, key_of(budget), NOW)

    assert writes.status is not None
    status = cast(Any, writes.status)["status"]
    assert 0 <= status["disruptionsAllowed"] <= max(status["currentHealthy"] - status["desiredHealthy"], 0)
    world.put(writes.status)
    assert not reconcile(world.view, key_of(budget), NOW)
