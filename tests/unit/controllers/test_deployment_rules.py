"""The arithmetic of a Deployment, and its rarer rules: adoption, rollover, refusals, pauses and what is copied."""

from typing import Any, NamedTuple, cast

import pytest

from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.deployment_sizes import limits_of, new_size, rescale, roll_down
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment, ReplicaSet
from gitops.kinds.core.pod import POD
from gitops.kinds.objects import annotations_of, controller_of, is_going, with_meta
from gitops.scheduler import SCHEDULER
from tests.unit.controllers.test_deployment import condition, finish, rolling, started
from tests.unit.controllers.world import (
    World,
    a_deployment,
    a_node,
    a_replica_set,
    image_of,
    sizes,
    with_image,
    with_spec,
)

LIMITS = {
    # replicas, maxSurge, maxUnavailable -> surge, unavailable.
    "a surge rounds up": (3, "25%", 0, (1, 0)),
    "what may be unavailable rounds down": (3, 0, "50%", (0, 1)),
    "both come to nothing: one may be unavailable": (3, 0, "25%", (0, 1)),
    "both are none: one may be unavailable": (3, "0%", "0%", (0, 1)),
    "never more than there are": (2, 0, 5, (0, 2)),
    "none wanted": (0, "25%", "25%", (0, 0)),
    "whole": (10, "100%", "100%", (10, 10)),
    "numbers": (10, 3, 2, (3, 2)),
}


@pytest.mark.parametrize(("replicas", "surge", "unavailable", "wanted"), LIMITS.values(), ids=LIMITS.keys())
def test_limits(replicas: int, surge: int | str, unavailable: int | str, wanted: tuple[int, int]) -> None:
    assert limits_of(a_deployment(replicas, strategy=rolling(surge, unavailable))) == wanted


def a_set(name: str, size: int, available: int, age: int = 0, max_replicas: int = 0) -> ReplicaSet:
    """`age`: higher is older."""
    made: Any = dict(a_replica_set(size, name))
    annotations = {"deployment.kubernetes.io/max-replicas": str(max_replicas)} if max_replicas else None
    made = with_meta(made, creationTimestamp=f"2026-01-01T00:00:{59 - age:02}Z", annotations=annotations)
    made["status"] = {"replicas": size, "availableReplicas": available}
    return cast(ReplicaSet, made)


class Roll(NamedTuple):
    replicas: int
    surge: int | str
    unavailable: int | str
    new: tuple[int, int]  # Size, of which available.
    old: list[tuple[int, int]]  # The oldest first.
    grown: int  # What the new one may be next.
    left: list[int]  # What the old ones may be next.


ROLLS = {
    "all new wait: the old stay": Roll(10, 3, 2, (5, 0), [(8, 8)], 5, [8]),
    "two new ones are there: two old ones go": Roll(10, 3, 2, (5, 2), [(8, 8)], 5, [6]),
    "the unhealthy of the oldest go first, whatever is available": Roll(
        10, 0, 3, (0, 0), [(4, 1), (6, 6)], 0, [1, 6]),
    "the unhealthy of all before the healthy of any": Roll(4, 0, 2, (0, 0), [(2, 2), (2, 1)], 0, [1, 1]),
    "there is room above": Roll(10, "25%", 0, (0, 0), [(10, 10)], 3, [10]),
    "no room above": Roll(10, 0, "25%", (0, 0), [(10, 10)], 0, [8]),
    "three generations: the oldest first": Roll(4, 1, 1, (1, 1), [(2, 2), (2, 2)], 1, [0, 2]),
    "a roll in reverse": Roll(2, 1, 0, (5, 5), [(0, 0)], 2, [0]),
}  # fmt: skip


@pytest.mark.parametrize("case", ROLLS.values(), ids=ROLLS.keys())
def test_the_next_sizes_of_a_roll(case: Roll) -> None:
    deployment = a_deployment(case.replicas, strategy=rolling(case.surge, case.unavailable))
    new = a_set("new", *case.new)
    old = [a_set(f"old-{place}", *one, age=50 - place) for place, one in enumerate(case.old)]

    grown = new_size(deployment, case.new[0], sum(size for size, _ in (case.new, *case.old)))
    left = roll_down(deployment, new, old)

    assert grown == case.grown
    assert [left.get(f"old-{place}", size) for place, (size, _) in enumerate(case.old)] == case.left


class Scale(NamedTuple):
    wanted: int
    surge: int
    before: int  # The replicas that the sets were last sized for, surge included.
    old: int
    new: int
    left: tuple[int, int]  # Old, new.


SCALES = {
    "up, in proportion: Kubernetes' own example": Scale(15, 3, 13, 8, 5, (11, 7)),
    "up from halves: what is left over goes to the newest of the largest": Scale(5, 0, 4, 2, 2, (2, 3)),
    "down, in proportion": Scale(5, 0, 10, 6, 4, (3, 2)),
    "down from halves: what is left over goes from the oldest of the largest": Scale(3, 0, 4, 2, 2, (1, 2)),
    "to none": Scale(0, 2, 10, 6, 4, (0, 0)),
    "only one is active: it takes all": Scale(7, 2, 3, 3, 0, (7, 0)),
}


@pytest.mark.parametrize("case", SCALES.values(), ids=SCALES.keys())
def test_scaling_while_several_templates_run(case: Scale) -> None:
    deployment = a_deployment(case.wanted, strategy=rolling(case.surge, 1))
    old = a_set("old", case.old, case.old, age=50, max_replicas=case.before)
    new = a_set("new", case.new, 0, max_replicas=case.before)

    left = rescale(deployment, new, [old])

    assert (left.get("old", case.old), left.get("new", case.new)) == case.left


def test_scaling_when_the_new_template_is_all_there_empties_the_old_ones() -> None:
    deployment = a_deployment(3)

    assert rescale(deployment, a_set("new", 3, 3), [a_set("old", 2, 2)]) == {"old": 0}


def test_a_third_template_in_mid_roll_takes_from_both_others() -> None:
    world, runner = started(a_deployment(4, strategy=rolling(1, 1)))
    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    world.settle(runner)
    assert sizes(world) == {"shop/web:1": 3, "shop/web:2": 2}

    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:3"))
    world.settle(runner)
    assert sizes(world) == {"shop/web:1": 3, "shop/web:2": 0, "shop/web:3": 2}

    finish(world, runner)
    assert sizes(world) == {"shop/web:1": 0, "shop/web:2": 0, "shop/web:3": 4}


def test_a_replica_set_that_matches_and_is_nobodys_is_adopted_and_used() -> None:
    world, _ = started(a_deployment(2))
    (own,) = world.view.list(REPLICA_SET)
    alone = with_meta(own, ownerReferences=None)
    other = World(a_node(), a_deployment(2), alone)

    other.settle(other.runner(DEPLOYMENT_CONTROLLER))

    (found,) = other.view.list(REPLICA_SET)
    owner = controller_of(found)
    assert owner is not None
    assert (owner["kind"], owner["name"]) == ("Deployment", "web")


def test_a_replica_set_that_no_longer_matches_is_released_and_another_made() -> None:
    world, runner = started(a_deployment(2))
    (own,) = world.view.list(REPLICA_SET)
    world.put(with_meta(own, labels={"app": "another"}))

    world.settle(runner)

    owners = {str(one["metadata"].get("name")): controller_of(one) for one in world.view.list(REPLICA_SET)}
    assert owners.pop(str(own["metadata"].get("name"))) is None
    assert [owner["name"] for owner in owners.values() if owner] == ["web"]


def test_a_replica_set_of_another_deployment_is_left_alone() -> None:
    foreign = with_meta(a_replica_set(5, "foreign"), ownerReferences=[{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "other", "uid": "other",
        "controller": True, "blockOwnerDeletion": True}])  # fmt: skip
    world = World(a_node(), a_deployment(1), foreign)

    world.settle(world.runner(DEPLOYMENT_CONTROLLER))

    assert world.read(REPLICA_SET, "foreign")["spec"]["replicas"] == 5
    assert len(world.names(REPLICA_SET)) == 2


def test_a_refused_replica_set_becomes_a_condition_and_goes_with_its_cause() -> None:
    homeless: Deployment = with_meta(a_deployment(1), namespace="elsewhere")
    world = World(a_node(), homeless)
    runner = world.runner(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER)
    world.settle(runner)

    told = world.read(DEPLOYMENT, "web", "elsewhere").get("status", {}).get("conditions", [])
    assert [(one["type"], one["status"], one.get("reason")) for one in told] == [
        ("Progressing", "False", "ReplicaSetCreateError")
    ]
    assert told[0].get("message", "").startswith('Failed to create new replica set "web-')
    before = world.view.revision
    world.wait(runner, 120)
    assert world.view.revision == before, "what is told is told once"

    world.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere", "uid": "ns"}})
    world.wait(runner, 31)
    assert len(world.names(REPLICA_SET)) == 1


def test_annotations_are_copied_but_for_those_of_kubectl_and_of_the_roll() -> None:
    stated = {"team": "shop", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    world, runner = started(with_meta(a_deployment(1), annotations=stated))
    (own,) = world.view.list(REPLICA_SET)
    assert annotations_of(own) == {
        "team": "shop",
        "deployment.kubernetes.io/desired-replicas": "1",
        "deployment.kubernetes.io/max-replicas": "2",
        "deployment.kubernetes.io/revision": "1",
    }

    deployment = world.read(DEPLOYMENT, "web")
    world.put(with_meta(deployment, annotations={**annotations_of(deployment), "team": "till"}))
    world.settle(runner)
    (own,) = world.view.list(REPLICA_SET)
    assert annotations_of(own)["team"] == "till"


def test_a_pause_stops_the_deadline_and_a_resumed_roll_says_so() -> None:
    world, runner = started(a_deployment(2, progressDeadlineSeconds=60))
    world.put(with_spec(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"), paused=True))
    world.settle(runner)
    assert condition(world, "Progressing")["status"] == "Unknown"
    assert condition(world, "Progressing").get("message") == "Deployment is paused"

    world.wait(runner, 600)
    assert condition(world, "Progressing").get("reason") == "DeploymentPaused"

    world.put(with_spec(world.read(DEPLOYMENT, "web"), paused=False))
    world.settle(runner)
    world.wait(runner, 59)
    assert condition(world, "Progressing").get("reason") != "ProgressDeadlineExceeded"
    finish(world, runner)
    assert sizes(world) == {"shop/web:1": 0, "shop/web:2": 2}


def test_a_roll_without_a_deadline_tells_no_progress() -> None:
    world, _ = started(a_deployment(1, progressDeadlineSeconds=2**31 - 1))

    conditions = world.read(DEPLOYMENT, "web").get("status", {}).get("conditions", [])
    assert [one["type"] for one in conditions] == ["Available"]


def test_after_its_deadline_a_roll_that_moves_on_is_no_failure_any_more() -> None:
    world, runner = started(a_deployment(2, progressDeadlineSeconds=60))
    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/slow:1"))
    world.settle(runner)
    world.wait(runner, 70)
    assert condition(world, "Progressing").get("reason") == "ProgressDeadlineExceeded"

    finish(world, runner)

    assert condition(world, "Progressing").get("reason") == "NewReplicaSetAvailable"


def test_pods_count_only_after_their_time_of_being_ready() -> None:
    world = World(a_node(cpu="64"), a_deployment(2, minReadySeconds=30, strategy=rolling(1, 0)))
    runner = world.runner(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER)
    world.settle(runner)
    world.kubelet()
    world.settle(runner)
    status = world.read(DEPLOYMENT, "web").get("status", {})
    assert (status.get("readyReplicas"), status.get("availableReplicas", 0)) == (2, 0)

    world.wait(runner, 31)
    assert world.read(DEPLOYMENT, "web").get("status", {}).get("availableReplicas") == 2

    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    world.settle(runner)
    world.ready(*(pod for pod in world.pods() if pod["spec"]["containers"][0]["image"] == "shop/web:2"))
    world.settle(runner)
    assert sizes(world) == {"shop/web:1": 2, "shop/web:2": 1}, "the new pod is Ready, not available"

    world.wait(runner, 31)
    assert sizes(world)["shop/web:1"] == 1


def test_no_history_at_all() -> None:
    world, runner = started(a_deployment(1, revisionHistoryLimit=0))
    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    finish(world, runner)

    assert sizes(world) == {"shop/web:2": 1}


def test_recreate_scales_without_replacing() -> None:
    world, runner = started(a_deployment(2, strategy={"type": "Recreate"}))

    world.put(with_spec(world.read(DEPLOYMENT, "web"), replicas=4))
    world.settle(runner)

    assert sizes(world) == {"shop/web:1": 4}
    assert not any(map(is_going, world.view.list(POD)))
    assert [image_of(one) for one in world.view.list(REPLICA_SET)] == ["shop/web:1"]


def test_what_a_new_template_is_called_is_the_same_every_time() -> None:
    names = []
    for _ in range(2):
        world = World(a_node(), a_deployment(1))
        world.settle(world.runner(DEPLOYMENT_CONTROLLER))
        names += world.names(REPLICA_SET)

    assert names[0] == names[1]
