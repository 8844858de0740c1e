"""Nodes: ranges of pod addresses, leases, taints; and Events, which end by age as leases do."""

from ipaddress import IPv4Network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitops.admission import Settings
from gitops.controllers.bootstrap import bootstrap
from gitops.controllers.event_ttl import EVENT_TTL
from gitops.controllers.node_cidr import node_cidr
from gitops.controllers.node_lifecycle import node_lifecycle
from gitops.kinds.coordination import Lease
from gitops.kinds.core.event import EVENT, Event
from gitops.kinds.core.node import NODE, Node, node_condition
from gitops.kinds.objects import key_of
from gitops.reconcile import Writes
from gitops.runner import Context, Runner, transaction
from tests.unit.controllers.world import NOW, World, a_node

RANGE = IPv4Network("10.77.0.0/16")


def ranges(world: World) -> dict[str, str]:
    return {str(one["metadata"].get("name")): one["spec"].get("podCIDR", "") for one in world.view.list(NODE)}


def a_lease(node: str, second: int = 0) -> Lease:
    meta: Any = {"name": node, "namespace": "kube-node-lease", "uid": f"lease-{node}"}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": meta,
        "spec": {"holderIdentity": node, "renewTime": f"2026-01-02T03:04:{second:02}.000000Z"},
    }


def pass_time(world: World, runner: Runner, seconds: int, *alive: str) -> None:
    """Time in which these nodes renew their leases."""
    for second in range(seconds):
        if second % 10 == 0:
            world.mint.minted += 1
            world.put(*(a_lease(name, world.mint.minted % 60) for name in alive))
        world.wait(runner, 1)


def taints(node: Node) -> list[tuple[str, str]]:
    return [(one["key"], one["effect"]) for one in node["spec"].get("taints", [])]


def ready(node: Node) -> str:
    found = node_condition(node, "Ready")
    return found["status"] if found else ""


def test_each_node_gets_the_lowest_free_range() -> None:
    world = World(a_node("a"), a_node("b", podCIDR="10.77.0.0/24"), a_node("c"))

    world.settle(world.runner(node_cidr(RANGE)))

    assert ranges(world) == {"a": "10.77.1.0/24", "b": "10.77.0.0/24", "c": "10.77.2.0/24"}
    assert world.read(NODE, "a", "")["spec"].get("podCIDRs") == ["10.77.1.0/24"]


def test_the_range_of_a_node_that_left_is_given_again() -> None:
    world = World(a_node("a"), a_node("b"))
    runner = world.runner(node_cidr(RANGE))
    world.settle(runner)

    world.remove(NODE.key("", "a"))
    world.put(a_node("c"))
    world.settle(runner)

    assert ranges(world) == {"b": "10.77.1.0/24", "c": "10.77.0.0/24"}


def test_with_all_ranges_given_away_a_node_waits_for_one() -> None:
    world = World(a_node("a"), a_node("b"))
    runner = world.runner(node_cidr(IPv4Network("10.77.0.0/24")))
    world.settle(runner)
    assert ranges(world) == {"a": "10.77.0.0/24", "b": ""}

    world.remove(NODE.key("", "a"))
    world.wait(runner, 30)

    assert ranges(world) == {"b": "10.77.0.0/24"}


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=25))
def test_ranges_never_overlap(changes: list[tuple[int, bool]]) -> None:
    world = World()
    runner = world.runner(node_cidr(IPv4Network("10.77.0.0/20")))
    for number, comes in changes:
        name = f"n{number}"
        if not comes:
            world.remove(NODE.key("", name))
        elif world.view.get(NODE, NODE.key("", name)) is None:
            world.put(a_node(name))
        if number % 3:
            world.settle(runner)
    world.settle(runner)

    given_away = list(ranges(world).values())
    assert "" not in given_away
    assert len(set(given_away)) == len(given_away)


def test_a_node_that_stops_renewing_its_lease_is_unknown_and_tainted_after_forty_seconds() -> None:
    world = World(a_node("a"), a_lease("a"), a_node("b"))
    runner = world.runner(node_lifecycle(NOW))
    world.settle(runner)

    pass_time(world, runner, 39, "b")
    assert ready(world.read(NODE, "a", "")) == "True"

    pass_time(world, runner, 2, "b")
    assert ready(world.read(NODE, "a", "")) == "Unknown"
    assert taints(world.read(NODE, "a", "")) == [
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    ]


def test_a_renewed_lease_keeps_a_node_and_its_clock_does_not_matter() -> None:
    world = World(a_node("a"), a_lease("a"))
    runner = world.runner(node_lifecycle(NOW))
    for second in range(1, 6):
        world.wait(runner, 30)
        world.put(a_lease("a", second))  # Its own times lie an hour back, say; only the write counts.
        world.settle(runner)

    assert ready(world.read(NODE, "a", "")) == "True"


def test_a_master_that_was_away_judges_nobody_before_it_has_watched_itself() -> None:
    world = World(a_node("a"), a_lease("a"))
    world.clock.seconds = 3600
    runner = world.runner(node_lifecycle(world.clock.now()))
    world.settle(runner)

    world.wait(runner, 39)
    assert ready(world.read(NODE, "a", "")) == "True"

    world.wait(runner, 2)
    assert ready(world.read(NODE, "a", "")) == "Unknown"


def test_a_node_that_speaks_again_loses_our_taints_and_keeps_others() -> None:
    own = {"key": "only", "value": "gpu", "effect": "NoSchedule"}
    world = World(a_node("a", taints=[own]), a_lease("a"), a_node("b"))
    runner = world.runner(node_lifecycle(NOW))
    world.settle(runner)
    pass_time(world, runner, 60, "b")
    assert len(taints(world.read(NODE, "a", ""))) == 3

    spoken: Node = {**world.read(NODE, "a", ""), "status": a_node("a")["status"]}
    world.put(a_lease("a", 30), spoken)
    world.settle(runner)

    assert taints(world.read(NODE, "a", "")) == [("only", "NoSchedule")]


def test_a_node_that_is_not_ready_or_cordoned_is_tainted() -> None:
    world = World(a_node("a", ready="False"), a_node("b", unschedulable=True))

    world.settle(world.runner(node_lifecycle(NOW)))

    assert taints(world.read(NODE, "a", "")) == [
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
    ]
    assert taints(world.read(NODE, "b", "")) == [("node.kubernetes.io/unschedulable", "NoSchedule")]


def test_a_node_under_pressure_is_tainted_until_it_ends() -> None:
    node: Any = a_node("a")
    conditions = node["status"]["conditions"]
    for name in ("MemoryPressure", "DiskPressure", "PIDPressure"):
        conditions.append({"type": name, "status": "True" if name == "DiskPressure" else "False"})
    world = World(node)
    runner = world.runner(node_lifecycle(NOW))
    world.settle(runner)
    assert taints(world.read(NODE, "a", "")) == [("node.kubernetes.io/disk-pressure", "NoSchedule")]

    tainted: Any = world.read(NODE, "a", "")
    calm = [{**one, "status": "False"} if one["type"] != "Ready" else one for one in conditions]
    after: Any = {**tainted, "status": {**tainted["status"], "conditions": calm}}
    world.put(after)
    world.settle(runner)

    assert taints(world.read(NODE, "a", "")) == []


def test_an_event_is_removed_an_hour_after_its_last_count() -> None:
    meta: Any = {"name": "e", "namespace": "shop", "uid": "event-e"}
    event: Event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": meta,
        "involvedObject": {"kind": "Pod"},
        "count": 1,
    }
    world = World(event)
    runner = world.runner(EVENT_TTL)
    world.settle(runner)
    world.wait(runner, 3000)

    counted: Event = {**event, "count": 2}
    world.put(counted)
    world.settle(runner)
    world.wait(runner, 3500)
    assert world.names(EVENT) == ["e"]

    world.wait(runner, 200)
    assert world.names(EVENT) == []


def test_what_exists_from_the_start_is_admitted() -> None:
    service_cidr = IPv4Network("10.78.0.0/16")
    world = World()
    context = Context(world.view, NOW, world.mint, "bootstrap", Settings(service_cidr))
    for obj in bootstrap(service_cidr, service_cidr[1], 6443):
        txn = transaction(context, key_of(obj), Writes(create=(obj,)))
        assert txn is not None
        world.store.commit_now(txn)

    assert [str(one["metadata"].get("name")) for one in world.view.list_namespace("default")] == [
        "kubernetes",
        "kubernetes",
        "kubernetes",
    ]
