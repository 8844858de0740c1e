"""Which level holds for a pod: the operator's, its namespace's, and that of the source that states it or its owner."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from gitops.admission import Settings, admit_create, admit_update
from gitops.admission.pod_security import refuse_pod_security
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.pod import POD
from gitops.kinds.core.pod_security import Level
from gitops.kinds.core.storage import PERSISTENT_VOLUME
from gitops.kinds.errors import Forbidden
from gitops.kinds.objects import owner_reference, with_meta
from tests.unit.admission.builders import NOW, World, deployment, namespace, pod
from tests.unit.controllers.declared import claim, declare

PRIVILEGED: dict[str, Any] = {"securityContext": {"privileged": True}}
OPERATORS: Any = {"shop": {"url": "https://git.example/shop.git"}}


def settings(level: Level = Level.PRIVILEGED) -> Settings:
    return Settings(IPv4Network("10.78.0.0/16"), level, OPERATORS)


def admitted(world: World, kind: Any, obj: Any, level: Level = Level.PRIVILEGED) -> Any:
    return world.put(
        admit_create(world.view, kind, obj, now=NOW, mint=world.mint, manager=None, settings=settings(level))
    )


def privileged_pod(name: str = "web") -> Any:
    return pod(name, containers=[{"name": "web", "image": "nginx", **PRIVILEGED}])


def stated_by(world: World, source: str, obj: Any) -> None:
    declare(world, claim(obj, source=source))


def test_by_default_a_pod_of_the_operators_source_and_of_a_person_may_be_privileged() -> None:
    world = World()
    stated_by(world, "shop", privileged_pod("stated"))

    admitted(world, POD, privileged_pod("stated"))
    admitted(world, POD, privileged_pod("by-hand"))


def test_a_pod_of_a_source_that_an_object_states_is_held_to_baseline() -> None:
    world = World()
    stated_by(world, "theirs", privileged_pod())

    with pytest.raises(Forbidden) as refused:
        admitted(world, POD, privileged_pod())

    assert str(refused.value) == (
        'pods "web" is forbidden: violates PodSecurity "baseline:latest": privileged (container "web" must not set '
        "securityContext.privileged=true) (an object states its source theirs, not the operator)"
    )


@pytest.mark.parametrize("where", [{"hostPath": {"path": "/etc"}}, {"local": {"path": "/etc"}}])
def test_a_volume_on_a_path_of_the_host_is_the_operators_alone_to_state(where: Any) -> None:
    """A claim would bring it into a pod that may name no such path itself."""
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}
    volume: Any = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "disk"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
            **where,
        },
    }
    theirs, ours = World(), World()
    stated_by(theirs, "theirs", volume)
    stated_by(ours, "shop", volume)

    with pytest.raises(Forbidden) as refused:
        admitted(theirs, PERSISTENT_VOLUME, volume)
    admitted(ours, PERSISTENT_VOLUME, volume)
    nfs = {**volume["spec"], "nfs": {"server": "nfs.example.com", "path": "/"}}
    admitted(theirs, PERSISTENT_VOLUME, {**volume, "spec": {k: v for k, v in nfs.items() if k not in where}})

    assert "hostPath volumes" in str(refused.value)
    assert "an object states its source theirs, not the operator" in str(refused.value)


def test_the_name_of_an_operators_source_proves_nothing() -> None:
    world = World()
    spec = {"url": "https://evil.example/shop.git"}
    world.put(
        {"apiVersion": "gitward.io/v1alpha1", "kind": "GitSource", "metadata": {"name": "shop"}, "spec": spec}
    )
    stated_by(world, "shop", privileged_pod())

    with pytest.raises(Forbidden):
        admitted(world, POD, privileged_pod())


def test_a_template_is_refused_and_so_is_a_pod_that_was_made_from_one() -> None:
    world = World()
    stated = deployment(1, **PRIVILEGED)
    owner: Any = world.put(with_meta(stated, uid="u1"))
    stated_by(world, "theirs", stated)
    replica_set: Any = {**stated, "kind": "ReplicaSet"}
    made: Any = with_meta(replica_set, name="web-1", uid="u2", ownerReferences=[owner_reference(owner)])
    world.put(made)
    orphan: Any = with_meta(privileged_pod("web-1-x"), ownerReferences=[owner_reference(made)])

    for kind, obj in (
        (DEPLOYMENT, with_meta(stated, name="again")),
        (REPLICA_SET, with_meta(made, name="web-2")),
    ):
        stated_by(world, "theirs", obj)
        with pytest.raises(Forbidden):
            admitted(world, kind, obj)
    with pytest.raises(Forbidden):
        admitted(world, POD, orphan)


@pytest.mark.parametrize("asked", ["baseline", "restricted"])
def test_a_label_of_the_namespace_asks_for_more(asked: str) -> None:
    world = World()
    world.put(namespace("shop", labels={"pod-security.kubernetes.io/enforce": asked}))

    with pytest.raises(Forbidden) as refused:
        admitted(world, POD, privileged_pod())

    assert f'violates PodSecurity "{asked}:latest"' in str(refused.value)
    assert "label pod-security.kubernetes.io/enforce of namespace shop" in str(refused.value)


def test_a_label_of_the_namespace_never_asks_for_less() -> None:
    world = World()
    world.put(namespace("shop", labels={"pod-security.kubernetes.io/enforce": "privileged"}))
    stated_by(world, "theirs", privileged_pod("theirs"))

    for name, level in (("theirs", Level.PRIVILEGED), ("any", Level.BASELINE)):
        with pytest.raises(Forbidden):
            admitted(world, POD, privileged_pod(name), level)


def test_a_change_is_not_refused_for_what_was_there_before_but_for_what_it_adds() -> None:
    world = World()
    old = admitted(world, POD, privileged_pod())

    def change(new: Any) -> Any:
        return admit_update(
            world.view, POD, old, new, now=NOW, manager=None, settings=settings(Level.BASELINE)
        )

    assert change(with_meta(old, labels={"a": "b"}))["metadata"]["labels"] == {"a": "b"}
    debug = {"name": "debug", "image": "busybox", **PRIVILEGED}
    debugged: Any = {**old, "spec": {**old["spec"], "ephemeralContainers": [debug]}}
    with pytest.raises(Forbidden, match='container "debug" must not set'):
        refuse_pod_security(world.view, POD, old, debugged, settings(Level.BASELINE))
