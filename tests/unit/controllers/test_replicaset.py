"""ReplicaSet: the number of its pods, who goes first, who is adopted and released, and what it tells."""

from datetime import timedelta
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.replicaset import REPLICASET_CONTROLLER, reconcile
from gitops.kinds.apps import REPLICA_SET, ReplicaSet
from gitops.kinds.core.pod import POD, Pod, PodPhase
from gitops.kinds.objects import controller_of, key_of, timestamp, with_meta
from tests.unit.controllers.world import (
    NOW,
    World,
    a_deployment,
    a_node,
    a_pod,
    a_replica_set,
    reference,
    running,
    with_spec,
)

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


def minutes_ago(minutes: float) -> str:
    return timestamp(NOW - timedelta(minutes=minutes))


def aged(name: str, *, created: float = 60, ready: float = 60, restarts: int = 0, cost: str = "") -> Pod:
    """A pod that runs and is Ready; ages in minutes."""
    made = with_meta(pod(name), creationTimestamp=minutes_ago(created))
    if cost:
        made = with_meta(made, annotations={"controller.kubernetes.io/pod-deletion-cost": cost})
    told = [{"type": "Ready", "status": "True", "lastTransitionTime": minutes_ago(ready)}]
    counts = [{"name": "web", "restartCount": restarts}]
    status = {**made.get("status", {}), "conditions": told, "containerStatuses": counts}
    return cast(Pod, {**made, "status": status})


FIRST_TO_GO: dict[str, tuple[Pod, Pod, list[Pod]]] = {
    # Who goes, who stays, and who else is there.
    "without a node before pending": (
        pod("b", node=""), with_meta(pod("a", phase="Pending", ready=False), uid="0"), []),
    "pending before not ready": (pod("b", phase="Pending", ready=False), pod("a", ready=False), []),
    "not ready before ready, however dear": (
        with_meta(pod("b", ready=False), annotations={"controller.kubernetes.io/pod-deletion-cost": "100"}),
        pod("a"), []),
    "cheap before a crowded node": (
        with_meta(pod("b", node="n1"), annotations={"controller.kubernetes.io/pod-deletion-cost": "-1"}),
        pod("a", node="n2"), [pod("c", node="n2")]),
    "a cost that is no number counts as none": (aged("b", cost="0"), aged("a", cost="5"), [aged("c", cost="x")]),
    "newly ready before one that has been for long": (aged("b", ready=1), aged("a", created=1), []),
    "restarted before never": (aged("b", restarts=3), aged("a", restarts=1), []),
    "new before old": (aged("b", created=1), aged("a", created=60), []),
    "of about one age it is the uid, not who is younger": (
        with_meta(aged("b", created=70), uid="0"), aged("a", created=69), []),
    "an age that nobody told is the youngest": (
        cast(Pod, {**pod("b"), "metadata": {
            name: value for name, value in pod("b")["metadata"].items() if name != "creationTimestamp"}}),
        aged("a", created=1, ready=0), []),
}  # fmt: skip


@pytest.mark.parametrize(("goes", "stays", "others"), FIRST_TO_GO.values(), ids=FIRST_TO_GO.keys())
def test_who_goes_first(goes: Pod, stays: Pod, others: list[Pod]) -> None:
    owner = a_replica_set(1 + len(others))
    world = World(owner, goes, stays, *others)

    writes = reconcile(world.view, key_of(owner), NOW)

    assert [key.name for key in writes.delete] == [goes["metadata"].get("name")]


def test_a_crowded_node_counts_the_pods_of_sibling_replica_sets_too() -> None:
    parent = a_deployment()
    owner = with_meta(a_replica_set(1), ownerReferences=[reference(parent)])
    sibling = with_meta(a_replica_set(1, name="old"), ownerReferences=[reference(parent)])
    beside = a_pod("other", node="n2", owner=sibling, labels={"app": "old"})
    world = World(parent, owner, sibling, beside, pod("a", node="n1"), pod("b", node="n2"))

    writes = reconcile(world.view, key_of(owner), NOW)

    assert [key.name for key in writes.delete] == ["b"]


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


def test_a_change_of_a_ready_pod_does_not_make_it_unavailable_again() -> None:
    owner = a_replica_set(1, minReadySeconds=10)
    world = World(owner, pod("a"))
    runner = world.runner(REPLICASET_CONTROLLER)
    world.wait(runner, 10)

    for _ in range(3):
        world.put(with_meta(world.read(POD, "a"), annotations={"touched": str(world.clock.seconds)}))
        world.wait(runner, 4)
        assert world.read(REPLICA_SET, "web").get("status", {}).get("availableReplicas") == 1


def test_a_pod_that_became_ready_in_the_future_of_an_agents_clock_is_available_in_time() -> None:
    owner = a_replica_set(1, minReadySeconds=10)
    world = World(owner, running(pod("a"), ready=True, at=NOW + timedelta(hours=1)))
    runner = world.runner(REPLICASET_CONTROLLER)

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
