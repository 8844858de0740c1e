"""The cluster: one store, whoever follows it, and the one road by which all of them write."""

from functools import partial
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Any, Final, cast

from gitops.admission import admit_create
from gitops.controllers.bootstrap import bootstrap
from gitops.kinds import registry
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.errors import GitwardError, Unavailable
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.objects import KubeObject, key_of, timestamp
from gitops.simulator.agenda import Agenda, SeededMint
from gitops.simulator.faults import LATENCY_SECONDS, ZOMBIE_SECONDS, Faults, drawn
from gitops.simulator.follower import Standby
from gitops.simulator.history import History
from gitops.simulator.invariants import Invariants
from gitops.simulator.master import Master
from gitops.simulator.node import HollowNode
from gitops.simulator.repository import SOURCE, Commit, Repository
from gitops.store.contract import ABSENT, Batch, Committed, Delete, Put, Txn
from gitops.store.memory import MemoryStore

NODES: Final = {"node-a": 4, "node-b": 3, "node-c": 3}  # Name -> CPUs; a pod takes one.
SERVICE_CIDR: Final = IPv4Network("10.78.0.0/16")
API_ADDRESS: Final = IPv4Address("192.0.2.1")
FORGOTTEN: Final = 0.5  # How often somebody deletes the object of a node that is lost.
AWAY_SECONDS: Final = 3.0  # At most, without any master.


class Cluster:
    """`calm`: nothing goes wrong any more, whatever `faults` say."""

    def __init__(self, seed: int, history: History) -> None:
        self.random = Random(seed)
        self.agenda = Agenda()
        self.faults = Faults()
        self.history = history
        self.batches: list[Batch] = []
        self.store = MemoryStore(self.agenda.now)
        self.store.subscribe(self.batches.append)
        self.repository = Repository(self.random)
        self.mint = SeededMint(Random(self.random.getrandbits(64)))
        self.invariants = Invariants(self)
        self.masters: list[Master] = []
        self.nodes: dict[str, HollowNode] = {}
        self._standby: Standby | None = None
        faults = drawn(self.random)
        self._begin(faults)

    @property
    def master(self) -> Master:
        """The newest one."""
        return self.masters[-1]

    # What everyone does.

    def commit(
        self, txn: Txn, look: tuple[Commit, tuple[str, ...]] | None = None
    ) -> Committed | GitwardError:
        """The outcome, as the store gives it; and everyone hears of it sooner or later. Raises Broken.

        `look`: the commit that is declared by it, and what its trailers allow.
        """
        if self.random.random() < self.faults.refused:
            return Unavailable("the disk is full")
        before = len(self.batches)
        try:
            committed = self.store.commit_now(txn)
        except GitwardError as error:
            self.history.note(self.agenda.seconds, f"{txn.actor} ({txn.cause}): {error.reason}")
            return error
        for batch in self.batches[before:]:
            self.history.committed(self.agenda.seconds, txn, batch)
            self.invariants.check(txn, batch, look)
            self._spread()
        return committed

    def put(self, obj: KubeObject, cause: str) -> None:
        """For the beginning: an object as a client would create it, or again as it is."""
        kind = registry.find(*key_of(obj)[:2])
        assert kind is not None, f"{key_of(obj)} is of no served kind"
        view, now = self.store.view(), self.agenda.now()
        admitted = admit_create(view, cast(Any, kind), obj, now=now, mint=self.mint, manager="master")
        self.commit(Txn((Put(admitted, expect=ABSENT),), actor="master", cause=cause))

    def lateness(self) -> float:
        late = self.faults.late_seconds
        if late and self.random.random() < 0.3:
            return self.random.uniform(0, late)
        return self.random.uniform(0.0005, LATENCY_SECONDS)

    def has_crashed(self, master: Master) -> bool:
        """Perhaps it dies now; another one follows."""
        if self.random.random() >= self.faults.crash:
            return False
        self.history.note(self.agenda.seconds, f"master {master.number} crashes")
        if master is self.master:
            self.agenda.after(self.random.uniform(0.05, AWAY_SECONDS), partial(self._replace, master))
        master.gone = True
        return True

    def take_over(self, master: Master) -> None:
        """Another master, while this one perhaps only seems dead."""
        if master is not self.master or master.gone:
            return
        self.history.note(self.agenda.seconds, f"master {master.number} seems dead")
        self.agenda.after(self.random.uniform(0, ZOMBIE_SECONDS), partial(setattr, master, "gone", True))
        self._replace(master)

    def disturb(self) -> None:
        """Someone took pods away or changed sizes, or a leader changed: for a while counts may be wrong."""
        self.invariants.disturbed()

    def calm(self) -> None:
        """From now on nothing goes wrong. One master, every node that is not dead in reach."""
        self.invariants.calms()
        self.faults = Faults(late_seconds=0.0, epochs=self.faults.epochs)
        for node in self.nodes.values():
            node.reconnect()
            if node.dead and self.random.random() < FORGOTTEN:
                self.commit(
                    Txn((Delete(NODE.key("", node.name)),), actor="kubectl", cause="the node is lost")
                )
        for master in self.masters[:-1]:
            master.gone = True
        if self.master.gone:
            self._replace(self.master)

    def _replace(self, dead: Master) -> None:
        if dead is self.master:
            self._new_master()

    def _new_master(self) -> None:
        """It begins with what it has seen, which may be old."""
        view, cursor = self.store.view().fork(), len(self.batches)
        if self._standby is not None and self.faults.late_seconds:
            view, cursor = self._standby.view.fork(), self._standby.cursor
        self.invariants.led()
        self.masters.append(Master(self, len(self.masters) + 1, view, cursor))
        self.history.note(
            self.agenda.seconds, f"master {self.master.number} begins, {len(self.batches) - cursor} late"
        )

    def _spread(self) -> None:
        for follower in (
            *self.masters[-2:],
            *self.nodes.values(),
            *([self._standby] if self._standby else ()),
        ):
            follower.news()

    def _begin(self, faults: Faults) -> None:
        """What is there before anything goes wrong."""
        for obj in bootstrap(SERVICE_CIDR, API_ADDRESS, 6443):
            self.put(obj, "bootstrap")
        source = {
            "apiVersion": GIT_SOURCE.api_version,
            "kind": "GitSource",
            "metadata": {"name": SOURCE},
            "spec": {"url": "https://git.example/apps"},
        }
        self.put(cast(KubeObject, source), "bootstrap")
        for name, cpus in NODES.items():
            self.put(
                cast(
                    KubeObject, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}}
                ),
                "agent",
            )
            node = self.store.view().get(NODE, NODE.key("", name))
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": timestamp(self.agenda.now())}
            room = {"cpu": str(cpus), "memory": "8Gi", "pods": "110"}
            told = {
                **cast(Node, node),
                "status": {"capacity": room, "allocatable": room, "conditions": [ready]},
            }
            self.commit(Txn((Put(cast(KubeObject, told)),), actor=f"system:node:{name}", cause="agent"))
        self.faults = faults
        if self.faults.late_seconds:
            self._standby = Standby(self, self.store.view().fork(), len(self.batches))
        for number, name in enumerate(NODES, start=1):
            self.nodes[name] = HollowNode(self, name, f"192.0.2.{10 + number}")
        self._new_master()
