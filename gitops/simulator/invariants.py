"""What must hold in every commit, whatever went wrong: checked in the state that everyone could see.

Not a second implementation of the controllers: each statement is about the state after a commit and who made it.
"""

from datetime import timedelta
from typing import Final, Protocol, cast

from gitops.controllers.node_lifecycle import EVICTING
from gitops.controllers.node_zones import evicting
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.gitward import DECLARED_GROUP, GIT_SOURCE, GitSource
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of, uid
from gitops.simulator.agenda import Agenda
from gitops.simulator.faults import Faults
from gitops.simulator.history import Broken
from gitops.simulator.repository import Commit, Repository
from gitops.simulator.sizes import Moment, Sizes
from gitops.store.contract import Batch, Change, Txn
from gitops.store.memory import MemoryStore

PACE_SECONDS: Final = 8.0  # A node in ten seconds; times in taints are whole seconds.


class World(Protocol):
    agenda: Agenda
    faults: Faults
    repository: Repository
    store: MemoryStore


class Invariants:
    """`declared`: where the declared commit stands. `stated` and `held`: what git wants, and what it may not let go
    yet, by our own count."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._uids: set[str] = set()
        self.declared = -1
        self.stated: dict[Key, KubeObject] = {}
        self.held: set[Key] = set()
        self._sizes = Sizes(world.store.view())
        self._numbers: object = []
        self._disturbed_at = self._led_at = self._given_up_at = -1e9
        self._blind_seconds, self._blind_until = 0.0, -1e9

    def disturbed(self) -> None:
        """From now on, for a while, controllers may act on what is no longer so."""
        self._disturbed_at = self._world.agenda.seconds

    def led(self) -> None:
        """Another master, which may know less than the one before; or two of them."""
        self._led_at = self._world.agenda.seconds

    def calms(self) -> None:
        """Nothing goes wrong from now on; what was lost before is found as late as ever."""
        self._blind_seconds = self._world.faults.blind_seconds
        self._blind_until = self._world.agenda.seconds + self._blind_seconds

    def _moment(self) -> Moment:
        seconds, faults = self._world.agenda.seconds, self._world.faults
        disputed = seconds - self._led_at < faults.disputed_seconds
        blind = max(faults.blind_seconds, self._blind_seconds if seconds < self._blind_until else 0.0)
        return Moment(
            excused=disputed or seconds - self._disturbed_at < blind,
            disputed=disputed,
            seen_by_all=self._world.agenda.now() - timedelta(seconds=blind),
        )

    def check(self, txn: Txn, batch: Batch, look: tuple[Commit, tuple[str, ...]] | None) -> None:
        """Raises Broken."""
        try:
            if look is not None:
                self._declare(*look)
            for change in batch.changes:
                self._check_uid(change)
                self._check_owners(change)
                self._check_deletion(txn, change)
                self._check_declared(change)
                self._check_pace(change)
            if self._sizes.check(txn, batch, self._moment()):
                self.disturbed()
        except Broken as broken:
            raise Broken(f"{broken} [revision {batch.revision}, {txn.actor} about {txn.cause}]") from None

    def _declare(self, commit: Commit, allowed: tuple[str, ...]) -> None:
        """What the commit states, what it lets go, and what must wait for a word."""
        numbers = [(name, app.replicas, app.surge, app.unavailable) for name, app in commit.tree.apps]
        if numbers != self._numbers:
            self._numbers = numbers
            self.disturbed()
        stated = {key_of(obj): obj for obj in commit.tree.objects()}
        known = {*self.stated, *self.held}
        kept = known if not stated else self.held - {("", "Namespace")}
        self.held = set() if "all" in allowed else kept - stated.keys()
        self.stated = stated

    def _check_uid(self, change: Change) -> None:
        """An id is given once and never changes."""
        if change.key.group == DECLARED_GROUP or change.after is None:
            return
        found = uid(change.after)
        if change.before is None:
            if found in self._uids:
                raise Broken(f"{change.key} has the uid {found} of another object")
            self._uids.add(found)
        elif uid(change.before) != found:
            raise Broken(f"{change.key} got another uid")

    def _check_owners(self, change: Change) -> None:
        """What is created has owners that exist."""
        if change.key.group == DECLARED_GROUP or change.before is not None or change.after is None:
            return
        for reference in change.after["metadata"].get("ownerReferences") or ():
            owner = self._world.store.view().by_uid(reference["uid"])
            if owner is None or (owner["kind"], key_of(owner).name) != (reference["kind"], reference["name"]):
                raise Broken(f"{change.key} was made for the owner {reference}, which does not exist")

    def _check_deletion(self, txn: Txn, change: Change) -> None:
        """Nothing goes that git did not let go, and nothing by an owner that is still there."""
        before, key = change.before, change.key
        begun = change.after is None or (is_going(change.after) and not is_going(before or change.after))
        if before is None or not begun or is_going(before):
            return
        if txn.actor == "controller/garbage":
            for reference in before["metadata"].get("ownerReferences") or ():
                owner = self._world.store.view().by_uid(reference["uid"])
                if owner is not None and not is_going(owner):
                    raise Broken(f"{key} is deleted, though its owner {key_of(owner)} is there")
        elif txn.actor.startswith("controller/") and (key in self.stated or key in self.held):
            namespace = self._world.store.view().get(NAMESPACE, NAMESPACE.key("", key.namespace))
            if namespace is None or not is_going(namespace):
                what = "states" if key in self.stated else "holds"
                raise Broken(f"{key} is deleted, though git {what} it")

    def _check_pace(self, change: Change) -> None:
        """Nodes lose their pods one by one, so that a master that is cut off does not move everything at once."""
        if change.key.kind != NODE.kind or change.after is None or change.before is None:
            return
        before, after = cast(Node, change.before), cast(Node, change.after)
        if evicting(before, EVICTING) or not evicting(after, EVICTING):
            return
        now = self._world.agenda.seconds
        if now - self._given_up_at < PACE_SECONDS and not self._moment().disputed:
            raise Broken(
                f"{change.key} shall lose its pods {now - self._given_up_at:.1f} s after another node"
            )
        self._given_up_at = now

    def _check_declared(self, change: Change) -> None:
        """The declared commit goes on with git and never back, and is one that could be read."""
        if (change.key.group, change.key.kind) != (GIT_SOURCE.group, GIT_SOURCE.kind) or change.after is None:
            return
        status = cast(GitSource, change.after).get("status") or {}
        repository = self._world.repository
        index = repository.index((status.get("commit") or {}).get("declared", ""))
        if index < self.declared:
            raise Broken(f"the declared commit went back from {self.declared + 1} to {index + 1}")
        if index > repository.head or (index >= 0 and repository.commits[index].broken):
            raise Broken(f"commit {index + 1} is declared, which git does not have or nobody can read")
        self.declared = index
