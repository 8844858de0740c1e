"""Whatever is lost, late or double: two leaders, stale decisions, crashes at every step, and never a pod too many."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.amounts import requests_of
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Unavailable
from gitops.kinds.objects import is_going, key_of
from gitops.runner import Decision, Runner
from gitops.scheduler import SCHEDULER
from gitops.store.contract import Put, Txn
from tests.unit.controllers.world import World, a_deployment, a_node, a_pod, with_spec

CONTROLLERS = (DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER)
SEEDS: Final = 100
ACTIONS_MAX: Final = 60
# Mostly what opens the fence without a touch: a pod is replaced, and lost again before the status says so.
STEPS: Final = (
    *(["decide", "kill"] * 6 + ["commit all"] * 4),
    *("commit", "refuse", "lose", "crash", "scale", "kubelet"),
)


class Cluster:
    """Two leaders that decide at the same time. Their decisions wait in any number and are committed in any order,
    refused, or lost with their process. `weaken`: what a broken runner would have sent."""

    def __init__(self, weaken: Callable[[Decision], Txn] = lambda decision: decision.txn) -> None:
        self.world = World(a_node(cpu="1000", pods="1000"), a_deployment(2))
        self.leaders = [self.world.runner(*CONTROLLERS), self.world.runner(*CONTROLLERS)]
        self.held: list[tuple[Runner, Decision]] = []
        self.wished = 2
        self._weaken = weaken

    def alive(self) -> int:
        return sum(not is_going(pod) for pod in self.world.view.list(POD))

    def act(self, action: str, number: int) -> None:
        world = self.world
        if action == "decide":
            for leader in self.leaders:
                while (decision := leader.step()) is not None:
                    self.held.append((leader, decision))
        elif action == "commit all":
            while self.held:
                self._commit(number)
            world.clock.seconds += 0.02  # The loser's back-off.
        elif action == "crash":
            self._crash(self.leaders[number % 2])
        elif action == "scale":
            world.put(with_spec(world.read(DEPLOYMENT, "web"), replicas=number % 4))
            self.wished = max(self.wished, number % 4)
        elif action == "kill" and (pods := world.pods()):
            world.remove(key_of(pods[number % len(pods)]))
        elif action == "kubelet":
            world.kubelet()
        elif action == "commit" and self.held:
            self._commit(number)
        elif action == "refuse" and self.held:
            runner, decision = self.held.pop(number % len(self.held))
            runner.settle(decision, Unavailable("the disk is full"))
        elif action == "lose" and self.held:
            runner, decision = self.held.pop(number % len(self.held))
            world.commit(self._weakened(decision))
            self._crash(runner)  # It was durable, and its process died before it heard so.

    def finish(self) -> None:
        """Commit what is held, and let both leaders come to rest."""
        while self.held:
            self._commit(0)
        for _ in range(30):
            for leader in self.leaders:
                self.world.settle(leader)
            self.world.clock.seconds += 1

    def _commit(self, number: int) -> None:
        runner, decision = self.held.pop(number % len(self.held))
        runner.settle(decision, self.world.commit(self._weakened(decision)))

    def _weakened(self, decision: Decision) -> Decision:
        return replace(decision, txn=self._weaken(decision))

    def _crash(self, runner: Runner) -> None:
        """Another process takes its place; what it had decided may still arrive."""
        self.leaders = [self.world.runner(*CONTROLLERS) if one is runner else one for one in self.leaders]


def run(cluster: Cluster, seed: int) -> bool:
    """Random actions. Whether there was ever a pod too many; surge is for rolls, of which there is none."""
    source = random.Random(seed)  # Not for secrets.
    for _ in range(source.randrange(ACTIONS_MAX)):
        cluster.act(source.choice(STEPS), source.randrange(7))
        if cluster.alive() > cluster.wished:
            return True
    return False


@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_leaders_that_crash_never_make_a_pod_too_many(seed: int) -> None:
    cluster = Cluster()

    assert not run(cluster, seed)

    cluster.finish()
    wanted = cluster.world.read(DEPLOYMENT, "web")["spec"]["replicas"]
    assert len(cluster.world.pods()) == wanted
    assert all(pod["spec"].get("nodeName") == "node-a" for pod in cluster.world.pods())


def without_fence(decision: Decision) -> Txn:
    """Neither a check of the reconciled object nor a precondition where it is written."""
    key, txn = decision.item.key, decision.txn
    ops = tuple(
        replace(op, expect=None) if isinstance(op, Put) and key_of(op.obj) == key else op for op in txn.ops
    )
    return replace(txn, ops=ops, checks=())


def without_touch(decision: Decision) -> Txn:
    """The reconciled object is checked, but not written where nothing in it differs."""
    ops = tuple(replace(op, touch=False) if isinstance(op, Put) else op for op in decision.txn.ops)
    return replace(decision.txn, ops=ops)


@pytest.mark.parametrize("weaken", [without_fence, without_touch])
def test_these_seeds_catch_a_runner_without_fence_or_touch(weaken: Callable[[Decision], Txn]) -> None:
    assert any(run(Cluster(weaken), seed) for seed in range(SEEDS))


@given(
    wishes=st.lists(st.integers(1, 3), min_size=1, max_size=8),
    order=st.lists(st.integers(0, 7), max_size=30),
)
def test_one_leader_never_gives_a_place_twice_however_late_commits_come(
    wishes: list[int], order: list[int]
) -> None:
    """A round is decided together; while one of its bindings is in flight there is no other."""
    pods: list[Any] = [a_pod(f"p{index}", node="", cpu=str(cpu)) for index, cpu in enumerate(wishes)]
    world = World(a_node(cpu="4"), *pods)
    runner = world.runner(SCHEDULER)
    held: list[Decision] = []
    for number in order:
        if number % 2 and (decision := runner.step()) is not None:
            held.append(decision)
        elif held:
            decision = held.pop(number % len(held))
            runner.settle(decision, world.commit(decision))
    for decision in held:
        runner.settle(decision, world.commit(decision))
    world.settle(runner)

    taken = sum(requests_of(pod).get("cpu", 0) for pod in world.view.on_node(POD, "node-a"))
    assert taken <= 4000
