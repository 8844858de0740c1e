"""How many pods there may be: no more than asked for, no fewer than promised, no more on a node than it takes."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, cast

from gitops.kinds import quantity
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment, ReplicaSet
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod, is_ready, is_terminal, pod_condition
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.objects import KubeObject, controller_of, is_going, key_of, moment_of, uid
from gitops.simulator.history import Broken
from gitops.store.contract import Batch, Txn
from gitops.view import View

REPLICASET: Final = "controller/replicaset"
DEPLOYMENT_ACTOR: Final = "controller/deployment"
SLICES: Final = "controller/endpointslice"
SCHEDULER: Final = "controller/scheduler"


class Moment(NamedTuple):
    """What may be held in favour of who writes now.

    Attributes:
        excused: pods were lost, or numbers changed, a moment ago.
        disputed: so did the leader: there may be two.
        seen_by_all: what happened before that, everyone has seen.
    """

    excused: bool
    disputed: bool
    seen_by_all: datetime


class Sizes:
    def __init__(self, view: View) -> None:
        self._view = view

    def check(self, txn: Txn, batch: Batch, moment: Moment) -> bool:
        """Returns whether pods were lost or became unready by something other than these controllers."""
        if txn.actor == REPLICASET:
            self._check_replica_set(batch, moment)
        elif txn.actor == DEPLOYMENT_ACTOR:
            self._check_surge(batch, moment)
        elif txn.actor == SCHEDULER:
            self._check_room(batch, moment)
        elif txn.actor == SLICES:
            self._check_slices(batch)
        else:
            return any(_is_loss(change.before, change.after) for change in batch.changes)
        return False

    def _check_replica_set(self, batch: Batch, moment: Moment) -> None:
        """Exactly what is asked for, counted in the truth: the fence sees to it, however stale a view is."""
        owners: dict[str, ReplicaSet] = {}
        created = deleted = served = 0
        for change in batch.changes:
            obj = change.after or change.before
            if obj is None or not POD.owns(obj):
                continue
            reference = controller_of(obj)
            owner = self._view.by_uid(reference["uid"]) if reference else None
            if owner is None:
                continue
            owners[uid(owner)] = cast(ReplicaSet, owner)
            created += change.before is None
            if (
                change.before is not None
                and not is_going(change.before)
                and (change.after is None or is_going(change.after))
            ):
                deleted += 1
                served += _is_ready_since(cast(Pod, change.before), moment.seen_by_all)
        for owner in owners.values():
            active, wanted = len(list(self._active(owner))), owner["spec"]["replicas"]
            if created and active > wanted:
                raise Broken(f"{key_of(owner)} has {active} pods, {wanted} are asked for")
            if deleted and active < wanted and not moment.excused:
                raise Broken(f"{key_of(owner)} has {active} pods left, {wanted} are asked for")
            if served and not moment.excused:
                self._check_available(owner)

    def _check_available(self, owner: ReplicaSet) -> None:
        deployment = self._deployment_of(owner)
        if deployment is None or deployment["spec"]["strategy"]["type"] == "Recreate":
            return
        wanted = deployment["spec"]["replicas"]
        allowed = _limits(deployment)[1]
        ready = sum(is_ready(pod) for one in self._replica_sets(deployment) for pod in self._active(one))
        if ready < wanted - allowed:
            text = f"{ready} of {wanted} pods ready, only {allowed} may be away"
            raise Broken(f"{key_of(deployment)} has after a deletion {text}")

    def _check_surge(self, batch: Batch, moment: Moment) -> None:
        for change in batch.changes:
            obj = change.after
            if obj is None or not REPLICA_SET.owns(obj) or moment.excused:
                continue
            replica_set = cast(ReplicaSet, obj)
            before = cast(ReplicaSet, change.before)["spec"]["replicas"] if change.before else 0
            deployment = self._deployment_of(replica_set)
            if deployment is None or replica_set["spec"]["replicas"] <= before:
                continue
            total = sum(one["spec"]["replicas"] for one in self._replica_sets(deployment))
            most = deployment["spec"]["replicas"] + _limits(deployment)[0]
            if total > most:
                raise Broken(f"{key_of(deployment)} wants {total} pods in all, at most {most} are allowed")

    def _check_room(self, batch: Batch, moment: Moment) -> None:
        for change in batch.changes:
            pod = cast("Pod | None", change.after)
            if pod is None or not POD.owns(pod) or moment.disputed:
                continue
            name = pod["spec"].get("nodeName")
            if not name or (change.before and cast(Pod, change.before)["spec"].get("nodeName")):
                continue
            node = self._view.get(NODE, NODE.key("", name))
            if node is None:
                continue
            taken = sum(map(cpus_of, self._view.on_node(POD, name)), Decimal(0))
            room = quantity.parse((node.get("status") or {}).get("allocatable", {}).get("cpu", "0"))
            if taken > room:
                raise Broken(f"{name} has room for {room} CPUs, its pods ask for {taken}")

    def _check_slices(self, batch: Batch) -> None:
        """One for each way to serve the ports, as there are few endpoints here: the fence sees to it, as above."""
        for change in batch.changes:
            if change.before is None and change.after is not None:
                owner = controller_of(change.after)
                slices = list(self._view.owned_by(ENDPOINT_SLICE, owner["uid"])) if owner else []
                ways = [str(one.get("ports")) for one in slices]
                if len(set(ways)) < len(ways):
                    raise Broken(f"{change.key} is the second slice of its kind for one Service")

    def _active(self, owner: KubeObject) -> Iterator[Pod]:
        for pod in self._view.owned_by(POD, uid(owner)):
            if not is_going(pod) and not is_terminal(pod):
                yield pod

    def _replica_sets(self, deployment: Deployment) -> Iterator[ReplicaSet]:
        return self._view.owned_by(REPLICA_SET, uid(deployment))

    def _deployment_of(self, replica_set: ReplicaSet) -> Deployment | None:
        reference = controller_of(replica_set)
        owner = self._view.by_uid(reference["uid"]) if reference else None
        return cast(Deployment, owner) if owner is not None and DEPLOYMENT.owns(owner) else None


def cpus_of(pod: Pod) -> Decimal:
    """What a pod takes of its node until it has ended."""
    if is_terminal(pod):
        return Decimal(0)
    asked = (
        one.get("resources", {}).get("requests", {}).get("cpu", "0") for one in pod["spec"]["containers"]
    )
    return sum((Decimal(quantity.parse(one)) for one in asked), Decimal(0))


def _is_ready_since(pod: Pod, moment: datetime) -> bool:
    ready = pod_condition(pod, "Ready")
    return is_ready(pod) and ready is not None and moment_of(ready.get("lastTransitionTime", "")) < moment


def _is_loss(before: KubeObject | None, after: KubeObject | None) -> bool:
    """A pod that counted or was ready, and is not any more."""
    if before is None or not POD.owns(before) or is_going(before):
        return False
    if after is None or is_going(after) or is_terminal(cast(Pod, after)):
        return True
    return is_ready(cast(Pod, before)) and not is_ready(cast(Pod, after))


def _limits(deployment: Deployment) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods, by Kubernetes' documentation."""
    wanted = deployment["spec"]["replicas"]
    rolling = deployment["spec"]["strategy"].get("rollingUpdate")
    if rolling is None:
        return 0, wanted
    surge, away = rolling["maxSurge"], rolling["maxUnavailable"]
    up = surge if isinstance(surge, int) else -(-int(surge.rstrip("%")) * wanted // 100)
    down = away if isinstance(away, int) else int(away.rstrip("%")) * wanted // 100
    return up, down if up or down else 1
