"""Garbage and namespaces: what goes when its owner goes, and in which order a namespace is emptied."""

from typing import Any, cast

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
