"""How many nodes that fail lose their pods, and when: it depends on how much of their zone fails with them."""

from gitops.controllers.node_lifecycle import node_lifecycle
from gitops.kinds.core.node import NODE, Node
from tests.unit.controllers.test_nodes import a_lease, pass_time, taints
from tests.unit.controllers.world import NOW, World, a_node


def some(count: int, zone: str = "", ready: str = "True") -> list[Node]:
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return [a_node(f"{zone or 'n'}{number:02}", labels=labels, ready=ready) for number in range(count)]


def evicted(world: World) -> list[str]:
    """Nodes whose pods have to leave."""
    return [
        str(node["metadata"].get("name"))
        for node in world.view.list(NODE)
        if any(effect == "NoExecute" for _, effect in taints(node))
    ]


def test_nodes_that_fail_together_lose_their_pods_one_in_ten_seconds() -> None:
    world = World(*some(3, ready="False"), a_node("z1"), a_node("z2"), a_node("z3"))
    runner = world.runner(node_lifecycle(NOW))

    world.settle(runner)
    assert evicted(world) == ["n00"]
    assert [len(taints(node)) for node in world.view.list(NODE)] == [2, 1, 1, 0, 0, 0], "none takes new pods"

    pass_time(world, runner, 9, "z1", "z2", "z3")
    assert evicted(world) == ["n00"]

    pass_time(world, runner, 2, "z1", "z2", "z3")
    assert len(evicted(world)) == 2

    pass_time(world, runner, 10, "z1", "z2", "z3")
    assert evicted(world) == ["n00", "n01", "n02"]


def test_where_no_node_is_up_nobody_is_evicted_and_those_that_were_to_be_are_spared() -> None:
    world = World(a_node("a"), a_node("b"))
    runner = world.runner(node_lifecycle(NOW))
    pass_time(world, runner, 60, "b")
    assert evicted(world) == ["a"]

    pass_time(world, runner, 60)

    assert evicted(world) == []
    assert [taints(node) for node in world.view.list(NODE)] == [
        [("node.kubernetes.io/unreachable", "NoSchedule")],
        [("node.kubernetes.io/unreachable", "NoSchedule")],
    ]


def test_a_small_zone_of_which_most_fails_keeps_its_pods() -> None:
    world = World(*some(3, ready="False"), a_node("z1"), a_node("z2"))
    runner = world.runner(node_lifecycle(NOW))

    pass_time(world, runner, 300, "z1", "z2")
    assert evicted(world) == [], "three of five are more than 55 %"

    world.put(a_node("z3"))
    pass_time(world, runner, 10, "z1", "z2", "z3")
    assert len(evicted(world)) >= 1, "three of six are less"


def test_two_nodes_of_three_are_not_most_of_a_zone() -> None:
    world = World(*some(2, ready="False"), a_node("z1"))

    world.settle(world.runner(node_lifecycle(NOW)))

    assert evicted(world) == ["n00"]


def test_a_large_zone_of_which_most_fails_loses_pods_a_hundred_seconds_apart() -> None:
    alive = some(20, "up")
    named = [str(node["metadata"].get("name")) for node in alive]
    world = World(*some(31, ready="False"), *(a_node(name) for name in named))
    runner = world.runner(node_lifecycle(NOW))

    world.settle(runner)
    assert evicted(world) == ["n00"]

    pass_time(world, runner, 99, *named)
    assert len(evicted(world)) == 1

    pass_time(world, runner, 7, *named)
    assert len(evicted(world)) == 2


def test_each_zone_has_a_pace_of_its_own_and_one_that_is_all_gone_the_ordinary_one() -> None:
    world = World(*some(4, "a", ready="False"), *some(2, "b", ready="False"), a_node("z1"), a_lease("z1"))
    runner = world.runner(node_lifecycle(NOW))

    world.settle(runner)
    assert evicted(world) == ["a00", "b00"]

    pass_time(world, runner, 11, "z1")
    assert len(evicted(world)) == 4
