"""Garbage and namespaces: what goes when its owner goes, and in which order a namespace is emptied."""

from typing import Any, cast

import pytest

from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.garbage import GARBAGE_COLLECTOR
from gitops.controllers.namespace import NAMESPACE_CONTROLLER
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.config import CONFIG_MAP, ConfigMap
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD
from gitops.kinds.objects import KubeObject, is_going, with_meta
from gitops.scheduler import SCHEDULER
from tests.unit.controllers.world import World, a_deployment, a_node, a_pod, a_replica_set, reference


def a_map(name: str, *owners: KubeObject) -> ConfigMap:
    meta: Any = {
        "name": name,
        "namespace": "shop",
        "uid": f"map-{name}",
        "ownerReferences": list(map(reference, owners)),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def test_what_a_deployment_made_goes_with_it_and_pods_stop_gracefully() -> None:
    world = World(a_node(), a_deployment(2))
    runner = world.runner(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER, GARBAGE_COLLECTOR)
    world.settle(runner)
    world.kubelet()
    world.settle(runner)

    world.remove(DEPLOYMENT.key("shop", "web"))
    world.settle(runner)

    assert world.names(REPLICA_SET) == []
    assert [is_going(pod) for pod in world.view.list(POD)] == [True, True]


def test_an_owner_that_was_made_again_is_another() -> None:
    owner = a_replica_set()
    world = World(owner, a_map("m", owner))
    runner = world.runner(GARBAGE_COLLECTOR)
    world.settle(runner)
    assert world.names(CONFIG_MAP) == ["m"]

    world.remove(REPLICA_SET.key("shop", "web"))
    world.put(with_meta(owner, uid="another"))
    world.settle(runner)

    assert world.names(CONFIG_MAP) == []


def test_with_one_owner_left_only_the_other_reference_goes() -> None:
    one, two = a_replica_set(name="one"), a_replica_set(name="two")
    world = World(one, two, a_map("m", one, two))
    runner = world.runner(GARBAGE_COLLECTOR)
    world.settle(runner)

    world.remove(REPLICA_SET.key("shop", "one"))
    world.settle(runner)

    left = world.read(CONFIG_MAP, "m")["metadata"].get("ownerReferences", [])
    assert [reference["name"] for reference in left] == ["two"]


def test_an_owner_in_another_namespace_counts_as_absent() -> None:
    foreign = with_meta(a_replica_set(), namespace="elsewhere")
    world = World(foreign, a_map("m", foreign))

    world.settle(world.runner(GARBAGE_COLLECTOR))

    assert world.names(CONFIG_MAP) == []


UNKNOWABLE = {
    "of a kind that nobody serves": (("example.com/v1", "Widget"), "shop"),
    "in a namespace, of an object in none": (("apps/v1", "Deployment"), ""),
}


@pytest.mark.parametrize(("owner", "namespace"), UNKNOWABLE.values(), ids=UNKNOWABLE.keys())
def test_what_an_owner_that_cannot_be_looked_up_owns_is_never_deleted(
    owner: tuple[str, str], namespace: str
) -> None:
    """Kubernetes, "Owners and dependents": it is not able to be garbage collected."""
    references = [{"apiVersion": owner[0], "kind": owner[1], "name": "gone", "uid": "gone"}]
    meta: Any = {"name": "kept", "uid": "kept", "ownerReferences": references}
    kept: Any = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "namespace": namespace}}
    if not namespace:
        kept = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": {}}
    world = World(kept)

    world.settle(world.runner(GARBAGE_COLLECTOR))

    assert world.view.by_uid("kept") is not None


def test_orphans_that_a_dead_process_left_are_found_at_the_start() -> None:
    world = World(a_map("m", a_replica_set()))

    world.settle(world.runner(GARBAGE_COLLECTOR))

    assert world.names(CONFIG_MAP) == []


def going_namespace(world: World) -> None:
    namespace = world.read(NAMESPACE, "shop", "")
    meta = with_meta(namespace, deletionTimestamp="2026-01-02T03:04:05Z")
    world.put(cast(KubeObject, {**meta, "status": {"phase": "Terminating"}}))


def test_a_namespace_is_emptied_pods_first_and_then_vanishes() -> None:
    owner = a_replica_set(1)
    world = World(a_node(), owner, a_pod("p", owner=owner), a_map("m"))
    runner = world.runner(NAMESPACE_CONTROLLER, REPLICASET_CONTROLLER, GARBAGE_COLLECTOR)
    world.settle(runner)

    going_namespace(world)
    world.settle(runner)
    assert world.names(CONFIG_MAP) == ["m"], "the pod has not stopped yet"
    assert len(world.names(POD)) == 1

    world.kubelet()
    world.settle(runner)
    assert world.names(REPLICA_SET) == []
    assert world.names(CONFIG_MAP) == []
    assert world.names(NAMESPACE) == []


def test_an_empty_namespace_vanishes_at_once() -> None:
    world = World()
    runner = world.runner(NAMESPACE_CONTROLLER)
    world.settle(runner)

    going_namespace(world)
    world.settle(runner)

    assert world.names(NAMESPACE) == []


def test_a_finalizer_in_it_holds_a_namespace() -> None:
    held = with_meta(a_map("m"), finalizers=["example.com/hold"])
    world = World(held)
    runner = world.runner(NAMESPACE_CONTROLLER)
    world.settle(runner)

    going_namespace(world)
    world.settle(runner)
    assert is_going(world.read(CONFIG_MAP, "m"))
    assert world.names(NAMESPACE) == ["shop"]

    world.remove(CONFIG_MAP.key("shop", "m"))
    world.settle(runner)
    assert world.names(NAMESPACE) == []


def held(obj: KubeObject, finalizer: str) -> KubeObject:
    """As a deletion with that propagation leaves it."""
    return with_meta(obj, finalizers=[finalizer], deletionTimestamp="2026-01-02T03:04:05Z")


def test_in_the_foreground_an_owner_goes_after_what_it_owns_however_deep() -> None:
    world = World(a_node(), a_deployment(2))
    runner = world.runner(DEPLOYMENT_CONTROLLER, REPLICASET_CONTROLLER, SCHEDULER, GARBAGE_COLLECTOR)
    world.settle(runner)
    world.kubelet()
    world.settle(runner)

    world.put(held(world.read(DEPLOYMENT, "web"), "foregroundDeletion"))
    world.settle(runner)
    assert [is_going(pod) for pod in world.view.list(POD)] == [True, True]
    assert [is_going(one) for one in world.view.list(REPLICA_SET)] == [True]
    assert world.names(DEPLOYMENT) == ["web"]

    world.kubelet()
    world.settle(runner)
    assert world.names(REPLICA_SET) == []
    assert world.names(DEPLOYMENT) == []


def test_in_the_foreground_what_does_not_block_is_not_waited_for() -> None:
    owner = a_replica_set()
    beside = a_map("m")
    loose = {**reference(owner), "blockOwnerDeletion": False}
    world = World(owner, with_meta(beside, ownerReferences=[loose], finalizers=["example.com/kept"]))
    runner = world.runner(GARBAGE_COLLECTOR)
    world.settle(runner)

    world.put(held(owner, "foregroundDeletion"))
    world.settle(runner)

    assert world.names(REPLICA_SET) == []
    assert is_going(world.read(CONFIG_MAP, "m"))


def test_orphans_forget_their_owner_and_stay() -> None:
    owner = a_replica_set()
    world = World(owner, a_map("m", owner), a_map("n", owner))
    runner = world.runner(GARBAGE_COLLECTOR)
    world.settle(runner)

    world.put(held(owner, "orphan"))
    world.settle(runner)

    assert world.names(REPLICA_SET) == []
    assert world.names(CONFIG_MAP) == ["m", "n"]
    assert "ownerReferences" not in world.read(CONFIG_MAP, "m")["metadata"]


def test_a_dependent_with_another_owner_only_loses_the_one_that_waits() -> None:
    one, two = a_replica_set(name="one"), a_replica_set(name="two")
    world = World(one, two, a_map("m", one, two))
    runner = world.runner(GARBAGE_COLLECTOR)
    world.settle(runner)

    world.put(held(one, "foregroundDeletion"))
    world.settle(runner)

    assert world.names(REPLICA_SET) == ["two"]
    left = world.read(CONFIG_MAP, "m")["metadata"].get("ownerReferences", [])
    assert [reference["name"] for reference in left] == ["two"]


def test_owners_in_a_circle_do_not_hold_each_other_for_ever() -> None:
    first, second = a_map("first"), a_map("second")
    first = with_meta(first, ownerReferences=[reference(second)])
    second = with_meta(second, ownerReferences=[reference(first)])
    world = World(first, second)
    runner = world.runner(GARBAGE_COLLECTOR)
    world.settle(runner)
    assert world.names(CONFIG_MAP) == ["first", "second"]

    world.put(held(world.read(CONFIG_MAP, "first"), "foregroundDeletion"))
    world.settle(runner)

    assert world.names(CONFIG_MAP) == []


def test_an_owner_in_another_namespace_is_told_of() -> None:
    foreign = with_meta(a_replica_set(), namespace="elsewhere")
    world = World(foreign, a_map("m", foreign))

    world.settle(world.runner(GARBAGE_COLLECTOR))

    assert [event.partition(":")[0] for event in world.events()] == ["OwnerRefInvalidNamespace"]


def test_a_namespace_says_what_is_left_in_it() -> None:
    kept = with_meta(a_map("m"), finalizers=["example.com/kept"])
    world = World(kept, a_pod("p"))
    runner = world.runner(NAMESPACE_CONTROLLER)
    namespace = world.read(NAMESPACE, "shop", "")
    world.put(with_meta(namespace, deletionTimestamp="2026-01-02T03:04:05Z"))
    world.settle(runner)

    def told() -> dict[str, str]:
        status = world.read(NAMESPACE, "shop", "").get("status") or {}
        return {one["type"]: one.get("message", "") for one in status.get("conditions") or []}

    assert (
        told()["NamespaceContentRemaining"] == "Some resources are remaining: pods. has 1 resource instances"
    )
    world.kubelet()
    world.settle(runner)

    assert told() == {
        "NamespaceDeletionDiscoveryFailure": "All resources successfully discovered",
        "NamespaceDeletionGroupVersionParsingFailure": "All legacy kube types successfully parsed",
        "NamespaceDeletionContentFailure": "All content successfully deleted, may be waiting on finalization",
        "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 1 resource instances",
        "NamespaceFinalizersRemaining": "Some content in the namespace has finalizers remaining: "
        "example.com/kept in 1 resource instances",
    }
    world.remove(CONFIG_MAP.key("shop", "m"))
    world.settle(runner)
    assert "shop" not in world.names(NAMESPACE)
