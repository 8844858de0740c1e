"""Claims: where the pods go that have some, and what they wait for, in Kubernetes' words."""

from typing import Any, NamedTuple

import pytest

from gitops.kinds.core.pod import POD, pod_condition
from gitops.scheduler import SCHEDULER
from tests.unit.controllers.world import World, a_node, a_pod

UNHELPFUL = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
NODES = (
    a_node("a", labels={"disk": "ssd", "topology.kubernetes.io/zone": "east"}),
    a_node("b", cpu="64", labels={"topology.kubernetes.io/zone": "west"}),
)


def a_claim(volume: str = "", modes: str = "ReadWriteOnce", going: bool = False, of_class: str = "") -> Any:
    meta: Any = {"name": "data", "namespace": "shop", "uid": "claim-data"}
    if going:
        meta |= {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["kubernetes.io/pvc-protection"]}
    spec: Any = {"accessModes": [modes], "volumeMode": "Filesystem"}
    if of_class:
        spec["storageClassName"] = of_class
    if volume:
        spec["volumeName"] = volume
    status = {"phase": "Bound" if volume else "Pending"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta,
        "spec": spec,
        "status": status,
    }


def a_volume(disk: str = "", zone: str = "", name: str = "pv", of_class: str = "") -> Any:
    meta: Any = {"name": name, "uid": f"volume-{name}", "labels": {}}
    if zone:
        meta["labels"] = {"topology.kubernetes.io/zone": zone}
    spec: Any = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/data"},
        "volumeMode": "Filesystem",
    }
    if of_class:
        spec["storageClassName"] = of_class
    if disk:
        wanted = {"matchExpressions": [{"key": "disk", "operator": "In", "values": [disk]}]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [wanted]}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}


def a_class(name: str, mode: str, provisioner: str = "example.com/disk") -> Any:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "uid": f"class-{name}"},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
    }


def mounting(name: str = "p", claim: str = "data", **more: Any) -> Any:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return a_pod(name, **{"node": "", "volumes": volumes, **more})


class Case(NamedTuple):
    objects: list[Any]
    node: str = ""
    message: str = ""


SPEC = {
    "bound, and its volume may be anywhere": Case([a_claim("pv"), a_volume()], "b"),
    "bound, and its volume is on one node": Case([a_claim("pv"), a_volume("ssd")], "a"),
    "bound, and its volume is on no node": Case(
        [a_claim("pv"), a_volume("nvme")],
        message=f"0/2 nodes are available: 2 node(s) had volume node affinity conflict. {UNHELPFUL}",
    ),
    "bound, and its volume is in a zone": Case([a_claim("pv"), a_volume(zone="east__north")], "a"),
    "bound, and its volume is in a zone without nodes": Case(
        [a_claim("pv"), a_volume(zone="south")],
        message=f"0/2 nodes are available: 2 node(s) had no available volume zone. {UNHELPFUL}",
    ),
    "bound to a volume that is gone": Case(
        [a_claim("pv")],
        message="0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent "
        f"pv(s). {UNHELPFUL}",
    ),
    "no such claim": Case(
        [], message=f'0/2 nodes are available: persistentvolumeclaim "data" not found. {UNHELPFUL}'
    ),
    "a claim that goes": Case(
        [a_claim("pv", going=True), a_volume()],
        message=f'0/2 nodes are available: persistentvolumeclaim "data" is being deleted. {UNHELPFUL}',
    ),
    "not bound": Case(
        [a_claim()],
        message=f"0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. {UNHELPFUL}",
    ),
    "not bound, of a class that binds at once": Case(
        [a_claim(of_class="now"), a_class("now", "Immediate")],
        message=f"0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. {UNHELPFUL}",
    ),
    "not bound, of a class that waits for the pod": Case(
        [a_claim(of_class="late"), a_class("late", "WaitForFirstConsumer")],
        message="0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. "
        + UNHELPFUL,
    ),
    "not bound, of a class whose volumes are made where the pod goes": Case(
        [a_claim(of_class="late"), a_class("late", "WaitForFirstConsumer", "gitward.io/local-path")], "b"
    ),
    "not bound, of that class, and another pod's node decides": Case(
        [
            a_claim(of_class="late"),
            a_class("late", "WaitForFirstConsumer", "gitward.io/local-path"),
            mounting("other", node="a"),
        ],
        message='0/2 nodes are available: persistentvolumeclaim "data" is being bound for another pod. '
        + UNHELPFUL,
    ),
    "not bound, and a volume that fits is on one node": Case(
        [
            a_claim(of_class="late"),
            a_class("late", "WaitForFirstConsumer"),
            a_volume("ssd", of_class="late"),
        ],
        "a",
    ),
    "for one pod alone, and free": Case([a_claim("pv", "ReadWriteOncePod"), a_volume()], "b"),
    "for one pod alone, and in use": Case(
        [a_claim("pv", "ReadWriteOncePod"), a_volume(), mounting("other", node="a")],
        message="0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and "
        "ReadWriteOncePod access mode. preemption: 0/2 nodes are available: "
        "2 No preemption victims found for incoming pod.",
    ),
    "for one node, and in use": Case([a_claim("pv"), a_volume(), mounting("other", node="a")], "b"),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_a_pod_with_a_claim(case: Case) -> None:
    world = World(*NODES, *case.objects, mounting())

    world.settle(world.runner(SCHEDULER))

    scheduled = pod_condition(world.read(POD, "p"), "PodScheduled")
    assert scheduled is not None
    assert world.read(POD, "p")["spec"].get("nodeName", "") == case.node
    assert scheduled.get("message", "") == case.message


def test_a_pod_waits_for_its_claim_and_goes_when_it_is_bound() -> None:
    world = World(*NODES, mounting())
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    world.put(a_claim())
    world.settle(runner)
    told = pod_condition(world.read(POD, "p"), "PodScheduled")
    assert told is not None
    assert "pod has unbound immediate PersistentVolumeClaims" in told.get("message", "")

    world.put(a_claim("pv"), a_volume("ssd"))
    world.settle(runner)
    assert world.read(POD, "p")["spec"].get("nodeName") == "a"


def test_the_second_pod_of_a_claim_for_one_waits_until_the_first_is_gone() -> None:
    world = World(
        *NODES, a_claim("pv", "ReadWriteOncePod"), a_volume(), mounting("first"), mounting("second")
    )
    runner = world.runner(SCHEDULER)
    world.settle(runner)
    assert [pod["spec"].get("nodeName", "") for pod in world.view.list(POD)] == ["b", ""]

    world.remove(POD.key("shop", "first"))
    world.settle(runner)

    assert world.read(POD, "second")["spec"].get("nodeName") == "b"


def test_a_more_important_pod_takes_a_claim_for_one_from_another() -> None:
    world = World(
        *NODES,
        a_claim("pv", "ReadWriteOncePod"),
        a_volume(),
        mounting("low", node="a", priority=1),
        mounting("high", priority=10),
    )
    runner = world.runner(SCHEDULER)
    world.settle(runner)

    assert world.read(POD, "high").get("status", {}).get("nominatedNodeName") == "a"
    assert world.read(POD, "low")["metadata"].get("deletionTimestamp")
