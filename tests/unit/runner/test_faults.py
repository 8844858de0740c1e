"""Whatever is lost, late or double: two leaders, stale decisions, crashes at every step, and never a pod too many."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Unavailable
from gitops.kinds.objects import is_going, key_of
from gitops.runner import Decision, Runner
from gitops.scheduler import SCHEDULER
from gitops.scheduler.nodes import requests_of
from tests.unit.controllers.world import World, a_deployment, a_node, a_pod, with_spec

CONTROLLERS = (DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER)

Held = list[tuple[Runner, Decision]]

STEPS = ["decide", "commit", "commit all", "refuse", "lose", "crash", "scale", "kill", "kubelet"]
ACTIONS = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 6)), max_size=60)


@given(ACTIONS)
def test_two_leaders_that_crash_never_make_a_pod_too_many(actions: list[tuple[str, int]]) -> None:
    """Decisions of both wait in any number and are committed in any order, refused, or lost with their process."""
    world = World(a_node(cpu="1000", pods="1000"), a_deployment(2))
    leaders = [world.runner(*CONTROLLERS), world.runner(*CONTROLLERS)]
    held: Held = []
    wished = 2
    for action, number in actions:
        _act(world, leaders, held, action, number)
        if action == "scale":
            wished = max(wished, number)
        alive = [pod for pod in world.view.list(POD) if not is_going(pod)]
        assert len(alive) <= wished, "surge is for rolls; a pod was made twice"

    for runner, decision in held:
        runner.settle(decision, world.commit(decision))
    for _ in range(30):
        for leader in leaders:
            world.settle(leader)
        world.clock.seconds += 1
    wanted = world.read(DEPLOYMENT, "web")["spec"]["replicas"]
    assert len(world.pods()) == wanted
    assert all(pod["spec"].get("nodeName") == "node-a" for pod in world.pods())


def _act(world: World, leaders: list[Runner], held: Held, action: str, number: int) -> None:
    which = number % 2
    if action == "decide":
        for leader in leaders:
            while (decision := leader.step()) is not None:
                held.append((leader, decision))
    elif action == "commit all":
        while held:
            runner, decision = held.pop(number % len(held))
            runner.settle(decision, world.commit(decision))
        world.clock.seconds += 0.02  # The loser's back-off.
    elif action == "crash":
        leaders[which] = world.runner(*CONTROLLERS)
    elif action == "scale":
        world.put(with_spec(world.read(DEPLOYMENT, "web"), replicas=number))
    elif action == "kill" and (pods := world.pods()):
        world.remove(key_of(pods[number % len(pods)]))
    elif action == "kubelet":
        world.kubelet()
    elif action in ("commit", "refuse", "lose") and held:
        runner, decision = held.pop(number % len(held))
        if action == "commit":
            runner.settle(decision, world.commit(decision))
        elif action == "refuse":
            runner.settle(decision, Unavailable("the disk is full"))
        else:
            world.commit(decision)  # It was durable, and the answer never came.


@given(
    wishes=st.lists(st.integers(1, 3), min_size=1, max_size=8),
    order=st.lists(st.integers(0, 7), max_size=30),
)
def test_one_leader_never_gives_a_place_twice_however_late_commits_come(
    wishes: list[int], order: list[int]
) -> None:
    """`serial`: while a binding is in flight the scheduler decides no other."""
    pods: list[Any] = [a_pod(f"p{index}", node="", cpu=str(cpu)) for index, cpu in enumerate(wishes)]
    world = World(a_node(cpu="4"), *pods)
    runner = world.runner(SCHEDULER)
    held: list[Decision] = []
    for number in order:
        if number % 2 and (decision := runner.step()) is not None:
            held.append(decision)
        elif held:
            runner.settle(held[0], world.commit(held.pop(0)))
        assert len(held) <= 1
    for decision in held:
        runner.settle(decision, world.commit(decision))
    world.settle(runner)

    taken = sum(requests_of(pod).get("cpu", 0) for pod in world.view.on_node(POD, "node-a"))
    assert taken <= 4000
