"""The scheduler as Kubernetes' documents tell it: one pod, every node, every pod, counted anew. Slow and plain.

It shares nothing with the real one but reading quantities and matching selectors, so that what both say is right or
both misread the same text.
"""

import math
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from gitops.kinds import quantity
from gitops.kinds.selectors import matches

Json = Any
HOST: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
MIB: Final = 1 << 20


class Answer(NamedTuple):
    node: str  # '': nowhere.
    reasons: dict[str, int]
    victims: frozenset[str]
    nominated: str


class Cluster:
    """Nodes and pods as JSON."""

    def __init__(self, nodes: list[Json], pods: list[Json]) -> None:
        self.nodes = {node["metadata"]["name"]: node for node in nodes}
        self.pods = [
            pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]

    def on(self, name: str) -> list[Json]:
        return [pod for pod in self.pods if pod["spec"].get("nodeName") == name]

    def placed(self) -> list[Json]:
        return [pod for pod in self.pods if pod["spec"].get("nodeName") in self.nodes]

    def without(self, gone: list[Json]) -> "Cluster":
        names = {pod["metadata"]["name"] for pod in gone}
        return Cluster([*self.nodes.values()], [p for p in self.pods if p["metadata"]["name"] not in names])


def schedule(cluster: Cluster, pod: Json) -> Answer:
    refused = {name: refusals(cluster, pod, name) for name in cluster.nodes}
    feasible = [name for name, found in refused.items() if not found[0]]
    if feasible:
        return Answer(best(cluster, pod, feasible), {}, frozenset(), "")
    reasons: dict[str, int] = {}
    for texts, _ in refused.values():
        for text in texts:
            reasons[text] = reasons.get(text, 0) + 1
    name, victims = preempt(cluster, pod, {name for name, found in refused.items() if found[1]})
    return Answer("", reasons, frozenset(victims), name)


def requests(pod: Json, missing: dict[str, int] | None = None) -> dict[str, int]:
    total: dict[str, int] = {}
    for container in pod["spec"]["containers"]:
        stated = container["resources"].get("requests") or {}
        read = {k: quantity.milli(v) if k == "cpu" else quantity.whole(v) for k, v in stated.items()}
        if missing is not None:
            read = {k: read.get(k, default) for k, default in missing.items()}
        for name, amount in read.items():
            total[name] = total.get(name, 0) + amount
    return total


def allocatable(node: Json) -> dict[str, int]:
    stated = node["status"]["allocatable"]
    return {k: quantity.milli(v) if k == "cpu" else quantity.whole(v) for k, v in stated.items()}


def tolerated(pod: Json, taint: Json, effects: tuple[str, ...] | None = None) -> bool:
    for one in pod["spec"].get("tolerations") or ():
        if effects is not None and one.get("effect", "") not in effects:
            continue
        if one.get("effect") and one["effect"] != taint["effect"]:
            continue
        if one.get("operator") == "Exists" and one.get("key", taint["key"]) == taint["key"]:
            return True
        equal = one.get("key") == taint["key"] and one.get("operator", "Equal") == "Equal"
        if equal and one.get("value", "") == taint.get("value", ""):
            return True
    return False


def term_holds(term: Json, labels: Json) -> bool:
    expressions = term.get("matchExpressions") or []
    return bool(expressions) and matches({"matchExpressions": expressions}, labels)


def chosen(pod: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    node_affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(term_holds(term, labels) for term in required["nodeSelectorTerms"])


def affinity(pod: Json, side: str, how: str) -> list[Json]:
    found = (pod["spec"].get("affinity") or {}).get(side) or {}
    return list(found.get(f"{how}DuringSchedulingIgnoredDuringExecution") or [])


def about(term: Json, owner: Json, other: Json) -> bool:
    spaces = term.get("namespaces") or [owner["metadata"]["namespace"]]
    labels = other["metadata"].get("labels") or {}
    return other["metadata"]["namespace"] in spaces and matches(term.get("labelSelector"), labels)


def label(cluster: Cluster, name: str, key: str) -> str | None:
    value: str | None = (cluster.nodes[name]["metadata"].get("labels") or {}).get(key)
    return value


def domain(cluster: Cluster, name: str, key: str) -> list[Json]:
    """The pods on nodes with the same value of a label; none where there is no label."""
    value = label(cluster, name, key)
    return (
        []
        if value is None
        else [p for p in cluster.placed() if label(cluster, p["spec"]["nodeName"], key) == value]
    )


def refusals(cluster: Cluster, pod: Json, name: str) -> tuple[list[str], bool]:
    """Reasons, and whether fewer pods there may help."""
    node = cluster.nodes[name]
    hard = [t for t in node["spec"].get("taints") or () if t["effect"] != "PreferNoSchedule"]
    if any(not tolerated(pod, taint) for taint in hard):
        return ["node(s) had untolerated taint(s)"], False
    if not chosen(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"], False
    if ports(pod) & {port for other in cluster.on(name) for port in ports(other)}:
        return ["node(s) didn't have free ports for the requested pod ports"], True
    has, wanted = allocatable(node), requests(pod)
    texts = ["Too many pods"] if len(cluster.on(name)) + 1 > has["pods"] else []
    helpful = True
    for resource, amount in wanted.items():
        used = sum(requests(other).get(resource, 0) for other in cluster.on(name))
        if amount and amount > has.get(resource, 0) - used:
            texts.append(f"Insufficient {resource}")
            helpful = helpful and amount <= has.get(resource, 0)
    if texts:
        return texts, helpful
    return spread_refusal(cluster, pod, name) or neighbour_refusal(cluster, pod, name) or ([], False)


def ports(pod: Json) -> set[tuple[str, int]]:
    listed = [port for one in pod["spec"]["containers"] for port in one.get("ports") or ()]
    return {(port.get("protocol", "TCP"), port["hostPort"]) for port in listed if port.get("hostPort")}


def spread_refusal(cluster: Cluster, pod: Json, name: str) -> tuple[list[str], bool] | None:
    constraints = [
        one
        for one in pod["spec"].get("topologySpreadConstraints") or ()
        if one["whenUnsatisfiable"] == "DoNotSchedule"
    ]
    for one in constraints:
        key = one["topologyKey"]
        if label(cluster, name, key) is None:
            return ["node(s) didn't match pod topology spread constraints (missing required label)"], False
        counts: dict[str, int] = {}
        for other, node in cluster.nodes.items():
            if any(label(cluster, other, each["topologyKey"]) is None for each in constraints):
                continue
            if one.get("nodeAffinityPolicy", "Honor") == "Honor" and not chosen(pod, node):
                continue
            hard = [t for t in node["spec"].get("taints") or () if t["effect"] != "PreferNoSchedule"]
            if one.get("nodeTaintsPolicy") == "Honor" and any(not tolerated(pod, taint) for taint in hard):
                continue
            value = str(label(cluster, other, key))
            counts[value] = counts.get(value, 0) + sum(counted(one, pod, each) for each in cluster.on(other))
        least = min(counts.values(), default=0) if len(counts) >= (one.get("minDomains") or 1) else 0
        own = matches(one.get("labelSelector"), pod["metadata"].get("labels") or {})
        if counts.get(str(label(cluster, name, key)), 0) + own - least > one["maxSkew"]:
            return ["node(s) didn't match pod topology spread constraints"], True
    return None


def counted(one: Json, pod: Json, other: Json) -> bool:
    if (
        other["metadata"]["namespace"] != pod["metadata"]["namespace"]
        or "deletionTimestamp" in other["metadata"]
    ):
        return False
    return matches(one.get("labelSelector"), other["metadata"].get("labels") or {})


def neighbour_refusal(cluster: Cluster, pod: Json, name: str) -> tuple[list[str], bool] | None:
    near = affinity(pod, "podAffinity", "required")
    if near:
        if any(label(cluster, name, term["topologyKey"]) is None for term in near):
            return ["node(s) didn't match pod affinity rules"], False
        ok = all(
            any(
                all(about(t, pod, other) for t in near)
                for other in domain(cluster, name, term["topologyKey"])
            )
            for term in near
        )
        nobody = not any(
            all(about(t, pod, other) for t in near)
            for other in cluster.placed()
            if any(
                label(cluster, other["spec"]["nodeName"], term["topologyKey"]) is not None for term in near
            )
        )
        if not ok and not (nobody and all(about(term, pod, pod) for term in near)):
            return ["node(s) didn't match pod affinity rules"], False
    for term in affinity(pod, "podAntiAffinity", "required"):
        if any(about(term, pod, other) for other in domain(cluster, name, term["topologyKey"])):
            return ["node(s) didn't match pod anti-affinity rules"], True
    for other in cluster.placed():
        for term in affinity(other, "podAntiAffinity", "required"):
            key = term["topologyKey"]
            value = label(cluster, name, key)
            same = value is not None and label(cluster, other["spec"]["nodeName"], key) == value
            if same and about(term, other, pod):
                return ["node(s) didn't satisfy existing pods anti-affinity rules"], True
    return None


def best(cluster: Cluster, pod: Json, names: list[str]) -> str:
    scores = dict.fromkeys(names, 0)
    if len(names) > 1:
        add(scores, taint_scores(cluster, pod, names), 3)
        add(scores, preference_scores(cluster, pod, names), 2)
        add(scores, spread_scores(cluster, pod, names), 2)
        add(scores, neighbour_scores(cluster, pod, names), 2)
        add(scores, {name: room(cluster, pod, name) for name in names}, 1)
        add(scores, {name: balance(cluster, pod, name) for name in names}, 1)
    return min(names, key=lambda one: (-scores[one], len(cluster.on(one)), shuffled(one)))


def shuffled(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()


def add(scores: dict[str, int], more: dict[str, int], weight: int) -> None:
    for name in scores:
        scores[name] += weight * more.get(name, 0)


def taint_scores(cluster: Cluster, pod: Json, names: list[str]) -> dict[str, int]:
    raw = {
        name: sum(
            taint["effect"] == "PreferNoSchedule" and not tolerated(pod, taint, ("", "PreferNoSchedule"))
            for taint in cluster.nodes[name]["spec"].get("taints") or ()
        )
        for name in names
    }
    most = max(raw.values())
    return {name: 100 - 100 * count // most if most else 100 for name, count in raw.items()}


def preference_scores(cluster: Cluster, pod: Json, names: list[str]) -> dict[str, int]:
    raw = {
        name: sum(
            one["weight"]
            for one in affinity(pod, "nodeAffinity", "preferred")
            if term_holds(one["preference"], cluster.nodes[name]["metadata"].get("labels") or {})
        )
        for name in names
    }
    most = max(raw.values())
    return {name: 100 * weight // most if most else 0 for name, weight in raw.items()}


def spread_scores(cluster: Cluster, pod: Json, names: list[str]) -> dict[str, int]:
    soft = [
        one
        for one in pod["spec"].get("topologySpreadConstraints") or ()
        if one["whenUnsatisfiable"] == "ScheduleAnyway"
    ]
    known = [
        name for name in names if all(label(cluster, name, one["topologyKey"]) is not None for one in soft)
    ]
    if not soft or not known:
        return {}
    raw: dict[str, int] = {}
    for name in known:
        total = 0.0
        for one in soft:
            key = one["topologyKey"]
            size = len(known) if key == HOST else len({label(cluster, other, key) for other in known})
            place = cluster.on(name) if key == HOST else domain(cluster, name, key)
            total += sum(counted(one, pod, other) for other in place) * math.log(size + 2) + (
                one["maxSkew"] - 1
            )
        raw[name] = math.floor(total + 0.5)
    most, least = max(raw.values()), min(raw.values())
    return {name: 100 * (most + least - one) // most if most else 100 for name, one in raw.items()}


def neighbour_scores(cluster: Cluster, pod: Json, names: list[str]) -> dict[str, int]:
    raw = dict.fromkeys(names, 0)
    for name in names:
        for sign, side in ((1, "podAffinity"), (-1, "podAntiAffinity")):
            for one in affinity(pod, side, "preferred"):
                term = one["podAffinityTerm"]
                found = [o for o in domain(cluster, name, term["topologyKey"]) if about(term, pod, o)]
                raw[name] += sign * one["weight"] * len(found)
            for other in cluster.placed():
                wishes = [
                    (sign * one["weight"], one["podAffinityTerm"])
                    for one in affinity(other, side, "preferred")
                ]
                if side == "podAffinity":
                    wishes += [(1, term) for term in affinity(other, side, "required")]
                for weight, term in wishes:
                    value = label(cluster, name, term["topologyKey"])
                    same = value is not None and value == label(
                        cluster, other["spec"]["nodeName"], term["topologyKey"]
                    )
                    raw[name] += weight if same and about(term, other, pod) else 0
    most, least = max(raw.values()), min(raw.values())
    return (
        {} if most == least else {n: int(100.0 * ((one - least) / (most - least))) for n, one in raw.items()}
    )


def room(cluster: Cluster, pod: Json, name: str) -> int:
    has, shares = allocatable(cluster.nodes[name]), []
    missing = {"cpu": 100, "memory": 200 * MIB}
    for resource in missing:
        if has.get(resource, 0) > 0:
            taken = sum(requests(other, missing)[resource] for other in [*cluster.on(name), pod])
            shares.append((has[resource] - taken) * 100 // has[resource] if taken <= has[resource] else 0)
    return sum(shares) // len(shares) if shares else 0


def balance(cluster: Cluster, pod: Json, name: str) -> int:
    wanted = requests(pod)
    if not wanted.get("cpu") and not wanted.get("memory"):
        return 0
    has, shares = allocatable(cluster.nodes[name]), []
    for resource in ("cpu", "memory"):
        if has.get(resource, 0) > 0:
            taken = sum(requests(other).get(resource, 0) for other in [*cluster.on(name), pod])
            shares.append(min(taken / has[resource], 1.0))
    return int((1 - (abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0)) * 100)


def preempt(cluster: Cluster, pod: Json, names: set[str]) -> tuple[str, list[str]]:
    """The node and the victims; '' where nothing helps."""
    mine, found = pod["spec"].get("priority", 0), []
    for name in names:
        lower = [other for other in cluster.on(name) if other["spec"].get("priority", 0) < mine]
        if not lower or refusals(cluster.without(lower), pod, name)[0]:
            continue
        gone = lower
        for other in sorted(lower, key=importance):
            fewer = [one for one in gone if one is not other]
            if not refusals(cluster.without(fewer), pod, name)[0]:
                gone = fewer
        found.append((name, sorted(gone, key=importance)))
    if not found:
        return "", []
    name, victims = min(found, key=lambda one: cost(*one))
    return name, [one["metadata"]["name"] for one in victims]


def importance(pod: Json) -> tuple[int, str, str]:
    return -pod["spec"].get("priority", 0), pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


def cost(name: str, victims: list[Json]) -> tuple[object, ...]:
    priorities = [one["spec"].get("priority", 0) for one in victims]
    top = max(priorities)
    starts = [
        one["metadata"]["creationTimestamp"] for one in victims if one["spec"].get("priority", 0) == top
    ]
    digits = int("".join(c for c in min(starts) if c.isdigit()))
    return top, sum(one + 2**31 for one in priorities), len(victims), -digits, shuffled(name)
