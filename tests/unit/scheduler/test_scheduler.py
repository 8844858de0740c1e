"""The scheduler: where pods go, why they do not, and that no place is given twice."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.core.amounts import requests_of
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.core.pod import POD, Pod, pod_condition
from gitops.kinds.objects import key_of
from gitops.scheduler import SCHEDULER
from gitops.scheduler.scheduler import reconcile
from tests.unit.controllers.world import NOW, World, a_node, a_pod, a_replica_set

UNHELPFUL = " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


class Case(NamedTuple):
    nodes: list[Node]
    pod: Pod
    node: str = ""  # Where it goes; '' and a message: nowhere.
    message: str = ""


def waiting(name: str = "p", **stated: Any) -> Pod:
    return a_pod(name, node="", **stated)


def tainted(name: str, effect: str = "NoSchedule", value: str = "gpu") -> Node:
    return a_node(name, taints=[{"key": "only", "value": value, "effect": effect}])


SHORT_OF_MEMORY = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}
SPEC = {
    "the one node": Case([a_node("a")], waiting(), "a"),
    "no node at all": Case([], waiting(), message="no nodes available to schedule pods"),
    "too little cpu": Case(
        [a_node("a", cpu="1")],
        waiting(cpu="2"),
        message="0/1 nodes are available: 1 Insufficient cpu." + UNHELPFUL,
    ),
    "the node with more room": Case([a_node("a", cpu="2"), a_node("b", cpu="16")], waiting(cpu="1"), "b"),
    "a full node": Case(
        [a_node("a", pods="0")],
        waiting(),
        message="0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod.",
    ),
    "everything that is lacking is named": Case(
        [a_node("a", cpu="1", pods="0")],
        waiting(cpu="2"),
        message="0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods." + UNHELPFUL,
    ),
    "reasons are counted and sorted": Case(
        [a_node("a", cpu="1"), tainted("b"), tainted("c"), a_node("d", unschedulable=True)],
        waiting(cpu="2"),
        message="0/4 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, "
        "2 node(s) had untolerated taint(s). "
        "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.",
    ),
    "a toleration of the value": Case(
        [tainted("a")],
        waiting(tolerations=[{"key": "only", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]),
        "a",
    ),
    "a toleration of everything": Case([tainted("a")], waiting(tolerations=[{"operator": "Exists"}]), "a"),
    "a toleration of another value": Case(
        [tainted("a")],
        waiting(tolerations=[{"key": "only", "operator": "Equal", "value": "cpu"}]),
        message="0/1 nodes are available: 1 node(s) had untolerated taint(s)." + UNHELPFUL,
    ),
    "memory pressure keeps away what requests nothing": Case(
        [a_node("a", taints=[SHORT_OF_MEMORY])],
        waiting(),
        message="0/1 nodes are available: 1 node(s) had untolerated taint(s)." + UNHELPFUL,
    ),
    "memory pressure does not keep away what requests something": Case(
        [a_node("a", taints=[SHORT_OF_MEMORY])], waiting(cpu="1"), "a"
    ),
    "a node that would rather not": Case(
        [tainted("a", "PreferNoSchedule"), a_node("b", cpu="1")], waiting(), "b"
    ),
    "a node that is not ready": Case(
        [a_node("a", ready="False")],
        waiting(),
        message="0/1 nodes are available: 1 node(s) had untolerated taint(s)." + UNHELPFUL,
    ),
    "a node selector": Case(
        [a_node("a"), a_node("b", cpu="1", labels={"disk": "ssd"})],
        waiting(nodeSelector={"disk": "ssd"}),
        "b",
    ),
    "a node selector that nothing fits": Case(
        [a_node("a")],
        waiting(nodeSelector={"disk": "ssd"}),
        message="0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + UNHELPFUL,
    ),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_one_pod(case: Case) -> None:
    world = World(*case.nodes, case.pod)

    world.settle(world.runner(SCHEDULER))

    pod = world.read(POD, "p")
    scheduled = pod_condition(pod, "PodScheduled")
    assert scheduled is not None
    assert pod["spec"].get("nodeName", "") == case.node
    assert scheduled.get("message", "") == case.message
    assert scheduled["status"] == ("True" if case.node else "False")
    wanted = f"Scheduled: Successfully assigned shop/p to {case.node}"
    assert world.events() == [wanted if case.node else f"FailedScheduling: {case.message}"]


def test_a_pod_of_another_scheduler_is_left_alone() -> None:
    pod = waiting(schedulerName="mine")
    world = World(a_node(), pod)

    assert not reconcile(world.view, key_of(pod), NOW)


def test_a_pod_that_did_not_fit_is_bound_when_a_node_comes() -> None:
    world = World(waiting(cpu="2"))
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    world.put(a_node("late"))
    world.settle(runner)

    assert world.read(POD, "p")["spec"].get("nodeName") == "late"


@pytest.mark.parametrize("leaves", ["deleted", "Succeeded"])
def test_a_pod_that_did_not_fit_is_bound_when_another_leaves(leaves: str) -> None:
    world = World(a_node("a", cpu="2"), a_pod("old", node="a", cpu="2"), waiting(cpu="2"))
    runner = world.runner(SCHEDULER)
    world.settle(runner)
    assert "nodeName" not in world.read(POD, "p")["spec"]

    if leaves == "deleted":
        world.remove(POD.key("shop", "old"))
    else:
        world.put(a_pod("old", node="a", cpu="2", phase=leaves))
    world.settle(runner)

    assert world.read(POD, "p")["spec"].get("nodeName") == "a"


def test_what_was_said_once_is_not_said_again() -> None:
    world = World(a_node("a", cpu="1"), waiting(cpu="2"))
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    world.put(a_node("a", cpu="1", labels={"touched": "yes"}))

    assert world.settle(runner) == 0


def test_pods_of_one_owner_are_spread_where_scores_tie() -> None:
    owner = a_replica_set(6)
    nodes = [a_node(f"node-{number}", cpu="1000") for number in range(3)]
    world = World(*nodes, *(waiting(f"p{number}", owner=owner) for number in range(6)))

    world.settle(world.runner(SCHEDULER))

    places = [str(pod["spec"].get("nodeName")) for pod in world.view.list(POD)]
    assert {place: places.count(place) for place in sorted(places)} == {"node-0": 2, "node-1": 2, "node-2": 2}


def test_requests_are_the_larger_of_running_and_starting() -> None:
    """Source: Kubernetes, "Sidecar containers", resource sharing within containers."""

    def container(name: str, cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "image": "i", "resources": {"requests": {"cpu": cpu}}, **more}

    pod = waiting(
        containers=[container("app", "300m"), container("proxy", "200m")],
        initContainers=[
            container("early", "400m"),
            container("sidecar", "100m", restartPolicy="Always"),
            container("late", "700m"),
        ],
    )

    assert requests_of(pod) == {"cpu": 800}


@given(
    capacities=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    wishes=st.lists(st.integers(0, 6), max_size=12),
)
def test_no_node_is_ever_given_more_than_it_has(capacities: list[int], wishes: list[int]) -> None:
    """Safety: requests fit. Liveness: a pod waits only where no node has room for it."""
    nodes = [a_node(f"n{index}", cpu=str(cpu), pods="5") for index, cpu in enumerate(capacities)]
    pods = [waiting(f"p{index}", cpu=str(cpu)) for index, cpu in enumerate(wishes)]
    world = World(*nodes, *pods)

    world.settle(world.runner(SCHEDULER))

    free = {}
    for node in world.view.list(NODE):
        name = str(node["metadata"].get("name"))
        taken = [requests_of(pod).get("cpu", 0) for pod in world.view.on_node(POD, name)]
        free[name] = (int(capacities[int(name[1:])]) * 1000 - sum(taken), 5 - len(taken))
        assert min(free[name]) >= 0
    for pod in world.view.list(POD):
        if not pod["spec"].get("nodeName"):
            wish = requests_of(pod).get("cpu", 0)
            assert not any(cpu >= wish and places >= 1 for cpu, places in free.values())
