"""Claims and volumes: what is bound to what, what is made, what stays and what goes."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.claims import CLAIMS
from gitops.controllers.volumes import VOLUMES
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.storage import (
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    PersistentVolume,
    PersistentVolumeClaim,
    default_claim,
    default_volume,
)
from gitops.kinds.objects import with_meta
from gitops.store.contract import Delete, Txn
from tests.unit.controllers.world import World, a_node, a_pod

MADE = "pvc-claim-data"


def a_claim(name: str = "data", size: str = "1Gi", of_class: str | None = "local-path", **more: Any) -> Any:
    spec: Any = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **more}
    if of_class is not None:
        spec["storageClassName"] = of_class
    meta = {
        "name": name,
        "namespace": "shop",
        "uid": f"claim-{name}",
        "finalizers": ["kubernetes.io/pvc-protection"],
    }
    bare = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
    return default_claim(cast(PersistentVolumeClaim, bare))


def a_volume(name: str = "pv", size: str = "1Gi", of_class: str = "", node: str = "", **more: Any) -> Any:
    spec: Any = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/data"},
        "storageClassName": of_class,
        **more,
    }
    if node:
        wanted = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [wanted]}}
    meta = {"name": name, "uid": f"volume-{name}", "finalizers": ["kubernetes.io/pv-protection"]}
    bare = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}
    return default_volume(cast(PersistentVolume, bare))


def a_class(
    name: str = "local-path", mode: str = "WaitForFirstConsumer", provisioner: str = "gitward.io/local-path"
) -> Any:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "uid": f"class-{name}"},
        "provisioner": provisioner,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": mode,
    }


def mounting(node: str, name: str = "p", claim: str = "data", **more: Any) -> Any:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return a_pod(name, node=node, volumes=volumes, **more)


def labelled(name: str) -> Any:
    return a_node(name, labels={"kubernetes.io/hostname": name})


def settled(*objects: Any) -> World:
    world = World(labelled("n1"), labelled("n2"), *objects)
    world.settle(world.runner(CLAIMS, VOLUMES))
    return world


def claim_of(world: World, name: str = "data") -> PersistentVolumeClaim:
    found = world.view.get(PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME_CLAIM.key("shop", name))
    assert found is not None
    return found


def volume_of(world: World, name: str) -> PersistentVolume | None:
    return world.view.get(PERSISTENT_VOLUME, PERSISTENT_VOLUME.key("", name))


def bound_to(world: World, name: str = "data") -> str:
    claim = claim_of(world, name)
    is_bound = claim.get("status", {}).get("phase") == "Bound"
    return claim["spec"].get("volumeName", "") if is_bound else ""


def reasons(world: World) -> list[str]:
    return sorted(one["reason"] for one in world.view.list(EVENT))


SPEC = {
    "no pod yet: it waits": ([a_class(), a_claim()], "", ["WaitForFirstConsumer"]),
    "a pod without a node yet: it waits": (
        [a_class(), a_claim(), mounting("")],
        "",
        ["WaitForFirstConsumer"],
    ),
    "a pod on a node: a volume is made there": (
        [a_class(), a_claim(), mounting("n2")],
        MADE,
        ["ProvisioningSucceeded"],
    ),
    "k3s' class: the same": (
        [a_class(provisioner="rancher.io/local-path"), a_claim(), mounting("n2")],
        MADE,
        ["ProvisioningSucceeded"],
    ),
    "a class that does not wait: a volume is made at once": (
        [a_class(mode="Immediate"), a_claim()],
        MADE,
        ["ProvisioningSucceeded"],
    ),
    "a class of somebody else: it waits for them": (
        [a_class("gp2", "Immediate", "ebs.csi.aws.com"), a_claim(of_class="gp2")],
        "",
        ["ExternalProvisioning"],
    ),
    "no such class": ([a_claim(of_class="gp2")], "", ["ProvisioningFailed"]),
    "no class: a volume without one": ([a_claim(of_class=""), a_volume()], "pv", []),
    "a volume of the class, though none exists": (
        [a_claim(of_class="manual"), a_volume(of_class="manual")],
        "pv",
        [],
    ),
    "too small": ([a_claim(size="2Gi", of_class=""), a_volume()], "", ["FailedBinding"]),
    "the smallest that is large enough": (
        [a_claim(of_class=""), a_volume("big", "9Gi"), a_volume("fits", "2Gi"), a_volume("tiny", "1Mi")],
        "fits",
        [],
    ),
    "another access mode": (
        [a_claim(of_class="", accessModes=["ReadWriteMany"]), a_volume()],
        "",
        ["FailedBinding"],
    ),
    "kept for this claim goes first": (
        [
            a_claim(of_class=""),
            a_volume("any", "1Gi"),
            a_volume("kept", "5Gi", claimRef={"namespace": "shop", "name": "data"}),
        ],
        "kept",
        [],
    ),
    "kept for another claim": (
        [a_claim(of_class=""), a_volume(claimRef={"namespace": "shop", "name": "other"})],
        "",
        ["FailedBinding"],
    ),
    "named by the claim": ([a_claim(of_class="", volumeName="pv"), a_volume(size="5Gi")], "pv", []),
    "labels that it selects by": (
        [a_claim(of_class="", selector={"matchLabels": {"disk": "ssd"}}), a_volume()],
        "",
        ["FailedBinding"],
    ),
    "a volume on the pod's node": (
        [
            a_class(),
            a_claim(),
            mounting("n2"),
            a_volume("one", of_class="local-path", node="n1"),
            a_volume("two", of_class="local-path", node="n2"),
        ],
        "two",
        [],
    ),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_a_claim(case: tuple[list[Any], str, list[str]]) -> None:
    objects, volume, told = case

    world = settled(*objects)

    assert bound_to(world) == volume
    assert reasons(world) == told


def test_a_volume_that_is_made_is_held_to_its_node_and_names_its_claim() -> None:
    world = settled(a_class(), a_claim(size="5Gi"), mounting("n2"))

    volume = volume_of(world, MADE)
    assert volume is not None
    assert volume["spec"]["csi"] == {"driver": "gitward.io/local-path", "volumeHandle": MADE}
    assert volume["spec"]["capacity"] == {"storage": "5Gi"}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert volume["spec"]["claimRef"]["uid"] == "claim-data"
    terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms == [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}
    ]
    assert volume["status"]["phase"] == "Bound"
    assert claim_of(world)["status"]["capacity"] == {"storage": "5Gi"}


def test_a_claim_in_use_stays_until_its_pod_has_ended_and_then_takes_its_volume_along() -> None:
    world = settled(a_class(), a_claim(), mounting("n2"))
    runner = world.runner(CLAIMS, VOLUMES)
    going = with_meta(claim_of(world), deletionTimestamp="2026-01-02T03:04:05Z")
    world.put(going)
    world.settle(runner)
    assert claim_of(world)["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]

    world.store.commit_now(Txn((Delete(POD.key("shop", "p")),), actor="test", cause="test"))
    world.settle(runner)

    assert world.view.get(PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME_CLAIM.key("shop", "data")) is None
    volume = volume_of(world, MADE)
    assert volume is not None
    assert "deletionTimestamp" in volume["metadata"]
    assert volume["metadata"]["finalizers"] == ["gitward.io/local-path-data"]

    world.store.commit_now(Txn((Delete(NODE.key("", "n2")),), actor="test", cause="test"))
    world.settle(runner)
    assert volume_of(world, MADE) is None


@pytest.mark.parametrize(
    ("policy", "phase", "why"), [("Retain", "Released", None), ("Delete", "Failed", "VolumeFailedDelete")]
)
def test_a_volume_that_somebody_made_keeps_its_data(policy: str, phase: str, why: str | None) -> None:
    world = settled(a_claim(of_class=""), a_volume(persistentVolumeReclaimPolicy=policy))
    world.store.commit_now(
        Txn((Delete(PERSISTENT_VOLUME_CLAIM.key("shop", "data")),), actor="test", cause="test")
    )

    world.settle(world.runner(CLAIMS, VOLUMES))

    volume = volume_of(world, "pv")
    assert volume is not None
    assert volume["status"]["phase"] == phase
    assert volume["status"].get("reason") == why
    another = with_meta(a_claim(of_class=""), uid="another-claim")
    assert bound_to(settled(another, volume)) == ""


def test_a_bound_volume_that_is_deleted_goes_when_its_claim_does() -> None:
    world = settled(a_claim(of_class=""), a_volume())
    volume = volume_of(world, "pv")
    assert volume is not None
    world.put(with_meta(volume, deletionTimestamp="2026-01-02T03:04:05Z"))
    runner = world.runner(CLAIMS, VOLUMES)
    world.settle(runner)
    assert volume_of(world, "pv") is not None

    world.store.commit_now(
        Txn((Delete(PERSISTENT_VOLUME_CLAIM.key("shop", "data")),), actor="test", cause="test")
    )
    world.settle(runner)

    assert volume_of(world, "pv") is None


def test_a_claim_whose_volume_is_gone_is_lost() -> None:
    world = settled(a_claim(of_class=""), a_volume())
    world.store.commit_now(Txn((Delete(PERSISTENT_VOLUME.key("", "pv")),), actor="test", cause="test"))

    world.settle(world.runner(CLAIMS, VOLUMES))

    assert claim_of(world)["status"]["phase"] == "Lost"
    assert reasons(world) == ["ClaimLost"]


@given(
    sizes=st.lists(st.integers(1, 5), max_size=6),
    wanted=st.lists(st.integers(1, 5), min_size=1, max_size=6),
)
def test_no_volume_is_ever_given_to_two_claims(sizes: list[int], wanted: list[int]) -> None:
    """Safety: one claim each, never too small. Liveness: it settles, and no claim waits that could be served alone."""
    volumes = [a_volume(f"v{index}", f"{size}Gi") for index, size in enumerate(sizes)]
    claims = [a_claim(f"c{index}", f"{size}Gi", of_class="") for index, size in enumerate(wanted)]

    world = settled(*volumes, *claims)

    given_away = [name for index in range(len(wanted)) if (name := bound_to(world, f"c{index}"))]
    assert len(given_away) == len(set(given_away))
    for index, size in enumerate(wanted):
        if name := bound_to(world, f"c{index}"):
            assert sizes[int(name[1:])] >= size
        else:
            free = [one for i, one in enumerate(sizes) if f"v{i}" not in given_away]
            assert all(one < size for one in free)
