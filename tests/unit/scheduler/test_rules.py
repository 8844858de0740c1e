"""Each default filter and score by itself: where a pod goes by it, or in Kubernetes' words why nowhere."""

from typing import Any, NamedTuple, cast

import pytest

from gitops.kinds.core.node import Node
from gitops.kinds.core.pod import POD, Pod, pod_condition
from gitops.scheduler import SCHEDULER
from tests.unit.controllers.world import World, a_node, a_pod

HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
WEB = {"matchLabels": {"app": "web"}}
UNHELPFUL = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
NO_VICTIMS = "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."


def east(name: str = "a", cpu: str = "64", **labels: str) -> Node:
    return a_node(name, cpu=cpu, labels={HOST: name, ZONE: "east", **labels})


def west(name: str = "b", cpu: str = "4", **labels: str) -> Node:
    """Smaller than the one in the east: what weighs nothing else goes there."""
    return a_node(name, cpu=cpu, labels={HOST: name, ZONE: "west", **labels})


def full_west() -> Node:
    return a_node("b", pods="0", labels={HOST: "b", ZONE: "west"})


def with_images(node: Node, **sizes: int) -> Node:
    images = [{"names": [f"{name}:1"], "sizeBytes": size} for name, size in sizes.items()]
    return cast(Node, {**node, "status": {**node.get("status", {}), "images": images}})


def waiting(**stated: Any) -> Pod:
    return a_pod("p", node="", **stated)


def apart(term: dict[str, Any], **stated: Any) -> Pod:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return waiting(affinity={"podAntiAffinity": {required: [term]}}, **stated)


def near(*terms: dict[str, Any], **stated: Any) -> Pod:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return waiting(affinity={"podAffinity": {required: list(terms)}}, **stated)


def on(expression: dict[str, Any], where: str = "matchExpressions") -> Pod:
    terms = {"nodeSelectorTerms": [{where: [expression]}]}
    return waiting(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}})


def liking(side: str, weight: int, topology: str = HOST) -> Pod:
    term = {"weight": weight, "podAffinityTerm": {"topologyKey": topology, "labelSelector": WEB}}
    return waiting(affinity={side: {"preferredDuringSchedulingIgnoredDuringExecution": [term]}})


def spread(topology: str = ZONE, hard: bool = True, **more: Any) -> Pod:
    stated = {"topologyKey": topology, "maxSkew": 1, "labelSelector": WEB, **more}
    stated["whenUnsatisfiable"] = "DoNotSchedule" if hard else "ScheduleAnyway"
    return waiting(topologySpreadConstraints=[stated])


class Case(NamedTuple):
    objects: list[Any]
    pod: Pod
    node: str = ""
    message: str = ""


FILTERS = {
    "too little memory": Case(
        [east(), west()],
        waiting(containers=[{"name": "c", "image": "i", "resources": {"requests": {"memory": "9Gi"}}}]),
        message=f"0/2 nodes are available: 2 Insufficient memory. {UNHELPFUL}",
    ),
    "a resource that no node has": Case(
        [east(), west()],
        waiting(containers=[{"name": "c", "image": "i", "resources": {"requests": {"example.com/gpu": "1"}}}]),
        message=f"0/2 nodes are available: 2 Insufficient example.com/gpu. {UNHELPFUL}",
    ),
    "a port that is taken": Case(
        [east(), west(), a_pod("other", node="a", hostNetwork=True, containers=[
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}])],
        waiting(hostNetwork=True, containers=[
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}]),
        "b",
    ),
    "a port that is taken everywhere": Case(
        [east(), west(), *(a_pod(f"on-{node}", node=node, hostNetwork=True, containers=[
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}]) for node in "ab")],
        waiting(hostNetwork=True, containers=[
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}]),
        message="0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports. "
        f"{NO_VICTIMS}",
    ),
    "the same port by another protocol": Case(
        [east(), full_west(), a_pod("other", node="a", hostNetwork=True, containers=[
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "UDP"}]}])],
        waiting(hostNetwork=True, containers=[
            {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}]),
        "a",
    ),
    "more than so many": Case([east(cores="64"), west(cores="4")],
                              on({"key": "cores", "operator": "Lt", "values": ["5"]}), "b"),
    "a label that is there": Case([east(), west(gpu="")], on({"key": "gpu", "operator": "Exists"}), "b"),
    "none of these values": Case([east(), west()], on({"key": ZONE, "operator": "NotIn", "values": ["east"]}), "b"),
    "a node by its name": Case(
        [east(), west()],
        on({"key": "metadata.name", "operator": "In", "values": ["b"]}, "matchFields"),
        "b",
    ),
    "beside a pod": Case(
        [east(), west(), a_pod("web", node="b")],
        near({"topologyKey": HOST, "labelSelector": WEB}, labels={"app": "db"}), "b"),
    "beside a pod that is nowhere": Case(
        [east(), west()],
        near({"topologyKey": HOST, "labelSelector": WEB}, labels={"app": "db"}),
        message=f"0/2 nodes are available: 2 node(s) didn't match pod affinity rules. {UNHELPFUL}",
    ),
    "the first of those that want each other": Case(
        [east(), west()], near({"topologyKey": HOST, "labelSelector": WEB}), "a"),
    "beside a pod of another namespace": Case(
        [east(), west(), a_pod("web", node="b")],
        near({"topologyKey": HOST, "labelSelector": WEB, "namespaces": ["elsewhere"]}, labels={"app": "db"}),
        message=f"0/2 nodes are available: 2 node(s) didn't match pod affinity rules. {UNHELPFUL}",
    ),
    "away from a pod": Case(
        [east(), west(), a_pod("web", node="a")], apart({"topologyKey": HOST, "labelSelector": WEB}), "b"),
    "away from pods that are everywhere": Case(
        [east(), west(), a_pod("one", node="a"), a_pod("two", node="b")],
        apart({"topologyKey": HOST, "labelSelector": WEB}),
        message="0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. " + NO_VICTIMS,
    ),
    "where nobody wants it": Case(
        [east(), west(), *(
            a_pod(f"on-{node}", node=node, labels={"app": "shy"}, affinity={"podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOST, "labelSelector": WEB}]}})
            for node in "ab")],
        waiting(),
        message="0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules. " + NO_VICTIMS,
    ),
    "spread over zones": Case([east(), west(), a_pod("web", node="a")], spread(), "b"),
    "spread, and the emptier zone is full": Case(
        [east(), full_west(), a_pod("web", node="a")],
        spread(),
        message="0/2 nodes are available: 1 Too many pods, 1 node(s) didn't match pod topology spread constraints. "
        + NO_VICTIMS,
    ),
    "spread over a label that no node has": Case(
        [east(), west()],
        spread("rack"),
        message="0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints "
        f"(missing required label). {UNHELPFUL}",
    ),
    "spread over more zones than there are": Case(
        [east(), west(), a_pod("one", node="a"), a_pod("two", node="b")],
        spread(minDomains=3),
        message="0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints. " + NO_VICTIMS,
    ),
    "a pod that goes counts for no spread": Case(
        [east(), full_west(), a_pod("web", node="a", going=True)], spread(), "a"),
}  # fmt: skip

SCORES = {
    "the node with more room": Case([east(), west()], waiting(), "a"),
    "the node with more room, whatever its name": Case([east(cpu="2"), west(cpu="64")], waiting(), "b"),
    "what is shared evenly": Case(
        # There is more room on a, by 72 to 67, but the balance of cpu and memory there is 74 to 94.
        [a_node("a", cpu="100"), a_node("b", cpu="100"),
         a_pod("cpu", node="a", cpu="50"),
         a_pod("both", node="b", containers=[{"name": "c", "image": "i", "resources": {
             "requests": {"cpu": "25", "memory": "3Gi"}}}])],
        waiting(cpu="1"), "b"),
    "a taint that only asks": Case(
        [a_node("a", cpu="64", taints=[{"key": "x", "effect": "PreferNoSchedule"}]), west()], waiting(), "b"),
    "a node that is preferred": Case(
        [east(), west()],
        waiting(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [
                {"key": ZONE, "operator": "In", "values": ["west"]}]}}]}}),
        "b"),
    "a neighbour that is liked": Case(
        [east(), west(), a_pod("web", node="b")], liking("podAffinity", 1), "b"),
    "a neighbour that is not": Case(
        [east(), west(), a_pod("web", node="a")], liking("podAntiAffinity", 1), "b"),
    "pods that like it": Case(
        [east(), west(), a_pod("fan", node="b", labels={"app": "fan"}, affinity={"podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": HOST, "labelSelector": WEB}}]}})],
        waiting(), "b"),
    "a zone with fewer of its kind": Case(
        [east(), west(cpu="1"), a_pod("web", node="a")], spread(hard=False), "b"),
    "a node that has its image": Case(
        [east(cpu="16"), with_images(west(cpu="12"), big=1_000_000_000)],
        waiting(containers=[{"name": "c", "image": "big:1"}]), "b"),
    "an image that is small counts for nothing": Case(
        [east(cpu="16"), with_images(west(cpu="12"), small=20_000_000)],
        waiting(containers=[{"name": "c", "image": "small:1"}]), "a"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*FILTERS.values(), *SCORES.values()], ids=[*FILTERS, *SCORES])
def test_one_rule(case: Case) -> None:
    world = World(*case.objects, case.pod)

    world.settle(world.runner(SCHEDULER))

    scheduled = pod_condition(world.read(POD, "p"), "PodScheduled")
    assert scheduled is not None
    assert scheduled.get("message", "") == case.message
    assert world.read(POD, "p")["spec"].get("nodeName", "") == case.node
