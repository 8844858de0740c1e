"""One master: a runner over a view of its own, which sees its own writes at once and others' when its watch says so.

It also looks at git, as sync does: one look at a time, for a hint or because a timer says so. It dies before or after
any commit; then another one begins with what it has seen so far, and the dead one may not be quite dead.
"""

from functools import partial
from ipaddress import IPv4Network
from math import inf
from random import Random
from typing import Final, Protocol

from gitops.controllers.apply import APPLY
from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.disruption import DISRUPTION
from gitops.controllers.endpoints import ENDPOINTS_CONTROLLER
from gitops.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER
from gitops.controllers.event_ttl import EVENT_TTL
from gitops.controllers.garbage import GARBAGE_COLLECTOR
from gitops.controllers.namespace import NAMESPACE_CONTROLLER
from gitops.controllers.node_cidr import node_cidr
from gitops.controllers.node_lifecycle import node_lifecycle
from gitops.controllers.pod_gc import pod_gc
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.controllers.service_accounts import service_accounts
from gitops.controllers.sources import SOURCES
from gitops.controllers.taint_eviction import taint_eviction
from gitops.kinds.errors import Fenced, GitwardError
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.keys import Key
from gitops.reconcile import Controller
from gitops.runner import Decision, Runner, Settings
from gitops.scheduler import SCHEDULER
from gitops.simulator.agenda import SeededMint
from gitops.simulator.faults import LATENCY_SECONDS, RESYNC_SECONDS, Faults
from gitops.simulator.follower import Follower, Log
from gitops.simulator.history import Broken
from gitops.simulator.repository import SOURCE, Commit, Repository
from gitops.store.contract import Batch, Committed, Position, Txn
from gitops.store.memory import MemoryStore
from gitops.sync.declare import AppLook, Look, declare
from gitops.sync.telling import report
from gitops.view import View

IN_FLIGHT_MAX: Final = 16
TIMER_SECONDS: Final = 45.0
FETCH_SECONDS: Final = 1.5  # At most.
CLUSTER_CIDR: Final = IPv4Network("10.77.0.0/16")


class World(Log, Protocol):
    """What a master needs of the cluster."""

    random: Random
    faults: Faults
    repository: Repository
    store: MemoryStore

    def commit(
        self, txn: Txn, look: tuple[Commit, tuple[str, ...]] | None = None
    ) -> Committed | GitwardError: ...

    def has_crashed(self, master: "Master") -> bool:
        """Whether it dies now; then it must do nothing more."""
        ...


class Master(Follower):
    """`gone`: it does nothing any more."""

    def __init__(self, world: World, number: int, view: View, cursor: int) -> None:
        super().__init__(world, cursor)
        self._world, self._agenda = world, world.agenda
        self.number, self.epoch = number, world.store.lead()
        self.view = view
        clock = world.agenda
        mint = SeededMint(Random(world.random.getrandbits(64)))
        settings = Settings(resync_seconds=RESYNC_SECONDS, epoch=self.epoch if world.faults.epochs else None)
        self.runner = Runner(MemoryStore(clock.now, view), _controllers(world), clock, mint, settings)
        self._in_flight, self._wake_at = 0, inf
        self._own: dict[Key, Position] = {}  # What it wrote and its watch has not told it yet.
        self._own_revisions: set[int] = set()
        self._looking, self._look_again = False, False
        self._declared: str | None = None
        self._agenda.after(0.0, self.work)
        self._agenda.after(0.0, self._on_timer)
        self.news()

    # Following.

    def take(self, batches: list[Batch]) -> None:
        for batch in batches:
            own = batch.revision in self._own_revisions
            for change in batch.changes:
                self.view.apply(change)
                self._check_own(change.key)
            self.view.advance(batch.revision)
            self._own_revisions.discard(batch.revision)
            for key in [key for key, at in self._own.items() if at >> 16 <= batch.revision]:
                del self._own[key]
            if not own:
                self._tell(batch)
        self.work()

    def _tell(self, batch: Batch) -> None:
        """The hint that something changed, which may be lost or come twice."""
        random, faults = self._world.random, self._world.faults
        if random.random() < faults.lost_hint:
            return
        self.runner.published(batch)
        if random.random() < faults.doubled_hint:
            self._agenda.after(random.uniform(0, 2), partial(self._tell_again, batch))

    def _tell_again(self, batch: Batch) -> None:
        if not self.gone:
            self.runner.published(batch)
            self.work()

    def _check_own(self, key: Key) -> None:
        """The view is never older than our own last write."""
        written = self._own.get(key)
        held = self.view.object(key)
        if written is not None and held is not None and int(held["metadata"]["resourceVersion"]) < written:
            raise Broken(f"master {self.number} sees {key} as it was before its own last write")

    # The runner.

    def work(self) -> None:
        """Decide for as long as something is due."""
        while (
            not self.gone and self._in_flight < IN_FLIGHT_MAX and (decision := self.runner.step()) is not None
        ):
            self._in_flight += 1
            self._agenda.after(
                self._world.random.uniform(0.0005, LATENCY_SECONDS), partial(self._commit, decision)
            )
        if not self.gone and (due := self.runner.next_due()) < self._wake_at:
            self._wake_at = due
            self._agenda.at(due, partial(self._awake, due))

    def _awake(self, due: float) -> None:
        if due == self._wake_at:
            self._wake_at = inf
            self.work()

    def _commit(self, decision: Decision) -> None:
        if self.gone or self._world.has_crashed(self):
            return
        outcome = self._commit_own(decision.txn)
        if self._world.has_crashed(self):
            return
        self._in_flight -= 1
        if isinstance(outcome, Fenced):
            self.gone = True
            return
        self.runner.settle(decision, outcome)
        self.work()

    def _commit_own(
        self, txn: Txn, look: tuple[Commit, tuple[str, ...]] | None = None
    ) -> Committed | GitwardError:
        """What it writes it sees at once, as a master does that publishes its own commits."""
        before = len(self._world.batches)
        outcome = self._world.commit(txn, look)
        for batch in self._world.batches[before:]:
            for change in batch.changes:
                self.view.apply(change)
                self._own[change.key] = change.position
            self._own_revisions.add(batch.revision)
            self._tell(batch)
        return outcome

    # Looking at git.

    def hint(self) -> None:
        """Somebody says that there is something new."""
        if self.gone:
            return
        if self._looking:
            self._look_again = True
            return
        self._looking, self._look_again = True, False
        index = self._world.repository.head
        self._agenda.after(self._world.random.uniform(0.05, FETCH_SECONDS), partial(self._looked, index))

    def _looked(self, index: int) -> None:
        self._looking = False
        if self.gone or self._world.has_crashed(self):
            return
        again = isinstance(self._declare(index), GitwardError)
        if not self._world.has_crashed(self):
            self.work()
            if again or self._look_again:
                self._agenda.after(1.0, self.hint)

    def _declare(self, index: int) -> Committed | GitwardError | None:
        store, now, repository = self._world.store, self._agenda.now(), self._world.repository
        source = store.view().get(GIT_SOURCE, GIT_SOURCE.key("", SOURCE))
        if source is None:
            return None
        commit, status = repository.commits[index], source.get("status") or {}
        if self._declared == commit.id and not status.get("held"):
            return self._commit_own(
                report(store.view(), SOURCE, {}, now, fetched=commit.id, epoch=self.epoch)
            )
        allowed = repository.allowed(status.get("commit", {}).get("live", ""), index)
        txn = declare(store.view(), _look_at(commit, allowed), now, epoch=self.epoch).txn
        outcome = self._commit_own(txn, None if commit.broken else (commit, allowed))
        if isinstance(outcome, Committed) and not commit.broken:
            self._declared = commit.id
        return outcome

    def _on_timer(self) -> None:
        if not self.gone:
            self.hint()
            self._agenda.after(TIMER_SECONDS, self._on_timer)


def _look_at(commit: Commit, allowed: tuple[str, ...]) -> Look:
    """What sync would find: one app, which is the whole source."""
    if commit.broken:
        return Look(
            SOURCE,
            commit.id,
            (),
            ({"name": SOURCE, "path": "", "problems": ["web.yaml:1: no YAML"]},),
            is_first=True,
        )
    stated = commit.stated()
    return Look(
        SOURCE, commit.id, (AppLook(SOURCE, stated, len(stated), allow_prune=allowed),), is_first=True
    )


def _controllers(world: World) -> tuple[Controller, ...]:
    """As the master's composition root has them, but for ingress and mirrored endpoints, which nothing here uses."""
    since = world.agenda.now()
    return (
        APPLY,
        SOURCES,
        DEPLOYMENT_CONTROLLER,
        REPLICASET_CONTROLLER,
        DISRUPTION,
        SCHEDULER,
        ENDPOINT_SLICE_CONTROLLER,
        ENDPOINTS_CONTROLLER,
        NAMESPACE_CONTROLLER,
        service_accounts("-"),
        GARBAGE_COLLECTOR,
        EVENT_TTL,
        node_cidr(CLUSTER_CIDR),
        node_lifecycle(since),
        taint_eviction(since),
        pod_gc(since),
    )
