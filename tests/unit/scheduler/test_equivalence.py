"""The scheduler says what the plain reference says: node, reasons and victims, over random clusters that change."""

import random
from typing import Any, Final, cast

import pytest

from gitops.kinds.core.node import NODE, Node
from gitops.kinds.core.pod import POD, Pod, pod_condition, pod_status
from gitops.kinds.objects import is_going, key_of, with_meta
from gitops.reconcile import Writes
from gitops.scheduler.scheduler import reconcile
from tests.unit.controllers.world import NOW, World, a_node, a_pod
from tests.unit.scheduler.reference import HOST, ZONE, Answer, Cluster, schedule

SEEDS: Final = 120
STEPS_MAX: Final = 25
APPS: Final = ("web", "db", "job")


class Random(random.Random):
    def often(self, share: float) -> bool:
        return self.random() < share


def node(source: Random, number: int) -> Node:
    name = f"n{number}"
    labels = {}
    if source.often(0.85):
        labels[HOST] = name
    if source.often(0.8):
        labels[ZONE] = source.choice("abc")
    if source.often(0.4):
        labels["disk"] = source.choice(["ssd", "hdd"])
    taints = []
    if source.often(0.3):
        effect = source.choice(["NoSchedule", "PreferNoSchedule", "PreferNoSchedule"])
        taints.append({"key": "only", "value": source.choice("xy"), "effect": effect})
    made: Any = a_node(
        name, cpu=str(source.choice([0, 1, 2, 4])), pods=str(source.choice([1, 2, 3, 110])), labels=labels
    )
    if taints:
        made["spec"]["taints"] = taints
    made["status"]["allocatable"]["memory"] = source.choice(["0", "1Gi", "1Gi", "4Gi"])
    return cast(Node, made)


def term(source: Random) -> dict[str, object]:
    made: dict[str, object] = {
        "topologyKey": source.choice([HOST, ZONE, ZONE]),
        "labelSelector": {"matchLabels": {"app": source.choice(APPS)}},
    }
    if source.often(0.1):
        made["namespaces"] = ["elsewhere"]
    return made


def spread(source: Random) -> dict[str, object]:
    made: dict[str, object] = {
        "maxSkew": source.choice([1, 1, 2]),
        "topologyKey": source.choice([HOST, ZONE]),
        "whenUnsatisfiable": source.choice(["DoNotSchedule", "ScheduleAnyway"]),
        "labelSelector": {"matchLabels": {"app": source.choice(APPS)}},
    }
    if made["whenUnsatisfiable"] == "DoNotSchedule" and source.often(0.2):
        made["minDomains"] = source.choice([2, 4])
    for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if source.often(0.2):
            made[policy] = source.choice(["Honor", "Ignore"])
    return made


def affinity(source: Random) -> dict[str, object]:
    made: dict[str, Any] = {}
    wanted = {
        "matchExpressions": [{"key": "disk", "operator": source.choice(["In", "NotIn"]), "values": ["ssd"]}]
    }
    if source.often(0.2):
        made["nodeAffinity"] = {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [wanted]}
        }
    elif source.often(0.3):
        preferred = [{"weight": source.choice([1, 40]), "preference": wanted}]
        made["nodeAffinity"] = {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
    for side, share in (("podAffinity", 0.15), ("podAntiAffinity", 0.25)):
        if source.often(share):
            made[side] = {"requiredDuringSchedulingIgnoredDuringExecution": [term(source)]}
        elif source.often(0.2):
            wish = [{"weight": source.choice([1, 50, 100]), "podAffinityTerm": term(source)}]
            made[side] = {"preferredDuringSchedulingIgnoredDuringExecution": wish}
    return made


def pod(source: Random, number: int) -> Pod:
    spec: dict[str, Any] = {"priority": source.choice([0, 0, 10, 20])}
    if source.often(0.4) and (found := affinity(source)):
        spec["affinity"] = found
    if source.often(0.3):
        first, second = spread(source), spread(source)
        pairs = {(one["topologyKey"], one["whenUnsatisfiable"]) for one in (first, second)}
        spec["topologySpreadConstraints"] = [first, second] if len(pairs) == 2 else [first]
    if source.often(0.3):
        spec["tolerations"] = [{"key": "only", "operator": source.choice(["Exists", "Equal"]), "value": ""}]
        if spec["tolerations"][0]["operator"] == "Equal":
            spec["tolerations"][0]["value"] = "x"
    if source.often(0.1):
        spec["nodeSelector"] = {"disk": "ssd"}
    container: dict[str, Any] = {"name": "web", "image": "i"}
    requests = {}
    if source.often(0.7):
        requests["cpu"] = source.choice(["100m", "500m", "1", "3"])
    if source.often(0.5):
        requests["memory"] = source.choice(["64Mi", "512Mi"])
    if requests:
        container["resources"] = {"requests": requests}
    if source.often(0.1):
        container["ports"] = [{"containerPort": 80, "hostPort": source.choice([80, 81])}]
    made = a_pod(f"p{number}", node="", labels={"app": source.choice(APPS)}, containers=[container], **spec)
    return with_meta(made, creationTimestamp=f"2026-01-02T03:{source.randrange(60):02}:00Z")


def told(view_pod: Pod, writes: Writes) -> Answer:
    """What the scheduler wants, in the reference's words."""
    status: Any = writes.status or view_pod
    where = status["spec"].get("nodeName", "")
    victims = frozenset(key.name for key in writes.delete)
    reasons: dict[str, int] = {}
    if not where:
        condition = pod_condition(status, "PodScheduled")
        assert condition is not None
        text = condition.get("message", "").partition(" preemption:")[0]
        for part in text.partition(": ")[2].removesuffix(".").split(", "):
            count, _, reason = part.partition(" ")
            if count.isdigit():
                reasons[reason] = int(count)
    return Answer(where, reasons, victims, pod_status(status).get("nominatedNodeName", ""))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_decision_is_the_references(seed: int) -> None:
    source = Random(seed)
    world = World(*(node(source, number) for number in range(source.randrange(1, 9))))
    for number in range(source.randrange(5, STEPS_MAX)):
        step(world, source, number)


def step(world: World, source: Random, number: int) -> None:
    """Something changes; then one pod is decided, and the decision is carried out."""
    placed = list(world.view.list(POD))
    if placed and source.often(0.15):
        world.remove(key_of(source.choice(placed)))
    if placed and source.often(0.1):
        going = source.choice(placed)
        if world.view.get(POD, key_of(going)):
            world.put(with_meta(going, deletionTimestamp="2026-01-02T04:00:00Z"))
    if source.often(0.05):
        world.put(node(source, source.randrange(9)))
    new = pod(source, number)
    world.put(new)
    waiting = world.read(POD, f"p{number}")
    writes = reconcile(world.view, key_of(new), NOW)
    pods = [cast(Any, one) for one in world.view.list(POD) if one["spec"].get("nodeName")]
    expected = schedule(Cluster([cast(Any, one) for one in world.view.list(NODE)], pods), waiting)

    going_already = {one["metadata"].get("name", "") for one in world.view.list(POD) if is_going(one)}
    wanted = expected._replace(victims=expected.victims - going_already)
    assert told(waiting, writes) == wanted, f"pod {number}"

    for victim in writes.delete:
        world.remove(victim)
    bound = cast(Any, writes.status or waiting)
    if wanted.node:
        world.put(bound)
    else:
        world.remove(key_of(new))
