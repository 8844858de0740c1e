"""The loop of the master: what changed wakes controllers, what they want is written, and what failed is tried again.

`step` and `settle` are the whole decision and never await; `run` is the driver around them. While one transaction is on
its way to the disk other keys go on: that pipeline is what lets many transactions share one fsync.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeVar

from gitops import admission
from gitops.admission import Mint
from gitops.admission.settings import DEFAULT
from gitops.kinds.errors import Conflict, Fenced, GitwardError
from gitops.kinds.keys import Key
from gitops.reconcile import Controller, Reader, Trigger, Writes
from gitops.runner.queue import Item, Queue, Urgency
from gitops.runner.transaction import Context, transaction
from gitops.runner.waking import is_same_but_status, urgency_of
from gitops.store.contract import Batch, Committed, Store, Txn

log = logging.getLogger(__name__)
O = TypeVar("O")  # noqa: E741 # An object, or nothing.


CONFLICT_SECONDS: Final = 0.010  # The view already has the winner.
CONFLICT_SECONDS_MAX: Final = 1.0
UNAVAILABLE_SECONDS: Final = 0.1
UNAVAILABLE_SECONDS_MAX: Final = 30.0
TOGETHER_MAX: Final = 128  # Keys that one round decides at once: a few milliseconds, and one fsync.
# A key that costs much (an owner of thousands of pods) and changes all the time may take a fifth of the loop.
HEAVY_SECONDS: Final = 0.005
REST_FACTOR: Final = 4.0
REST_SECONDS_MAX: Final = 1.0


class Clock(Protocol):
    """The composition root's clock; virtual in tests and in the simulator."""

    def now(self) -> datetime:
        """UTC; what timestamps say."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; what waits are measured in."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    resync_seconds: float = (
        300.0  # Level-triggered: what a lost hint would have said is found within this time.
    )
    slice_seconds: float = 0.010  # Then the loop is given to the API and the agents.
    in_flight_max: int = 256  # Transactions on their way to the disk.
    epoch: int | None = None  # The leader's fencing number.
    cluster: admission.Settings = DEFAULT


@dataclass(frozen=True, slots=True)
class Decision:
    """A transaction that a controller asks for. Whoever commits it must hand its outcome to `Runner.settle`."""

    item: Item
    txn: Txn
    after_seconds: float | None
    rest_seconds: float = 0.0


class Runner:
    """Runs controllers over a store. One per leader; only the event loop's thread may touch it.

    Attributes:
        reconciles, commits, conflicts, errors: counts by controller, for metrics.
    """

    def __init__(
        self,
        store: Store,
        controllers: tuple[Controller, ...],
        clock: Clock,
        ids: Mint,
        settings: Settings = Settings(),  # Frozen.
    ) -> None:
        self.reconciles: Counter[str] = Counter()
        self.commits: Counter[str] = Counter()
        self.conflicts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._store, self._clock, self._ids, self._settings = store, clock, ids, settings
        self._view = store.view()
        self._controllers = {controller.name: controller for controller in controllers}
        assert len(self._controllers) == len(controllers), "two controllers have one name"
        self._queue = Queue(frozenset(one.name for one in controllers if one.serial))
        self._triggers: dict[tuple[str, str], tuple[tuple[str, Trigger], ...]] = {}
        self._resync_due = clock.monotonic()
        self._decided: deque[Decision] = (
            deque()
        )  # Of one round of a controller that decides many keys at once.
        self._alone: Counter[str] = (
            Counter()
        )  # Rounds for which such a controller, having broken, decides one by one.
        self._in_flight = 0  # Transactions that `run` has handed to the store.
        self._wake = asyncio.Event()
        self._fenced: Fenced | None = None

    @property
    def spins(self) -> int:
        """How often a key was held back because it wrote again and again."""
        return self._queue.spins

    @property
    def depth(self) -> int:
        """Keys that are queued, in back-off or in flight."""
        return len(self._queue)

    async def run(self) -> None:
        """Until cancelled. Raises Fenced when another master leads."""
        unsubscribe = self._store.subscribe(self.published)
        try:
            async with asyncio.TaskGroup() as in_flight:
                while self._fenced is None:
                    self._wake.clear()
                    await self._work(in_flight)
                    await self._rest()
        finally:
            unsubscribe()
        raise self._fenced

    def published(self, batch: Batch) -> None:
        """Wake whom a batch concerns. The view has it already."""
        now = self._clock.monotonic()
        for change in batch.changes:
            urgency, before, after = urgency_of(change), change.before, change.after
            if before is not None and after is not None and is_same_but_status(before, after):
                before = None
            for name, trigger in self._triggers_of(change.key):
                if before is not None:
                    self._add(name, trigger.keys, before, urgency, now)
                if after is not None:
                    self._add(name, trigger.keys, after, urgency, now)
        self._wake.set()

    def step(self) -> Decision | None:
        """Reconcile the next keys that are due until one wants something written. None: nothing is due.

        Reconciles at most one slice's worth: `next_due` says whether there is more.
        """
        if self._decided:
            return self._decided.popleft()
        now = self._clock.monotonic()
        if now >= self._resync_due:
            self._resync(now)
        end = now + self._settings.slice_seconds
        while (item := self._queue.take(now)) is not None:
            decision = self._round(item, now)
            if decision is not None:
                return decision
            now = self._clock.monotonic()
            if now >= end:
                break
        return None

    def settle(self, decision: Decision, outcome: Committed | GitwardError) -> None:
        """Take in what became of a transaction: done, to be tried again, or to be told."""
        now, item = self._clock.monotonic(), decision.item
        if isinstance(outcome, GitwardError):
            self._failed(item, outcome)
        else:
            self.commits[item.controller] += 1
            self._queue.done(
                item,
                now,
                wrote=True,
                after_seconds=decision.after_seconds,
                rest_seconds=decision.rest_seconds,
            )
        self._wake.set()

    def next_due(self) -> float:
        """The monotonic time when `step` has something to do."""
        if self._decided:
            return self._clock.monotonic()
        due = self._queue.next_due(self._clock.monotonic())
        return self._resync_due if due is None else min(due, self._resync_due)

    async def _work(self, in_flight: asyncio.TaskGroup) -> None:
        """Decide and hand over for as long as something is due, giving the loop away after each slice."""
        end = self._clock.monotonic() + self._settings.slice_seconds
        while self._in_flight < self._settings.in_flight_max and self._fenced is None:
            decision = self.step()
            if decision is not None:
                self._in_flight += 1
                in_flight.create_task(self._commit(decision))
            elif self.next_due() > self._clock.monotonic():
                return
            if self._clock.monotonic() >= end:
                await asyncio.sleep(0)
                end = self._clock.monotonic() + self._settings.slice_seconds

    async def _commit(self, decision: Decision) -> None:
        try:
            outcome: Committed | GitwardError = await self._store.commit(decision.txn)
        except GitwardError as error:
            # Its frames hold this one, and with it the decision: a circle that only the collector would end.
            outcome = error.with_traceback(None)
        self._in_flight -= 1
        self.settle(decision, outcome)

    async def _rest(self) -> None:
        """Wait for a change or an outcome, at most until the next key is due."""
        full = self._in_flight >= self._settings.in_flight_max
        wait = None if full else max(self.next_due() - self._clock.monotonic(), 0.0)
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return

    def _round(self, item: Item, now: float) -> Decision | None:
        """One round: of this key, or of all that are due where its controller decides many at once."""
        controller = self._controllers[item.controller]
        context = Context(
            self._view,
            self._clock.now(),
            self._ids,
            controller.name,
            self._settings.cluster,
            self._settings.epoch,
        )
        if controller.together is not None and not self._alone[controller.name]:
            return self._many(controller, context, item, now)
        self._alone[controller.name] = max(self._alone[controller.name] - 1, 0)
        self.reconciles[item.controller] += 1
        return self._one(
            controller, context, item, partial(controller.reconcile, self._view, item.key, context.now)
        )

    def _many(self, controller: Controller, context: Context, first: Item, now: float) -> Decision | None:
        """A round of many keys; the first decision, the others wait in `_decided`."""
        assert controller.together is not None
        items = {first.key: first}
        while len(items) < TOGETHER_MAX and (more := self._queue.take_beside(first, now)) is not None:
            items[more.key] = more
        self.reconciles[controller.name] += len(items)
        try:
            answers = controller.together(self._view, tuple(items), context.now)
        except (
            Exception
        ):  # The top of the loop: one key must not hold up the others, so each comes again alone.
            self._alone[controller.name] = len(items)
            self.errors[controller.name] += 1
            log.exception("a controller broke", extra={"fields": {"item": _text(first)}})
            for item in items.values():
                self._queue.add(item, Urgency.CONSEQUENCE, now)
                self._queue.done(item, now)
            return None
        for key, writes in answers:
            decision = self._one(controller, context, items.pop(key), partial(_same, writes))
            if decision is not None:
                self._decided.append(decision)
        assert not items, f"{controller.name} has not decided about {[*items]}"
        return self._decided.popleft() if self._decided else None

    def _one(
        self, controller: Controller, context: Context, item: Item, ask: Callable[[], Writes]
    ) -> Decision | None:
        """The transaction of one key. An error that no retry cures becomes what its controller says about it."""
        begin = self._clock.monotonic()
        try:
            writes = ask()
            txn = transaction(context, item.key, writes) if writes else None
            after_seconds = writes.after_seconds
        except GitwardError as error:
            if error.retry or controller.failed is None:
                self._failed(item, error)
                return None
            log.warning("reconcile failed", extra={"fields": {"item": _text(item), "error": str(error)}})
            self.errors[item.controller] += 1
            return self._report(controller, context, item, error)
        except Exception:  # noqa: BLE001 # The top of the loop: a bug in one controller must not stop the others.
            self._broke(item)
            return None
        now = self._clock.monotonic()
        cost = now - begin
        rest_seconds = min(cost * REST_FACTOR, REST_SECONDS_MAX) if cost > HEAVY_SECONDS else 0.0
        if txn is None:
            self._queue.done(item, now, after_seconds=after_seconds, rest_seconds=rest_seconds)
            return None
        return Decision(item, txn, after_seconds, rest_seconds)

    def _report(
        self, controller: Controller, context: Context, item: Item, error: GitwardError
    ) -> Decision | None:
        """Write what the controller says about its failure; then it waits for a change."""
        assert controller.failed is not None
        try:
            writes = controller.failed(context.view, item.key, error, context.now)
            txn = transaction(context, item.key, writes) if writes else None
        except GitwardError as second:
            self._failed(item, second)
            return None
        except Exception:  # noqa: BLE001 # As above.
            self._broke(item)
            return None
        if txn is None:
            self._queue.done(item, self._clock.monotonic(), after_seconds=writes.after_seconds)
            return None
        return Decision(item, txn, writes.after_seconds)

    def _failed(self, item: Item, error: GitwardError) -> None:
        """Back off where a retry may help; else wait for a change."""
        now = self._clock.monotonic()
        if isinstance(error, Fenced):
            self._fenced = error
            self._queue.done(item, now)
            return
        if isinstance(error, Conflict):
            self.conflicts[item.controller] += 1
            self._queue.failed(item, now, base_seconds=CONFLICT_SECONDS, seconds_max=CONFLICT_SECONDS_MAX)
            return
        self.errors[item.controller] += 1
        fields: dict[str, object] = {"item": _text(item), "error": str(error)}
        if error.retry:
            wait = self._queue.failed(
                item, now, base_seconds=UNAVAILABLE_SECONDS, seconds_max=UNAVAILABLE_SECONDS_MAX, spread=True
            )
            log.warning("reconcile will be tried again", extra={"fields": {**fields, "wait_seconds": wait}})
        else:
            self._queue.done(item, now)
            log.warning("reconcile failed", extra={"fields": fields})

    def _broke(self, item: Item) -> None:
        """A controller raised what it should not. It waits for a change, so that it cannot spin."""
        self.errors[item.controller] += 1
        self._queue.done(item, self._clock.monotonic())
        log.exception("a controller broke", extra={"fields": {"item": _text(item)}})

    def _resync(self, now: float) -> None:
        self._resync_due = now + self._settings.resync_seconds
        self._queue.forget_calm(now)
        for controller in self._controllers.values():
            self._add(controller.name, _all(controller), None, Urgency.RESYNC, now)

    def _add(
        self, name: str, keys: Callable[[Reader, O], Iterable[Key]], obj: O, urgency: Urgency, now: float
    ) -> None:
        """Queue what a controller names. A bug there stops neither the loop nor the store, which calls `published`."""
        try:
            for key in keys(self._view, obj):
                self._queue.add(Item(name, key), urgency, now)
        except Exception:  # The top of a loop.
            self.errors[name] += 1
            log.exception("a controller broke in naming keys", extra={"fields": {"controller": name}})

    def _triggers_of(self, key: Key) -> tuple[tuple[str, Trigger], ...]:
        """Controllers that a kind concerns. Looked up once for each kind."""
        found = self._triggers.get((key.group, key.kind))
        if found is None:
            found = self._triggers[key.group, key.kind] = tuple(
                (controller.name, trigger)
                for controller in self._controllers.values()
                for trigger in controller.triggers
                if trigger.group in (None, key.group) and trigger.kind in (None, key.kind)
            )
        return found


def _all(controller: Controller) -> Callable[[Reader, None], Iterable[Key]]:
    return lambda view, _: controller.resync(view)


def _same(writes: Writes) -> Writes:
    return writes


def _text(item: Item) -> str:
    return f"{item.controller}: {item.key}"
