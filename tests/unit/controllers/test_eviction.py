"""Pods whose node is silent, tainted or gone: not Ready, evicted in time, removed."""

from typing import Any, Final, cast

import pytest

from gitops.controllers.node_lifecycle import node_lifecycle
from gitops.controllers.pod_gc import pod_gc
from gitops.controllers.taint_eviction import taint_eviction
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.core.pod import POD, Pod, is_ready, pod_condition
from gitops.kinds.objects import is_going, with_meta
from tests.unit.controllers.test_nodes import a_lease, pass_time, taints
from tests.unit.controllers.world import NOW, World, a_node, a_pod

TAINT: Final = "example.com/out"


def tainted(effect: str = "NoExecute", **more: str) -> Node:
    return a_node("node-a", taints=[{"key": TAINT, "effect": effect, **more}])


def test_pods_of_a_silent_node_are_not_ready() -> None:
    world = World(a_node("node-a"), a_lease("node-a"), a_pod("p"), a_pod("q", ready=False))
    runner = world.runner(node_lifecycle(NOW))
    world.settle(runner)
    assert is_ready(world.read(POD, "p"))

    world.wait(runner, 41)

    assert not is_ready(world.read(POD, "p"))
    assert world.events() == ["NodeNotReady: Node is not ready"]


def test_pods_of_a_silent_node_are_evicted_after_the_time_that_they_tolerate() -> None:
    world = World(a_node("node-a"), a_lease("node-a"), a_pod("p"), a_node("other"))
    runner = world.runner(node_lifecycle(NOW), taint_eviction(NOW))
    world.settle(runner)

    pass_time(world, runner, 41 + 290, "other")
    assert not is_going(world.read(POD, "p"))

    pass_time(world, runner, 20, "other")
    assert is_going(world.read(POD, "p"))
    found = pod_condition(world.read(POD, "p"), "DisruptionTarget")
    assert found is not None
    assert found.get("reason") == "DeletionByTaintManager"
    assert "TaintManagerEviction: Marking for deletion Pod shop/p" in world.events()


def test_a_node_that_speaks_again_in_time_keeps_its_pods() -> None:
    world = World(a_node("node-a"), a_lease("node-a"), a_pod("p"), a_node("other"))
    runner = world.runner(node_lifecycle(NOW), taint_eviction(NOW))
    world.settle(runner)
    pass_time(world, runner, 200, "other")

    spoken: Node = {**world.read(NODE, "node-a", ""), "status": a_node()["status"]}
    world.put(a_lease("node-a", 30), spoken)
    pass_time(world, runner, 400, "node-a", "other")

    assert not is_going(world.read(POD, "p"))


def test_a_node_that_is_not_ready_and_then_silent_gives_no_time_twice() -> None:
    short = [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]
    world = World(a_node("node-a", ready="False"), a_node("other"), a_pod("p", tolerations=short))
    runner = world.runner(node_lifecycle(NOW), taint_eviction(NOW))
    world.settle(runner)

    pass_time(world, runner, 58, "other")
    assert not is_going(world.read(POD, "p"))
    assert taints(world.read(NODE, "node-a", ""))[1] == ("node.kubernetes.io/unreachable", "NoExecute")

    pass_time(world, runner, 4, "other")
    assert is_going(world.read(POD, "p"))


STAYS = None
LEFT: Any = {
    "no toleration": ([], 0),
    "for ever": ([{"key": TAINT, "operator": "Exists", "effect": "NoExecute"}], STAYS),
    "of every taint": ([{"operator": "Exists"}], STAYS),
    "for a time": (
        [{"key": TAINT, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        60,
    ),
    "for no time": ([{"key": TAINT, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}], 0),
    "of another effect": ([{"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}], 0),
    "of another value": ([{"key": TAINT, "operator": "Equal", "value": "x"}], 0),
}


@pytest.mark.parametrize(("tolerations", "seconds"), LEFT.values(), ids=LEFT.keys())
def test_how_long_a_pod_stays_on_a_node_that_is_tainted(
    tolerations: list[dict[str, Any]], seconds: int | None
) -> None:
    world = World(tainted(timeAdded="2026-01-02T03:04:05Z"), a_pod("p", tolerations=tolerations))
    runner = world.runner(taint_eviction(NOW))

    world.settle(runner)
    assert is_going(world.read(POD, "p")) == (seconds == 0)

    world.wait(runner, 59)
    assert is_going(world.read(POD, "p")) == (seconds == 0)

    world.wait(runner, 100_000)
    assert is_going(world.read(POD, "p")) == (seconds is not None)


def test_a_taint_that_is_taken_away_cancels_the_eviction() -> None:
    short = [{"key": TAINT, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]
    world = World(tainted(timeAdded="2026-01-02T03:04:05Z"), a_pod("p", tolerations=short))
    runner = world.runner(taint_eviction(NOW))
    world.settle(runner)

    world.wait(runner, 30)
    world.put(a_node("node-a"))
    world.wait(runner, 600)

    assert not is_going(world.read(POD, "p"))


def test_a_master_that_was_away_evicts_nobody_before_it_has_watched_for_as_long() -> None:
    world = World(tainted(timeAdded="2026-01-02T02:00:00Z"), a_pod("p"))
    long = [{"key": TAINT, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]
    world.put(a_pod("p", tolerations=long))
    runner = world.runner(taint_eviction(NOW))

    world.settle(runner)
    world.wait(runner, 59)
    assert not is_going(world.read(POD, "p"))

    world.wait(runner, 2)
    assert is_going(world.read(POD, "p"))


def test_only_no_execute_evicts() -> None:
    world = World(tainted("NoSchedule"), a_pod("p"))

    world.settle(world.runner(taint_eviction(NOW)))

    assert not is_going(world.read(POD, "p"))


def test_pods_of_a_node_that_is_gone_are_removed_after_a_while() -> None:
    world = World(a_node("node-a"), a_pod("p"), a_pod("stopping", going=True))
    runner = world.runner(pod_gc(NOW))
    world.settle(runner)

    world.remove(NODE.key("", "node-a"))
    world.wait(runner, 30)
    assert world.names(POD) == ["p", "stopping"]

    world.wait(runner, 20)
    assert world.names(POD) == []


def test_a_node_that_comes_back_under_its_name_keeps_its_pods() -> None:
    world = World(a_node("node-a"), a_pod("p"))
    runner = world.runner(pod_gc(NOW))
    world.settle(runner)

    world.remove(NODE.key("", "node-a"))
    world.wait(runner, 30)
    world.put(a_node("node-a"))
    world.wait(runner, 600)

    assert world.names(POD) == ["p"]


def test_a_pod_without_a_node_that_is_going_is_removed() -> None:
    world = World(a_pod("p", node="", going=True))

    world.settle(world.runner(pod_gc(NOW)))

    assert world.names(POD) == []


def test_a_pod_that_stops_on_a_node_out_of_service_is_removed() -> None:
    """Kubernetes, "Non-graceful node shutdown handling"."""
    out = [{"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}]
    world = World(a_node("node-a", ready="False"), a_pod("stays"), a_pod("stuck", going=True))
    runner = world.runner(pod_gc(NOW))
    world.settle(runner)
    assert world.names(POD) == ["stays", "stuck"], "no taint says that the node is off"

    world.put(a_node("node-a", taints=out))
    world.settle(runner)
    assert world.names(POD) == ["stays", "stuck"], "the node is Ready"

    world.put(a_node("node-a", ready="Unknown", taints=out))
    world.settle(runner)
    assert world.names(POD) == ["stays"]


def ended(name: str, created: int, **status: str) -> Pod:
    pod = with_meta(a_pod(name, phase="Succeeded"), creationTimestamp=f"2026-01-02T03:04:{created:02}Z")
    return cast(Pod, {**pod, "status": {**pod.get("status", {}), **status}})


def test_of_pods_that_have_ended_the_evicted_and_the_oldest_go_beyond_the_threshold() -> None:
    runs, evicted = a_pod("runs"), ended("evicted", 9, phase="Failed", reason="Evicted")
    world = World(a_node("node-a"), runs, ended("old", 1), evicted, ended("young", 3), ended("middle", 2))
    runner = world.runner(pod_gc(NOW, ended_max=2))

    world.settle(runner)
    assert world.names(POD) == ["middle", "runs", "young"]

    world.put(ended("newest", 8))
    world.settle(runner)
    assert world.names(POD) == ["newest", "runs", "young"]


def test_twelve_thousand_five_hundred_pods_that_have_ended_stay_and_one_more_goes() -> None:
    pods = [ended(f"p{number:05}", 1) for number in range(12_500)]
    world = World(a_node("node-a"), *pods)
    runner = world.runner(pod_gc(NOW))
    world.settle(runner)
    assert len(world.names(POD)) == 12_500

    world.put(ended("x", 2))
    world.settle(runner)

    assert len(world.names(POD)) == 12_500
    assert world.names(POD)[0] == "p00001", "of equal age the first by name goes"
