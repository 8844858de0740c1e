"""A node whose engine is a dict: the agent's pure state machine over the fake runtime, driven by the heap.

What runs survives the agent. The agent follows the pods of its node by a watch, reports by the API's preconditions, and
may crash, be cut off or meet an engine that fails; what it does to containers is checked against what it should.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, Protocol, cast

from agent.pods.machine import step
from agent.pods.observed import (
    Action,
    DeleteFromApi,
    EnsureSandbox,
    EnsureVolumes,
    PodObserved,
    Remove,
    Run,
    Stop,
    TearDown,
    Trouble,
    Verdict,
    Withdraw,
    place_of,
    subject_of,
)
from agent.runtime.fake import FakeRuntime
from agent.runtime.protocol import LABEL_ADDRESS, SANDBOX, ContainerState, Phase
from gitops.admission import admit_delete
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.core.pod import POD, Pod, PodStatus, pod_status
from gitops.kinds.errors import Conflict, GitwardError, Unavailable
from gitops.kinds.objects import KubeObject, key_of, micro_timestamp, timestamp, uid
from gitops.simulator.effects import Engine
from gitops.simulator.faults import Faults
from gitops.simulator.follower import Follower, Log
from gitops.simulator.repository import BROKEN_IMAGE
from gitops.store.contract import Batch, Committed, Position, Put, Txn
from gitops.store.memory import MemoryStore
from gitops.view import node_of

EFFECT_SECONDS: Final = 0.5  # At most, of a start or a stop.
READY_SECONDS: Final = 2.0  # At most, from a container's start until its probe says so.
RENEW_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
LEASE_NAMESPACE: Final = "kube-node-lease"


class World(Log, Protocol):
    """What a node needs of the cluster."""

    random: Random
    faults: Faults
    store: MemoryStore

    def commit(self, txn: Txn) -> Committed | GitwardError: ...


@dataclass(eq=False, slots=True)
class _Care:
    """What the agent remembers of one pod. All of it goes with the agent."""

    uid: str
    pod: Pod | None = None
    address: str = ""
    withdrawn: bool = False
    offline: bool = False
    busy: dict[object, Action] = field(default_factory=dict)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    ready_at: dict[str, float] = field(default_factory=dict)  # By container id.
    look_at: float = -1.0
    reporting: bool = False
    dropped: bool = False


class HollowNode(Follower):
    """`deaf`: cut off from the API; `dead`: for ever."""

    def __init__(self, world: World, name: str, address: str) -> None:
        super().__init__(world, len(world.batches))
        self._world, self._agenda, self._random = world, world.agenda, world.random
        self.name, self._address = name, address
        self.engine = Engine(name, FakeRuntime(clock=world.agenda.now), world.store.view)
        self.dead = False
        self._cares: dict[str, _Care] = {}
        self.start()
        self._agenda.after(0.0, self._renew)

    # The agent's life.

    def start(self) -> None:
        """An agent begins, and none that was here before goes on: it lists its pods, finds what runs, and follows."""
        self._drop()
        for pod in self._world.store.view().on_node(POD, self.name):
            self._care(uid(pod)).pod = pod
        self.cursor = len(self._world.batches)
        for pod_uid in {one.pod_uid: None for one in self.engine.states()}:
            self._care(pod_uid)
        for pod_uid in sorted(self.engine.volumes):
            self._care(pod_uid)
        for care in list(self._cares.values()):
            self._adopt(care)
            self._soon(care)

    def crash(self) -> None:
        """The agent dies and is started again in a moment; what runs goes on. Cut off, it begins when it can list."""
        self._drop()
        was_deaf, self.deaf = self.deaf, True
        if not was_deaf:
            self._agenda.after(self._random.uniform(0.1, 3.0), self._back)

    def _drop(self) -> None:
        for care in self._cares.values():
            care.dropped = True
        self._cares = {}

    def _back(self) -> None:
        if not self.dead:
            self.deaf = False
            self.start()

    def cut_off(self, seconds: float | None) -> None:
        """The network to the API is gone for a while, None: for ever."""
        self.deaf = True
        if seconds is None:
            self.dead = True
        else:
            self._agenda.after(seconds, self.reconnect)

    def reconnect(self) -> None:
        if self.dead or not self.deaf:
            return
        self.deaf = False
        if not self._cares:
            self.start()
        self.news()
        for care in list(self._cares.values()):
            care.offline = False
            self._soon(care)
        self._tell_ready()

    def disturbed(self, pod_uid: str) -> None:
        """Something happened to a pod's containers: the engine's event."""
        if (care := self._cares.get(pod_uid)) is not None:
            self._soon(care)

    def take(self, batches: list[Batch]) -> None:
        for batch in batches:
            for change in batch.changes:
                if not POD.owns(change.after or cast(KubeObject, change.before)):
                    continue
                if change.after is not None and node_of(change.after) == self.name:
                    self._update(change.after)
                elif change.before is not None and node_of(change.before) == self.name:
                    self._gone(uid(change.before))

    def _update(self, pod: Pod | KubeObject) -> None:
        care = self._care(uid(pod))
        if care.pod is None or _version(pod) > _version(care.pod):
            care.pod = cast(Pod, pod)
        self._soon(care)

    def _gone(self, pod_uid: str) -> None:
        if (care := self._cares.get(pod_uid)) is not None:
            care.pod = None
            self._soon(care)

    def _care(self, pod_uid: str) -> _Care:
        return self._cares.setdefault(pod_uid, _Care(pod_uid))

    def _adopt(self, care: _Care) -> None:
        sandbox = self.engine.sandbox(care.uid)
        if sandbox is not None and sandbox.phase is Phase.RUNNING:
            care.address = sandbox.labels.get(LABEL_ADDRESS, "")

    # One look at a pod.

    def _soon(self, care: _Care, seconds: float = 0.01) -> None:
        at = self._agenda.seconds + seconds
        if not self._agenda.seconds <= care.look_at <= at:
            care.look_at = at
            self._agenda.at(at, partial(self._look, care, at))

    def _look(self, care: _Care, at: float) -> None:
        if care.dropped or care.look_at != at:
            return
        care.look_at = -1.0
        states = tuple(self.engine.states(care.uid))
        actions = step(care.pod, self._observed(care, states), self._agenda.now())
        if care.pod is not None and actions.status is not None and actions.status != pod_status(care.pod):
            self._report(care)
        for action in actions.do:
            place = place_of(action)
            if isinstance(action, Stop):
                self.engine.check_stop(care.uid, action)
            if place not in care.busy:
                care.busy[place] = action
                self._agenda.after(
                    self._random.uniform(0.01, EFFECT_SECONDS), partial(self._carry_out, care, action)
                )
        waits = [(actions.wake_at - self._agenda.now()).total_seconds()] if actions.wake_at else []
        waits += [at - self._agenda.seconds for at in care.ready_at.values() if at > self._agenda.seconds]
        if waits and not care.offline:
            self._soon(care, max(min(waits), 0.05))
        if care.pod is None and not actions.do and not care.busy:
            care.dropped = True
            self._cares.pop(care.uid, None)

    def _observed(self, care: _Care, states: tuple[ContainerState, ...]) -> PodObserved:
        return PodObserved(
            containers=states,
            address=care.address,
            node_address=self._address,
            volumes_ready=care.uid in self.engine.volumes,
            trouble=dict(care.trouble),
            verdicts=self._verdicts(care, states),
            withdrawn=care.withdrawn,
            starting=frozenset(one.container for one in care.busy.values() if isinstance(one, Run)),
            offline=care.offline,
        )

    def _verdicts(self, care: _Care, states: Iterable[ContainerState]) -> dict[str, Verdict]:
        """What its probes would say: ready after a while, or never."""
        verdicts = {}
        for state in states:
            if state.container == SANDBOX or state.phase is not Phase.RUNNING:
                continue
            if state.id not in care.ready_at:
                care.ready_at[state.id] = self._agenda.seconds + self._random.uniform(0.1, READY_SECONDS)
            ready = care.ready_at[state.id] <= self._agenda.seconds and not state.image.startswith(
                BROKEN_IMAGE
            )
            verdicts[state.container] = Verdict(state.id, started=True, ready=ready)
        return verdicts

    # What it tells the API.

    def _report(self, care: _Care) -> None:
        if not care.reporting and not care.offline:
            care.reporting = True
            self._agenda.after(self._random.uniform(0.01, 0.3), partial(self._send, care))

    def _send(self, care: _Care) -> None:
        """The status as it is now, of exactly the version that the agent knows."""
        care.reporting = False
        if care.dropped or care.pod is None:
            return
        states = tuple(self.engine.states(care.uid))
        status: PodStatus | None = step(care.pod, self._observed(care, states), self._agenda.now()).status
        if status is None or status == pod_status(care.pod):
            return
        told = cast(Pod, {**care.pod, "status": status})
        outcome = self._write(Put(told, expect=_version(care.pod)))
        if isinstance(outcome, Committed):
            stored = cast(Pod, outcome.objects[0])
            if care.pod is not None and _version(stored) > _version(care.pod):
                care.pod = stored
            self._soon(care)
        elif isinstance(outcome, Conflict):
            self._agenda.after(0.2, partial(self._report_again, care))
        else:
            care.offline = self.deaf
            self._soon(care)
            self._agenda.after(RETRY_SECONDS, partial(self._report_again, care))

    def _report_again(self, care: _Care) -> None:
        if not care.dropped:
            self._report(care)

    def _write(self, *ops: Any) -> Committed | GitwardError:
        if self.deaf:
            return Unavailable("the API does not answer")
        return self._world.commit(Txn(tuple(ops), actor=f"system:node:{self.name}", cause="agent"))

    def _renew(self) -> None:
        """Its lease; and that it is Ready, where others doubt it."""
        if self.dead:
            return
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": LEASE_NAMESPACE, "uid": f"lease-{self.name}"},
            "spec": {"holderIdentity": self.name, "renewTime": micro_timestamp(self._agenda.now())},
        }
        self._write(Put(cast(KubeObject, lease)))
        self._tell_ready()
        self._agenda.after(RENEW_SECONDS, self._renew)

    def _tell_ready(self) -> None:
        node = self._world.store.view().get(NODE, NODE.key("", self.name))
        conditions = (node.get("status") or {}).get("conditions") or [] if node is not None else []
        if node is not None and not any(
            one["type"] == "Ready" and one["status"] == "True" for one in conditions
        ):
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": timestamp(self._agenda.now())}
            others = [one for one in conditions if one["type"] != "Ready"]
            status = {**(node.get("status") or {}), "conditions": [*others, ready]}
            self._write(Put(cast(Node, {**node, "status": status}), expect=_version(node)))

    # Effects.

    def _carry_out(self, care: _Care, action: Action) -> None:
        """May fail before or after it is done; an agent that died meanwhile has perhaps done it, and tells nobody."""
        chance = self._random.random() / max(self._world.faults.engine, 1e-9)
        if care.dropped and chance >= 1:
            return
        try:
            if chance < 0.5:
                raise Unavailable("the engine does not answer")
            self._do(care, action)
            if chance < 1:
                raise Unavailable("the engine has not answered in time")
        except GitwardError as error:
            subject = subject_of(action)
            known = care.trouble.get(subject)
            failures = known.failures + 1 if known else 1
            care.trouble[subject] = Trouble("RunContainerError", str(error), self._agenda.now(), failures)
        else:
            care.trouble.pop(subject_of(action), None)
        care.busy.pop(place_of(action), None)
        if not care.dropped:
            self._soon(care)

    def _do(self, care: _Care, action: Action) -> None:
        pod = care.pod
        match action:
            case Stop():
                self.engine.stop(action)
            case Remove():
                self.engine.remove(action.container_id)
            case Withdraw():
                care.withdrawn = True
            case TearDown():
                self.engine.tear_down(care.uid)
                care.address = ""
            case _ if pod is None:
                return
            case EnsureSandbox():
                care.address = self.engine.ensure_sandbox(pod, care.address)
            case EnsureVolumes():
                self.engine.volumes.add(care.uid)
            case Run():
                self.engine.run(pod, action)
            case DeleteFromApi():
                self._delete(pod)

    def _delete(self, pod: Pod) -> None:
        """The last word, with the uid as precondition."""
        found = self._world.store.view().get(POD, key_of(pod))
        if found is None or uid(found) != uid(pod):
            return
        op = admit_delete(POD, found, now=self._agenda.now(), grace_seconds=0)
        if op is not None and isinstance(outcome := self._write(op), GitwardError):
            raise outcome


def _version(obj: KubeObject) -> Position:
    return Position(int(obj["metadata"]["resourceVersion"]))
