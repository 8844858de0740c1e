"""Preemption, gates, default spreading, and rounds of many pods."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.core.pod import POD, Pod, pod_condition, pod_status
from gitops.kinds.objects import KubeObject, is_going, key_of, with_meta
from gitops.reconcile import NOTHING
from gitops.scheduler import SCHEDULER
from gitops.scheduler.scheduler import reconcile, together
from tests.unit.controllers.world import NOW, World, a_node, a_pod, a_replica_set, a_service

ZONE = "topology.kubernetes.io/zone"


def waiting(name: str = "p", **stated: Any) -> Pod:
    return a_pod(name, node="", **stated)


def node_of(world: World, name: str) -> str:
    return world.read(POD, name)["spec"].get("nodeName", "")


def message(world: World, name: str = "p") -> str:
    found = pod_condition(world.read(POD, name), "PodScheduled")
    return found.get("message", "") if found else ""


def test_a_less_important_pod_makes_way_and_its_place_is_kept() -> None:
    world = World(
        a_node("a", cpu="2"), a_pod("low", node="a", cpu="2"), waiting("high", cpu="2", priority=100)
    )
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    assert is_going(world.read(POD, "low"))
    told = pod_condition(world.read(POD, "low"), "DisruptionTarget")
    assert told is not None
    assert told.get("reason") == "PreemptionByScheduler"
    assert pod_status(world.read(POD, "high")).get("nominatedNodeName") == "a"
    assert "Preempted: Preempted by pod pod-high on node a" in world.events()
    world.put(waiting("late", cpu="1"))
    world.settle(runner)

    world.kubelet()
    world.settle(runner)
    assert node_of(world, "high") == "a"
    assert "nominatedNodeName" not in pod_status(world.read(POD, "high"))
    assert node_of(world, "late") == ""


def test_no_more_pods_leave_than_must_and_the_least_important_do() -> None:
    world = World(
        a_node("a", cpu="4"),
        a_pod("first", node="a", cpu="1", priority=10),
        a_pod("second", node="a", cpu="1", priority=5),
        a_pod("third", node="a", cpu="2", priority=1),
        waiting("high", cpu="2", priority=100),
    )

    world.settle(world.runner(SCHEDULER))

    assert [pod["metadata"].get("name") for pod in world.view.list(POD) if is_going(pod)] == ["third"]


def test_one_that_may_not_preempt_waits_and_says_so() -> None:
    high = waiting("p", cpu="2", priority=100, preemptionPolicy="Never")
    world = World(a_node("a", cpu="2"), a_pod("low", node="a", cpu="2"), high)

    world.settle(world.runner(SCHEDULER))

    assert not is_going(world.read(POD, "low"))
    assert message(world) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    )


def test_an_equal_priority_makes_nobody_leave() -> None:
    world = World(a_node("a", cpu="2"), a_pod("same", node="a", cpu="2"), waiting(cpu="2"))

    world.settle(world.runner(SCHEDULER))

    assert not is_going(world.read(POD, "same"))
    assert message(world) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def test_a_disruption_budget_is_kept_where_another_node_helps() -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "shop", "uid": "budget"},
        "spec": {"selector": {"matchLabels": {"app": "guarded"}}},
        "status": {"disruptionsAllowed": 0},
    }
    world = World(
        cast(KubeObject, budget),
        a_node("a", cpu="2"),
        a_node("b", cpu="2"),
        a_pod("guarded", node="a", cpu="2", labels={"app": "guarded"}),
        a_pod("plain", node="b", cpu="2", priority=50),
        waiting("high", cpu="2", priority=100),
    )

    world.settle(world.runner(SCHEDULER))

    assert is_going(world.read(POD, "plain"))
    assert not is_going(world.read(POD, "guarded"))


def test_two_preemptors_of_one_round_do_not_count_on_the_same_victim() -> None:
    world = World(
        a_node("a", cpu="2"),
        a_node("b", cpu="2"),
        a_pod("x", node="a", cpu="2"),
        a_pod("y", node="b", cpu="2"),
        waiting("one", cpu="2", priority=100),
        waiting("two", cpu="2", priority=100),
    )
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    world.kubelet()
    world.settle(runner)

    assert sorted([node_of(world, "one"), node_of(world, "two")]) == ["a", "b"]


def test_a_gated_pod_waits_until_its_gates_are_gone() -> None:
    gated = waiting(schedulingGates=[{"name": "example.com/ready"}])
    world = World(a_node("a"), gated)
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    found = pod_condition(world.read(POD, "p"), "PodScheduled")
    assert found is not None
    assert (found.get("reason"), found.get("message")) == (
        "SchedulingGated",
        "Scheduling is blocked due to non-empty scheduling gates",
    )
    assert world.events() == []

    opened = world.read(POD, "p")
    spec = {name: value for name, value in opened["spec"].items() if name != "schedulingGates"}
    world.put(cast(Pod, {**opened, "spec": spec}))
    world.settle(runner)
    assert node_of(world, "p") == "a"


def test_pods_of_an_owner_are_spread_over_zones_by_default() -> None:
    """System defaults: hostname with skew 3, zone with skew 5, both only wished for."""
    owner = a_replica_set(2)
    nodes = [
        a_node(name, cpu="1000", labels={"kubernetes.io/hostname": name, ZONE: zone})
        for name, zone in (("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"))
    ]
    world = World(owner, *nodes, *(waiting(f"p{number}", owner=owner) for number in range(2)))

    world.settle(world.runner(SCHEDULER))

    assert "d" in [node_of(world, "p0"), node_of(world, "p1")]


def test_a_new_service_changes_by_what_its_pods_are_spread() -> None:
    nodes = [a_node(name, cpu="1000", labels={"kubernetes.io/hostname": name}) for name in ("a", "b")]
    world = World(*nodes, a_pod("here", node="a", cpu="1"))
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    world.put(a_service(), waiting("p"))
    world.settle(runner)

    assert node_of(world, "p") == "b"


def test_a_pod_that_wants_a_neighbour_is_bound_when_one_comes() -> None:
    near = {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
            ]
        }
    }
    world = World(a_node("a", labels={"kubernetes.io/hostname": "a"}), waiting(affinity=near))
    runner = world.runner(SCHEDULER)
    world.settle(runner)
    assert message(world).startswith("0/1 nodes are available: 1 node(s) didn't match pod affinity rules.")

    world.put(a_pod("db", node="a", labels={"app": "db"}))
    world.settle(runner)

    assert node_of(world, "p") == "a"


def test_the_most_important_of_a_round_goes_first_then_the_oldest() -> None:
    def at(name: str, minute: int, priority: int) -> Pod:
        pod = waiting(name, cpu="1", priority=priority)
        return with_meta(pod, creationTimestamp=f"2026-01-02T03:{minute:02}:00Z")

    pods = [at("young", 5, 0), at("old", 1, 0), at("important", 9, 10)]
    world = World(a_node("a", cpu="2"), *pods)

    answers = together(world.view, [key_of(pod) for pod in pods], NOW)

    assert [(key.name, cast(Any, writes.status)["spec"].get("nodeName")) for key, writes in answers] == [
        ("important", "a"),
        ("old", "a"),
        ("young", None),
    ]


@given(
    nodes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    wishes=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 5])), max_size=10),
)
def test_a_round_decides_what_one_after_the_other_would(
    nodes: list[int], wishes: list[tuple[int, int]]
) -> None:
    def world() -> World:
        found = World(*(a_node(f"n{index}", cpu=str(cpu), pods="4") for index, cpu in enumerate(nodes)))
        found.put(
            *(
                waiting(f"p{index:02}", cpu=str(cpu), priority=rank)
                for index, (cpu, rank) in enumerate(wishes)
            )
        )
        return found

    together_world, alone_world = world(), world()
    keys = [POD.key("shop", f"p{index:02}") for index in range(len(wishes))]
    ordered = together(together_world.view, keys, NOW)
    for key, writes in ordered:
        alone = reconcile(alone_world.view, key, NOW)
        assert writes == alone or writes.status == alone.status
        if alone.status is not None and not alone.delete:
            alone_world.put(alone.status)


@given(st.lists(st.sampled_from(["bind", "remove", "node", "gone", "going"]), max_size=20))
def test_what_is_kept_beside_the_view_is_what_counting_gives(actions: list[str]) -> None:
    """Another view of the same store has a state of its own, counted from nothing."""
    world = World(a_node("n0", cpu="2"), a_node("n1", cpu="2"))
    for number, action in enumerate(actions):
        pods = list(world.view.list(POD))
        if action == "bind":
            world.put(a_pod(f"q{number}", node=f"n{number % 3}", cpu="1"))
        elif action == "node":
            world.put(a_node(f"n{number % 3}", cpu=str(1 + number % 4)))
        elif pods and action == "remove":
            world.remove(key_of(pods[0]))
        elif pods and action == "gone":
            world.put(cast(Pod, {**pods[0], "status": {**pods[0].get("status", {}), "phase": "Succeeded"}}))
        elif pods and action == "going":
            world.put(with_meta(pods[-1], deletionTimestamp="2026-01-02T04:00:00Z"))
        world.put(waiting("asked", cpu="1"))
        asked = POD.key("shop", "asked")
        assert reconcile(world.view, asked, NOW) == reconcile(world.view.fork(), asked, NOW) != NOTHING
