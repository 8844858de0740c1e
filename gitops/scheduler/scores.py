"""How well a pod would stand on each node where it can run.

Source: the default profile's plug-ins and weights, 1.35: TaintToleration 3, NodeAffinity 2, PodTopologySpread 2,
InterPodAffinity 2, NodeResourcesFit (LeastAllocated) 1, NodeResourcesBalancedAllocation 1, ImageLocality 1. Every
result is 0 to 100. Float expressions are in Kubernetes' order: they must round as there.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from gitops.kinds.core.amounts import CPU, MEMORY
from gitops.kinds.core.tolerations import tolerates
from gitops.scheduler.filters import term_matches
from gitops.scheduler.neighbours import domains_of
from gitops.scheduler.state import Row, State
from gitops.scheduler.template import HOSTNAME, Spread, Template

SCORE_MAX: Final = 100
TAINTS: Final = 3
NODE_AFFINITY: Final = 2
SPREAD: Final = 2
POD_AFFINITY: Final = 2
MIB: Final = 1024 * 1024
IMAGE_LOW_BYTES: Final = 23 * MIB
IMAGE_HIGH_BYTES: Final = 1000 * MIB  # For each container.


def local_score(state: State, template: Template, row: Row) -> int:
    """What the node alone decides: room, balance, images."""
    return _room(template, row) + _balance(template, row) + _images(state, template, row)


def shunned(template: Template, row: Row) -> int:
    """How many taints ask the pod to go elsewhere if it can."""
    soft = [one for one in template.tolerations if one.get("effect", "") in ("", "PreferNoSchedule")]
    return sum(one["effect"] == "PreferNoSchedule" and not tolerates(soft, one) for one in row.taints)


def preferred(template: Template, row: Row) -> int:
    return sum(weight for weight, term in template.preferred if term_matches(term, row))


def by_taints(counts: Sequence[int]) -> list[int]:
    most = max(counts)
    return [TAINTS * (SCORE_MAX - SCORE_MAX * count // most if most else SCORE_MAX) for count in counts]


def by_preference(weights: Sequence[int]) -> list[int]:
    most = max(weights)
    return [NODE_AFFINITY * (SCORE_MAX * weight // most if most else 0) for weight in weights]


def by_spread(state: State, template: Template, rows: Sequence[Row]) -> list[int] | None:
    """Of the constraints that are only wished for; None: there are none."""
    soft = [one for one in template.spread if not one.hard]
    if not soft:
        return None
    strict = not template.spread_by_default  # A pod's own constraints ask for every label.
    known = [row for row in rows if all(one.topology in row.labels for one in soft)] if strict else rows
    raw = _spread_raw(state, template, soft, known)
    if not raw:
        return None if strict and not known else [0] * len(rows)
    most, least = max(raw), min(raw)
    if most:
        # Few values differ: each is worked out once.
        worth = {one: SPREAD * (SCORE_MAX * (most + least - one) // most) for one in set(raw)}
        scores = [worth[one] for one in raw]
    else:
        scores = [SPREAD * SCORE_MAX] * len(raw)
    if len(known) == len(rows):
        return scores
    found = {row.name: score for row, score in zip(known, scores, strict=True)}
    return [found.get(row.name, 0) for row in rows]


def _spread_raw(state: State, template: Template, soft: Sequence[Spread], rows: Sequence[Row]) -> list[int]:
    """By row of `rows`."""
    sums = [0.0] * len(rows)
    for one in soft:
        groups = state.spread_over(template, one)
        values = state.values_of(one.topology)
        if rows is not state.order:
            values = [values[row.rank] for row in rows]
        if not any(values):
            continue
        if one.topology == HOSTNAME:
            size = len(rows)
            counts = _on_nodes(groups, rows)
        else:
            size = len(set(values) - {None})
            domains = domains_of(state, one.topology, groups)
            counts = [domains.get(value, 0) if value is not None else 0 for value in values]
        weight, offset = math.log(size + 2), one.skew_max - 1
        sums = [
            total if value is None else total + (count * weight + offset)
            for total, value, count in zip(sums, values, counts, strict=True)
        ]
    return [int(value + 0.5) for value in sums]


def _on_nodes(groups: Sequence[Counter[str]], rows: Sequence[Row]) -> list[int]:
    if len(groups) == 1:
        (nodes,) = groups
        return [nodes.get(row.name, 0) for row in rows]
    return [sum(nodes.get(row.name, 0) for nodes in groups) for row in rows]


def by_neighbours(state: State, template: Template, rows: Sequence[Row]) -> list[int] | None:
    """Preferred affinity of this pod, and what the pods that are there wish of it; None: nobody wishes anything."""
    wishes: dict[str, Counter[str]] = {}
    for weight, term in template.liked:
        found = domains_of(state, term.topology, (state.groups[group] for group in state.matching(term)))
        _wish(wishes, term.topology, found, weight)
    for (weight, term), owners in state.drawn.items():
        if term.wants(template.namespace, template.labels, state.namespaces):
            _wish(wishes, term.topology, domains_of(state, term.topology, (owners,)), weight)
    if not wishes:
        return None
    raw = [
        sum(domains[row.labels[key]] for key, domains in wishes.items() if key in row.labels) for row in rows
    ]
    most, least = max(raw), min(raw)
    if most == least:
        return None
    return [POD_AFFINITY * int(100.0 * ((one - least) / (most - least))) for one in raw]


def _wish(wishes: dict[str, Counter[str]], topology: str, domains: Counter[str], weight: int) -> None:
    place = wishes.setdefault(topology, Counter())
    for value, number in domains.items():
        place[value] += weight * number


def _room(template: Template, row: Row) -> int:
    """The mean share of cpu and memory that would still be free."""
    total = resources = 0
    for name, used, wanted in (
        (CPU, row.scored_cpu, template.scored[0]),
        (MEMORY, row.scored_memory, template.scored[1]),
    ):
        capacity = row.allocatable.get(name, 0)
        if capacity > 0:
            taken = used + wanted
            total += (capacity - taken) * SCORE_MAX // capacity if taken <= capacity else 0
            resources += 1
    return total // resources if resources else 0


def _balance(template: Template, row: Row) -> int:
    """How even the shares of cpu and memory would be, by what is really requested."""
    wanted = template.requests
    if not wanted.get(CPU) and not wanted.get(MEMORY):
        return 0
    shares = []
    for name in (CPU, MEMORY):
        capacity = row.allocatable.get(name, 0)
        if capacity > 0:
            shares.append(min((row.used.get(name, 0) + wanted.get(name, 0)) / capacity, 1.0))
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
    return int((1 - deviation) * SCORE_MAX)


def _images(state: State, template: Template, row: Row) -> int:
    """Images that are there already, those that many nodes have counting for more."""
    if not state.images:
        return 0
    nodes = len(state.order)
    total = sum(int(row.images.get(name, 0) * (state.images[name] / nodes)) for name in template.images)
    high = IMAGE_HIGH_BYTES * len(template.images)
    return SCORE_MAX * (min(max(total, IMAGE_LOW_BYTES), high) - IMAGE_LOW_BYTES) // (high - IMAGE_LOW_BYTES)
