"""Deployment: rolls, replacements, pauses, sizes, revisions, history, deadline, and what it promises while it rolls."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment
from gitops.kinds.core.pod import POD, is_ready, is_terminal
from gitops.kinds.objects import Condition, annotations_of, is_going
from gitops.runner import Runner
from gitops.scheduler import SCHEDULER
from tests.unit.controllers.world import World, a_deployment, a_node, image_of, sizes, with_image, with_spec

ROUNDS_MAX = 60


def rolling(surge: int | str, unavailable: int | str) -> dict[str, object]:
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }


def started(deployment: Deployment) -> tuple[World, Runner]:
    """A world with a node for everything, in which the deployment is up and every pod is Ready."""
    world = World(a_node(cpu="64", pods="500"), deployment)
    runner = world.runner(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER)
    finish(world, runner)
    return world, runner


def finish(world: World, runner: Runner, rounds: int = ROUNDS_MAX) -> None:
    """Let nodes and controllers work in turn until neither changes anything."""
    for _ in range(rounds):
        before = world.view.revision
        world.settle(runner)
        world.kubelet()
        if world.view.revision == before:
            return
    raise AssertionError("not settled")


def condition(world: World, name: str) -> Condition:
    conditions = world.read(DEPLOYMENT, "web").get("status", {}).get("conditions", [])
    return next(one for one in conditions if one["type"] == name)


def test_a_new_deployment_gets_one_replica_set_and_says_so() -> None:
    world = World(a_node(), a_deployment(3))
    runner = world.runner(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER)

    world.settle(runner)

    (replica_set,) = world.view.list(REPLICA_SET)
    digest = replica_set["metadata"].get("labels", {})["pod-template-hash"]
    assert replica_set["metadata"].get("name") == f"web-{digest}"
    assert replica_set["spec"]["selector"] == {"matchLabels": {"app": "web", "pod-template-hash": digest}}
    assert replica_set["spec"]["template"]["metadata"].get("labels") == {
        "app": "web",
        "pod-template-hash": digest,
    }
    assert annotations_of(replica_set) == {
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
        "deployment.kubernetes.io/revision": "1",
    }
    assert annotations_of(world.read(DEPLOYMENT, "web")) == {"deployment.kubernetes.io/revision": "1"}
    assert f"ScalingReplicaSet: Scaled up replica set web-{digest} from 0 to 3" in world.events()
    assert condition(world, "Available")["status"] == "False"
    assert condition(world, "Progressing").get("reason") == "ReplicaSetUpdated"


def test_the_status_of_a_finished_roll_is_what_rollout_status_waits_for() -> None:
    world, _ = started(a_deployment(3))

    deployment = world.read(DEPLOYMENT, "web")
    status: dict[str, Any] = {**deployment.get("status", {})}
    conditions = status.pop("conditions")
    assert status == {
        "observedGeneration": deployment["metadata"].get("generation"),
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
    }
    assert {one["type"]: one["reason"] for one in conditions} == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetAvailable",
    }
    assert condition(world, "Progressing").get("message", "").endswith(" has successfully progressed.")


def test_a_roll_ends_with_all_pods_new_and_the_old_replica_set_kept_for_history() -> None:
    world, runner = started(a_deployment(3))

    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    finish(world, runner)

    assert sizes(world) == {"shop/web:1": 0, "shop/web:2": 3}
    assert annotations_of(world.read(DEPLOYMENT, "web"))["deployment.kubernetes.io/revision"] == "2"
    assert len(world.pods()) == 3


def test_going_back_reuses_the_old_replica_set_under_a_new_revision() -> None:
    world, runner = started(a_deployment(2))
    for image in ("shop/web:2", "shop/web:1"):
        world.put(with_image(world.read(DEPLOYMENT, "web"), image))
        finish(world, runner)

    assert sizes(world) == {"shop/web:1": 2, "shop/web:2": 0}
    first = next(one for one in world.view.list(REPLICA_SET) if image_of(one) == "shop/web:1")
    assert annotations_of(first)["deployment.kubernetes.io/revision"] == "3"
    assert annotations_of(first)["deployment.kubernetes.io/revision-history"] == "1"
    assert annotations_of(world.read(DEPLOYMENT, "web"))["deployment.kubernetes.io/revision"] == "3"


FIRST_STEP = {
    # Three more, and two old ones may go at once, which makes room for two new.
    "surge rounds up and unavailable down": (10, rolling("25%", "25%"), {"shop/web:1": 8, "shop/web:2": 5}),
    "no surge: the old go first": (4, rolling(0, 1), {"shop/web:1": 3, "shop/web:2": 1}),
    "one at a time beside the old": (4, rolling(1, 0), {"shop/web:1": 4, "shop/web:2": 1}),
    "all at once": (4, rolling("100%", 0), {"shop/web:1": 4, "shop/web:2": 4}),
    "a small deployment never stops": (1, rolling("25%", "25%"), {"shop/web:1": 1, "shop/web:2": 1}),
}


@pytest.mark.parametrize(("replicas", "strategy", "expected"), FIRST_STEP.values(), ids=FIRST_STEP.keys())
def test_the_first_step_of_a_roll(
    replicas: int, strategy: dict[str, object], expected: dict[str, int]
) -> None:
    world, runner = started(a_deployment(replicas, strategy=strategy))

    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    world.settle(runner)
    world.kubelet(ready=False)
    world.settle(runner)

    assert sizes(world) == expected


def test_recreate_waits_until_the_last_old_pod_is_gone() -> None:
    world, runner = started(a_deployment(2, strategy={"type": "Recreate"}))

    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    world.settle(runner)
    assert sizes(world) == {"shop/web:1": 0}
    assert len(list(world.view.list(POD))) == 2, "they are still stopping"

    world.kubelet()
    world.settle(runner)
    assert sizes(world) == {"shop/web:1": 0, "shop/web:2": 2}


def test_a_paused_deployment_does_not_roll_but_scales() -> None:
    world, runner = started(a_deployment(2))
    paused = with_spec(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"), paused=True, replicas=3)

    world.put(paused)
    finish(world, runner)

    assert sizes(world) == {"shop/web:1": 3}
    assert condition(world, "Progressing").get("reason") == "DeploymentPaused"

    world.put(with_spec(world.read(DEPLOYMENT, "web"), paused=False))
    finish(world, runner)
    assert sizes(world) == {"shop/web:1": 0, "shop/web:2": 3}


def test_scaling_in_mid_roll_is_shared_in_proportion() -> None:
    world, runner = started(a_deployment(10, strategy=rolling(3, 2)))
    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    world.settle(runner)
    world.kubelet(ready=False)
    world.settle(runner)
    assert sizes(world) == {"shop/web:1": 8, "shop/web:2": 5}

    world.put(with_spec(world.read(DEPLOYMENT, "web"), replicas=15))
    world.settle(runner)

    # Kubernetes' own example: 15 + 3 are shared as 8 : 5 of 13.
    assert sizes(world) == {"shop/web:1": 11, "shop/web:2": 7}


def test_history_keeps_as_many_old_replica_sets_as_asked() -> None:
    world, runner = started(a_deployment(1, revisionHistoryLimit=2))
    for number in range(2, 7):
        world.put(with_image(world.read(DEPLOYMENT, "web"), f"shop/web:{number}"))
        finish(world, runner)

    assert sizes(world) == {"shop/web:4": 0, "shop/web:5": 0, "shop/web:6": 1}


def test_a_roll_that_does_not_progress_is_reported_after_its_deadline() -> None:
    world, runner = started(a_deployment(2, progressDeadlineSeconds=60))
    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/broken:1"))
    world.settle(runner)

    world.wait(runner, 55)
    assert condition(world, "Progressing").get("reason") == "ReplicaSetUpdated"

    world.wait(runner, 10)
    assert condition(world, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    assert condition(world, "Progressing")["status"] == "False"
    assert sizes(world)["shop/web:1"] == 2, "the pods that work stay"


def test_a_taken_name_is_avoided_by_counting_collisions() -> None:
    world, _ = started(a_deployment(1))
    (own,) = world.view.list(REPLICA_SET)
    template = {**own["spec"]["template"], "spec": {**own["spec"]["template"]["spec"], "hostNetwork": True}}
    meta = {name: value for name, value in own["metadata"].items() if name != "ownerReferences"}
    foreign: Any = {**own, "metadata": meta, "spec": {**own["spec"], "template": template}}
    other = World(a_node(), a_deployment(1), foreign)
    runner = other.runner(DEPLOYMENT_CONTROLLER)

    other.settle(runner)

    assert other.read(DEPLOYMENT, "web").get("status", {}).get("collisionCount") == 1
    assert len(other.names(REPLICA_SET)) == 2


strategies = st.builds(
    rolling, st.sampled_from([0, 1, 2, "25%", "50%"]), st.sampled_from([0, 1, 2, "25%", "50%"])
)


@given(data=st.data(), replicas=st.integers(1, 8), strategy=strategies)
def test_a_roll_keeps_its_promises_and_ends(
    data: st.DataObject, replicas: int, strategy: dict[str, Any]
) -> None:
    """Whatever becomes Ready in whatever order: never too few available, never too many pods, and it ends."""
    if not any(_count(value) for value in strategy["rollingUpdate"].values()):
        strategy = rolling(1, 0)
    world, runner = started(a_deployment(replicas, strategy=strategy))
    surge = _rounded(strategy["rollingUpdate"]["maxSurge"], replicas, up=True)
    unavailable = _rounded(strategy["rollingUpdate"]["maxUnavailable"], replicas, up=False)
    least = replicas - (unavailable if surge or unavailable else 1)

    world.put(with_image(world.read(DEPLOYMENT, "web"), "shop/web:2"))
    for _ in range(ROUNDS_MAX):
        world.settle(runner)
        alive = [pod for pod in world.view.list(POD) if not is_going(pod) and not is_terminal(pod)]
        assert len(alive) <= replicas + surge
        assert sum(map(is_ready, alive)) >= least
        waiting = [pod for pod in alive if not is_ready(pod)]
        chosen = data.draw(st.sets(st.sampled_from(range(len(waiting))))) if waiting else set()
        world.ready(*(waiting[index] for index in chosen))
    finish(world, runner)

    assert sizes(world) == {"shop/web:1": 0, "shop/web:2": replicas}
    assert condition(world, "Progressing").get("reason") == "NewReplicaSetAvailable"


def _count(value: int | str) -> int:
    return value if isinstance(value, int) else int(value.removesuffix("%"))


def _rounded(value: int | str, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    product = int(value.removesuffix("%")) * total
    return -(-product // 100) if up else product // 100
