"""ReplicaSet: the number of its pods, who goes first, who is adopted and released, and what it tells."""

from datetime import timedelta
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.replicaset import REPLICASET_CONTROLLER, reconcile
from gitops.kinds.apps import REPLICA_SET, ReplicaSet
from gitops.kinds.core.pod import POD, Pod, PodPhase
from gitops.kinds.objects import controller_of, key_of, with_meta
from tests.unit.controllers.world import NOW, World, a_node, a_pod, a_replica_set, with_spec

OWNER = a_replica_set()


def pod(name: str, **stated: object) -> Pod:
    return a_pod(name, owner=OWNER, **stated)  # type: ignore[arg-type] # Passed on.


class Case(NamedTuple):
    replicas: int
    pods: list[Pod]
    created: int = 0
    deleted: tuple[str, ...] = ()


SPEC = {
    "as many as wanted: nothing happens": Case(2, [pod("a"), pod("b")]),
    "too few pods: the missing ones are created": Case(3, [pod("a"), pod("b")], created=1),
    "far too few: a burst is created": Case(900, [], created=500),
    "a failed pod is not counted, and not deleted": Case(1, [pod("a", phase="Failed")], created=1),
    "a pod that stops is not counted": Case(1, [pod("a", going=True)], created=1),
    "too many: one without a node goes first": Case(1, [pod("a"), pod("b", node="")], deleted=("b",)),
    "then a pending one": Case(1, [pod("a"), pod("b", phase="Pending")], deleted=("b",)),
    "then one that is not ready": Case(1, [pod("a"), pod("b", ready=False)], deleted=("b",)),
    "then one on the more crowded node": Case(
        2, [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")], deleted=("b",)
    ),
    "none wanted: all go": Case(0, [pod("a"), pod("b")], deleted=("a", "b")),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_replicaset(case: Case) -> None:
    owner = a_replica_set(case.replicas)
    world = World(owner, *case.pods)

    writes = reconcile(world.view, key_of(owner), NOW)

    assert len(writes.create) == case.created
    assert tuple(key.name for key in writes.delete) == case.deleted


def test_the_cheapest_pod_goes_before_a_crowded_node_counts() -> None:
    cheap = with_meta(pod("b", node="n1"), annotations={"controller.kubernetes.io/pod-deletion-cost": "-1"})
    owner = a_replica_set(2)
    world = World(owner, pod("a", node="n2"), cheap, pod("c", node="n2"))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert [key.name for key in writes.delete] == ["b"]


def test_the_newest_of_equal_pods_goes_first() -> None:
    owner = a_replica_set(1)
    young = with_meta(pod("a"), creationTimestamp="2026-01-02T03:09:00Z")
    world = World(owner, young, pod("b"))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert [key.name for key in writes.delete] == ["a"]


def test_a_matching_pod_without_an_owner_is_adopted_and_counted() -> None:
    owner = a_replica_set(1)
    world = World(owner, a_pod("stray"))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert not writes.create
    assert [controller_of(one) for one in writes.update] == [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "web",
            "uid": "replicaset-web",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_a_pod_that_no_longer_matches_is_released_and_replaced() -> None:
    owner = a_replica_set(1)
    world = World(owner, pod("a", labels={"app": "other"}))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert len(writes.create) == 1
    assert [controller_of(one) for one in writes.update] == [None]


def test_a_pod_of_another_controller_is_left_alone() -> None:
    owner = a_replica_set(1)
    world = World(owner, a_pod("a", owner=a_replica_set(1, "other")))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert len(writes.create) == 1
    assert not writes.update
    assert not writes.delete


def test_the_status_counts_what_is_there() -> None:
    owner = a_replica_set(3)
    world = World(owner, pod("a"), pod("b", ready=False), pod("c", going=True))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert cast(dict[str, object], writes.status)["status"] == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 1,
    }


def test_a_ready_pod_becomes_available_by_waiting() -> None:
    owner = a_replica_set(1, minReadySeconds=10)
    world = World(owner, pod("a"))
    runner = world.runner(REPLICASET_CONTROLLER)

    world.settle(runner)
    assert "availableReplicas" not in world.read(REPLICA_SET, "web").get("status", {})

    world.wait(runner, 10)
    assert world.read(REPLICA_SET, "web").get("status", {}).get("availableReplicas") == 1


def test_a_replicaset_that_is_going_makes_no_pods() -> None:
    owner = with_meta(a_replica_set(3), deletionTimestamp="2026-01-02T03:04:05Z")
    world = World(owner)

    assert not reconcile(world.view, key_of(owner), NOW)


def test_refused_pods_become_a_condition_that_goes_away() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    broken = a_replica_set(1, template=template)
    world = World(broken)
    runner = world.runner(REPLICASET_CONTROLLER)

    world.settle(runner)
    told = world.read(REPLICA_SET, "web").get("status", {}).get("conditions", [])
    assert [(one["type"], one.get("reason")) for one in told] == [("ReplicaFailure", "FailedCreate")]
    assert [line.partition(":")[0] for line in world.events()] == ["FailedCreate"]

    repaired: ReplicaSet = {**world.read(REPLICA_SET, "web"), "spec": OWNER["spec"]}
    world.put(repaired)
    world.settle(runner)
    assert "conditions" not in world.read(REPLICA_SET, "web").get("status", {})
    assert len(world.pods()) == 1


phases: st.SearchStrategy[PodPhase] = st.sampled_from(["Pending", "Running", "Succeeded", "Failed"])
some_pods = st.lists(
    st.builds(
        lambda number, phase, node, owned, going: (f"p{number}", phase, node, owned, going),
        st.integers(0, 30),
        phases,
        st.sampled_from(["", "n1", "n2"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=20,
    unique_by=lambda stated: stated[0],
)


@given(replicas=st.integers(0, 12), pods=some_pods)
def test_left_alone_a_replicaset_settles_at_its_size(
    replicas: int, pods: list[tuple[str, str, str, bool, bool]]
) -> None:
    """Safety: never a create with a delete. Liveness: settled, wherever it started."""
    owner = a_replica_set(replicas)
    made = [
        a_pod(name, phase=phase, node=node, owner=owner if owned else None, going=going)
        for name, phase, node, owned, going in pods
    ]
    world = World(owner, *made)
    first = reconcile(world.view, key_of(owner), NOW)
    assert not (first.create and first.delete)

    runner = world.runner(REPLICASET_CONTROLLER)
    world.settle(runner)

    assert not reconcile(world.view, key_of(owner), NOW + timedelta(seconds=1))
    assert len(world.pods()) == replicas


def test_created_and_deleted_pods_are_told_by_name() -> None:
    world = World(a_node(), a_replica_set(2))
    runner = world.runner(REPLICASET_CONTROLLER)
    world.settle(runner)

    names = world.names(POD)
    assert sorted(world.events()) == [f"SuccessfulCreate: Created pod: {name}" for name in names]

    world.put(with_spec(world.read(REPLICA_SET, "web"), replicas=1))
    world.settle(runner)

    (left,) = [str(pod["metadata"].get("name")) for pod in world.pods()]
    (gone,) = set(names) - {left}
    assert f"SuccessfulDelete: Deleted pod: {gone}" in world.events()


def test_many_pods_are_told_of_by_ten_events_and_one_for_the_others() -> None:
    world = World(a_node(), a_replica_set(40))

    world.settle(world.runner(REPLICASET_CONTROLLER))

    combined = [text for text in world.events() if "combined" in text]
    assert len(world.events()) == 11
    assert len(combined) == 1
    assert combined[0].startswith("SuccessfulCreate: (combined from similar events): Created pod: web-")


@given(
    pods=st.lists(
        st.tuples(
            st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
            *[st.booleans()] * 3,
            st.sampled_from(["owned", "orphan", "stranger", "unlabelled"]),
        ),
        max_size=8,
    ),
    replicas=st.integers(0, 6),
)
def test_counting_gives_what_listing_gives(
    pods: list[tuple[str, bool, bool, bool, str]], replicas: int
) -> None:
    """`minReadySeconds` of 1 takes the road that lists; all pods have been ready for longer."""
    answers = []
    for min_ready in (0, 1):
        owner = a_replica_set(replicas, minReadySeconds=min_ready)
        world = World(owner)
        world.put(*(_random_pod(number, owner, *one) for number, one in enumerate(pods)))
        world.clock.seconds = 60
        found = reconcile(world.view, REPLICA_SET.key("shop", "web"), world.clock.now())
        status = cast(Any, found.status)["status"] if found.status else None
        answers.append((len(found.create), found.update, found.delete, status, len(found.events)))

    assert answers[0] == answers[1]


def _random_pod(
    number: int, owner: ReplicaSet, phase: str, ready: bool, going: bool, bound: bool, kind: str
) -> Pod:
    labels = {"app": "other"} if kind == "unlabelled" else {"app": "web"}
    keeper: ReplicaSet | None = owner if kind in ("owned", "unlabelled") else None
    if kind == "stranger":
        keeper = a_replica_set(name="another")
    return a_pod(
        f"p{number}",
        phase=phase,
        ready=ready,
        going=going,
        owner=keeper,
        labels=labels,
        node="node-a" if bound else "",
    )
