"""The runner: one transaction for each reconcile, fenced; retries, reports and Events; and the driver around it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, cast

import pytest

from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.kinds.apps import REPLICA_SET
from gitops.kinds.core.config import CONFIG_MAP, ConfigMap
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Fenced, GitwardError, Invalid, Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, with_meta
from gitops.kinds.sensitive import Sensitive
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes
from gitops.runner import Decision, Runner, Settings
from gitops.store.contract import Committed, Put, Txn
from gitops.store.memory import MemoryStore
from tests.unit.controllers.world import NAMESPACE_NAME, NOW, World, a_pod, a_replica_set, with_spec

Reconcile = Callable[[Reader, Key, datetime], Writes]


def a_map(name: str = "settings", **data: str | Sensitive) -> ConfigMap:
    meta: Any = {"name": name, "namespace": NAMESPACE_NAME, "uid": f"map-{name}"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def controller(reconcile: Reconcile, **more: Any) -> Controller:
    """One that looks after ConfigMaps."""
    return Controller(
        "test",
        reconcile,
        (Trigger("", "ConfigMap", lambda _, obj: (key_of(obj),)),),
        resync=lambda view: (key_of(one) for one in view.list(CONFIG_MAP)),
        **more,
    )


def decided(runner: Runner) -> Decision:
    decision = runner.step()
    assert decision is not None
    return decision


def test_a_second_reconcile_from_the_same_view_loses() -> None:
    """The fence: two leaders with the same view cannot both create, though neither changes the status."""
    owner: Any = {**a_replica_set(3), "status": {"replicas": 0, "observedGeneration": 1}}
    world = World(owner)
    one, two = world.runner(REPLICASET_CONTROLLER), world.runner(REPLICASET_CONTROLLER)
    first, second = decided(one), decided(two)

    one.settle(first, world.commit(first))
    two.settle(second, world.commit(second))

    assert len(world.names(POD)) == 3
    assert two.conflicts["replicaset"] == 1
    world.wait(two, 1)
    world.settle(one)
    assert len(world.names(POD)) == 3


def test_a_create_touches_the_reconciled_object_even_where_its_status_stays() -> None:
    owner = a_replica_set(1)
    world = World(owner, a_pod("a", owner=owner))
    runner = world.runner(REPLICASET_CONTROLLER)
    world.settle(runner)
    world.remove(POD.key(NAMESPACE_NAME, "a"))
    before = world.read(REPLICA_SET, "web")["metadata"].get("resourceVersion")

    decision = decided(runner)

    fence = next(op for op in decision.txn.ops if getattr(op, "obj", owner)["kind"] == "ReplicaSet")
    assert str(fence.expect) == before


def test_what_a_controller_reads_and_does_not_write_is_checked() -> None:
    world = World(a_map(), a_map("other"))

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        if key.name != "settings":
            return NOTHING
        other = world.read(CONFIG_MAP, "other")
        return Writes(update=(cast(KubeObject, {**other, "data": {"seen": "yes"}}),))

    runner = world.runner(controller(reconcile))
    decision = decided(runner)
    world.put(a_map("settings", changed="meanwhile"))
    runner.settle(decision, world.commit(decision))

    assert runner.conflicts["test"] == 1


def test_a_deleted_object_that_a_controller_still_answers_for_must_stay_gone() -> None:
    world = World(a_map(), a_map("copy"))
    copy = CONFIG_MAP.key(NAMESPACE_NAME, "copy")

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        return Writes(delete=(copy,)) if view.object(key) is None and key.name == "settings" else NOTHING

    runner = world.runner(controller(reconcile))
    world.settle(runner)
    world.remove(CONFIG_MAP.key(NAMESPACE_NAME, "settings"))
    decision = decided(runner)
    world.put(a_map("settings", back="again"))

    runner.settle(decision, world.commit(decision))

    assert runner.conflicts["test"] == 1
    assert world.view.object(copy) is not None


def test_an_unavailable_store_is_tried_again_later_and_later() -> None:
    world = World(a_replica_set(1))
    runner = world.runner(REPLICASET_CONTROLLER)
    dues = []
    for _ in range(4):
        decision = decided(runner)
        runner.settle(decision, Unavailable("the disk is full"))
        dues.append(round(runner.next_due() - world.clock.seconds, 3))
        world.clock.seconds = runner.next_due()

    assert all(most / 2 < due <= most for due, most in zip(dues, [0.1, 0.2, 0.4, 0.8], strict=True))
    world.settle(runner)
    assert len(world.names(POD)) == 1


def test_an_error_that_no_retry_cures_is_handed_to_the_controller_once() -> None:
    world = World(a_map())
    heard: list[str] = []

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        raise Invalid("spec.x: found 1, wanted 2")

    def failed(view: Reader, key: Key, error: GitwardError, now: datetime) -> Writes:
        heard.append(str(error))
        obj = view.object(key)
        return Writes(events=(EventNote(obj, "Warning", "Failed", str(error)),)) if obj else NOTHING

    runner = world.runner(controller(reconcile, failed=failed))
    world.settle(runner)
    world.wait(runner, 60)

    assert heard == ["spec.x: found 1, wanted 2"]
    assert world.events() == ["Failed: spec.x: found 1, wanted 2"]
    assert runner.errors["test"] == 1


def test_a_bug_in_one_controller_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World(a_map(), a_replica_set(1))

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL):
        runner = world.runner(controller(reconcile), REPLICASET_CONTROLLER)
        world.settle(runner)

    assert runner.errors["test"] == 1
    assert len(world.names(POD)) == 1


def test_equal_events_are_one_that_counts() -> None:
    world = World(a_map())

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        obj = view.object(key)
        assert obj is not None
        return Writes(events=(EventNote(obj, "Warning", "Odd", "something is odd"),))

    runner = world.runner(controller(reconcile))
    world.settle(runner)
    world.clock.seconds = 90
    world.put(a_map("settings", changed="yes"))
    world.settle(runner)

    (event,) = world.view.list(EVENT)
    assert (event.get("count"), event.get("firstTimestamp"), event.get("lastTimestamp")) == (
        2,
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:05:35Z",
    )
    assert event["involvedObject"].get("name") == "settings"
    assert event.get("source") == {"component": "test"}


@pytest.mark.parametrize(
    "name", ["m" * 253, "m" * 240 + ".example", "system:all"], ids=["long", "dotted", "of RBAC"]
)
def test_an_event_about_a_name_that_is_too_long_for_its_own_stops_nothing(name: str) -> None:
    """Symptom: a pod with a name of 240 letters was never scheduled: the Event that tells of it could not be named."""
    world = World()

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        note = EventNote(a_map(name), "Normal", "Done", "done")
        return (
            Writes(create=(a_map("made"),), events=(note,))
            if view.object(key_of(a_map("made"))) is None
            else NOTHING
        )

    runner = world.runner(controller(reconcile)._replace(resync=lambda view: (key_of(a_map()),)))
    world.settle(runner)

    assert world.names(CONFIG_MAP) == ["made"]
    (event,) = world.view.list(EVENT)
    assert event["involvedObject"].get("name") == name
    assert event["metadata"].get("name", "").startswith("configmap.")


def test_an_event_about_a_namespace_on_its_way_out_stops_nothing() -> None:
    world = World(a_map())
    world.put(with_meta(world.read(NAMESPACE, NAMESPACE_NAME, ""), deletionTimestamp="2026-01-02T03:04:05Z"))

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        obj = view.object(key)
        assert obj is not None
        if "done" in cast(ConfigMap, obj).get("data", {}):
            return NOTHING
        changed = cast(KubeObject, {**obj, "data": {"done": "yes"}})
        return Writes(status=changed, events=(EventNote(obj, "Normal", "Done", "done"),))

    runner = world.runner(controller(reconcile))
    world.settle(runner)

    assert world.read(CONFIG_MAP, "settings").get("data") == {"done": "yes"}
    assert not world.events()


def test_a_controller_that_never_settles_is_held_back() -> None:
    world = World(a_map(count="0"))

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        obj = cast(ConfigMap, view.object(key))
        count = str(int(str(obj.get("data", {})["count"])) + 1)
        return Writes(status=cast(KubeObject, {**obj, "data": {"count": count}}))

    runner = world.runner(controller(reconcile))

    assert world.settle(runner) == 100
    assert runner.spins == 1
    assert round(runner.next_due(), 3) == 0.1


def test_resync_finds_what_no_hint_told_of() -> None:
    world = World()
    runner = world.runner()
    world.settle(runner)
    lazy = Controller("lazy", REPLICASET_CONTROLLER.reconcile, (), REPLICASET_CONTROLLER.resync)
    runner = world.runner(lazy)
    world.settle(runner)
    world.put(a_replica_set(1))
    world.settle(runner)
    assert world.names(POD) == []

    world.wait(runner, 300)

    assert len(world.names(POD)) == 1


class SlowStore(MemoryStore):
    """Every commit waits until it is let through: what is in flight can be seen."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.gate = asyncio.Event()
        self.in_flight = 0
        self.in_flight_max = 0

    async def commit(self, txn: Txn) -> Committed:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await self.gate.wait()
        self.in_flight -= 1
        return self.commit_now(txn)


class RealClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


def driven(
    world: World, store: MemoryStore, settings: Settings, check: Callable[[], Awaitable[None]]
) -> None:
    """Run a runner over `store` for as long as `check` takes."""

    async def run() -> None:
        runner = Runner(store, (REPLICASET_CONTROLLER,), RealClock(), world.mint, settings)
        task = asyncio.create_task(runner.run())
        try:
            await check()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize(("in_flight_max", "expected"), [(256, 8), (3, 3), (1, 1)])
def test_other_keys_go_on_while_a_transaction_is_in_flight(in_flight_max: int, expected: int) -> None:
    world = World()
    store = SlowStore(world.clock.now)
    namespace = world.read(NAMESPACE, NAMESPACE_NAME, "")

    async def check() -> None:
        await until(lambda: store.in_flight == expected)
        store.gate.set()
        await until(lambda: len(list(store.view().list(POD))) == 8)

    put(store, namespace, *(a_replica_set(1, f"web-{number}") for number in range(8)))
    driven(world, store, Settings(in_flight_max=in_flight_max), check)

    assert store.in_flight_max == expected


def put(store: MemoryStore, *objects: KubeObject) -> None:
    store.commit_now(Txn(tuple(map(Put, objects)), actor="test", cause="test"))


def test_a_change_wakes_the_driver() -> None:
    world = World()
    store = world.store
    put(store, a_replica_set(1))

    async def check() -> None:
        await until(lambda: len(list(store.view().list(POD))) == 1)
        put(store, with_spec(world.read(REPLICA_SET, "web"), replicas=4))
        await until(lambda: len(list(store.view().list(POD))) == 4)

    driven(world, store, Settings(), check)


class FencedStore(MemoryStore):
    async def commit(self, txn: Txn) -> Committed:
        raise Fenced("another master leads since epoch 2")


def test_a_fenced_runner_stops() -> None:
    world = World()
    store = FencedStore(world.clock.now)
    put(store, world.read(NAMESPACE, NAMESPACE_NAME, ""), a_replica_set(1))

    async def run() -> None:
        async with asyncio.timeout(5):
            await Runner(store, (REPLICASET_CONTROLLER,), RealClock(), world.mint).run()

    with pytest.raises(Fenced, match="another master leads"):
        asyncio.run(run())


def test_two_new_pods_that_would_get_one_name_get_two() -> None:
    class Repeating:
        """Each suffix comes twice."""

        minted = 0

        def uid(self) -> str:
            self.minted += 1
            return f"uid-{self.minted}"

        def suffix(self) -> str:
            self.minted += 1
            return f"{self.minted // 4:05}"

    world = World(a_replica_set(5))
    runner = Runner(world.store, (REPLICASET_CONTROLLER,), world.clock, Repeating())
    world.store.subscribe(runner.published)

    world.settle(runner)

    assert len(set(world.names(POD))) == 5
