"""Deployment arithmetic: how many pods each ReplicaSet of a roll may have next. Numbers in, numbers out.

Source: kubernetes/pkg/controller/deployment/{rolling,sync}.go and util/deployment_util.go, 1.35.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gitops.controllers.deployment_revisions import MAX_REPLICAS, by_creation
from gitops.kinds.apps import Deployment, ReplicaSet, ReplicaSetStatus
from gitops.kinds.objects import annotations_of

PERCENT: Final = 100

Sizes = Mapping[str, int]  # Name of a ReplicaSet -> spec.replicas as it shall be; what is not named stays.


class Limits(NamedTuple):
    """Of a rolling update, in pods."""

    surge: int
    unavailable: int


def limits_of(deployment: Deployment) -> Limits:
    """maxSurge rounded up, maxUnavailable down; were both 0 nothing could move, so one pod may then be unavailable."""
    strategy, replicas = deployment["spec"]["strategy"], deployment["spec"]["replicas"]
    if strategy["type"] == "Recreate":
        return Limits(0, 0)
    rolling = strategy.get("rollingUpdate")
    assert rolling is not None, "defaulting fills it in"
    surge = scaled(rolling["maxSurge"], replicas, round_up=True)
    unavailable = scaled(rolling["maxUnavailable"], replicas, round_up=False)
    return Limits(surge, min(unavailable if surge or unavailable else 1, replicas))


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """A number, or a percentage of `total`."""
    if isinstance(value, int):
        return value
    product = int(value.removesuffix("%")) * total
    return -(-product // PERCENT) if round_up else product // PERCENT


def size(replica_set: ReplicaSet) -> int:
    return replica_set["spec"]["replicas"]


def status_of(replica_set: ReplicaSet) -> ReplicaSetStatus:
    return replica_set.get("status") or ReplicaSetStatus(replicas=0)


def available(replica_set: ReplicaSet) -> int:
    """Never more than it shall have: its status may be older than its last scaling down."""
    return min(status_of(replica_set).get("availableReplicas", 0), size(replica_set))


def new_size(deployment: Deployment, new: int, all_sizes: int) -> int:
    """What the new ReplicaSet, now at `new` pods of `all_sizes` in all, may have next."""
    wanted = deployment["spec"]["replicas"]
    if new >= wanted or deployment["spec"]["strategy"]["type"] == "Recreate":
        return wanted
    room = wanted + limits_of(deployment).surge - all_sizes
    return new if room <= 0 else new + min(room, wanted - new)


def roll_down(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> Sizes:
    """Old ReplicaSets, smaller: unhealthy pods first, then as many as the available ones allow."""
    oldest = by_creation(old)
    at_least = deployment["spec"]["replicas"] - limits_of(deployment).unavailable
    total = sum(map(size, old)) + size(new)
    removable = total - at_least - (size(new) - available(new))
    if removable <= 0:
        return {}
    sizes = {one["metadata"].get("name", ""): size(one) for one in oldest}
    for one in oldest:
        unhealthy = min(size(one) - available(one), removable)
        sizes[one["metadata"].get("name", "")] -= unhealthy
        removable -= unhealthy
    spare = sum(map(available, (*old, new))) - at_least
    for one in oldest:
        name = one["metadata"].get("name", "")
        healthy = min(sizes[name], max(spare, 0), removable)
        sizes[name] -= healthy
        spare -= healthy
        removable -= healthy
    return sizes


def rescale(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> Sizes:
    """After a change of `spec.replicas`: the one active ReplicaSet takes it all, several share it in proportion."""
    wanted = deployment["spec"]["replicas"]
    active = [one for one in (*old, *([new] if new else ())) if size(one)]
    if len(active) <= 1:
        only = active[0] if active else (new or next(reversed(by_creation(old)), None))
        return {only["metadata"].get("name", ""): wanted} if only else {}
    if new is not None and size(new) == wanted == status_of(new).get("availableReplicas", 0):
        return {one["metadata"].get("name", ""): 0 for one in active if one is not new}
    if deployment["spec"]["strategy"]["type"] == "Recreate":
        return {}
    return _in_proportion(deployment, active)


def _in_proportion(deployment: Deployment, active: Sequence[ReplicaSet]) -> Sizes:
    """Shares of the difference by size, the rest to the largest: the newest of them growing, the oldest shrinking."""
    wanted = deployment["spec"]["replicas"]
    allowed = wanted + limits_of(deployment).surge if wanted else 0
    to_add = allowed - sum(map(size, active))
    ordered = sorted(_in_order(active, newest_first=to_add > 0), key=lambda one: -size(one))
    sizes: dict[str, int] = {}
    added = 0
    for one in ordered:
        share = _share(deployment, one, allowed)
        left = to_add - added
        share = max(min(share, left), 0) if to_add > 0 else min(max(share, left), 0)
        sizes[one["metadata"].get("name", "")] = size(one) + share
        added += share
    first = ordered[0]["metadata"].get("name", "")
    sizes[first] = max(sizes[first] + to_add - added, 0)
    return sizes


def _in_order(replica_sets: Iterable[ReplicaSet], *, newest_first: bool) -> list[ReplicaSet]:
    ordered = by_creation(replica_sets)
    return ordered[::-1] if newest_first else ordered


def _share(deployment: Deployment, replica_set: ReplicaSet, allowed: int) -> int:
    """By how much a ReplicaSet changes if it keeps its part of the whole."""
    if not deployment["spec"]["replicas"]:
        return -size(replica_set)
    status = deployment.get("status") or {}
    before = annotations_of(replica_set).get(MAX_REPLICAS, "")
    whole = int(before) if before.isdecimal() and int(before) else status.get("replicas", 0) or allowed
    return (2 * size(replica_set) * allowed + whole) // (2 * whole) - size(replica_set)
