"""Time travel: a store answers for a past revision as it answered then, and says where its memory ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.kinds.errors import Expired, TooLarge
from gitops.kinds.objects import KubeObject
from gitops.store import Delete, Floors, Put, Revision, Scope, SourceCommit, Store, position
from gitops.store.sqlite import SqliteStore
from gitops.store.sqlite_compact import Retention
from tests.contract.store.stores import (
    PODS,
    a_config,
    a_pod,
    changes,
    on_every_backend,
    open_sqlite,
    pod_key,
    txn,
)

LEASES = Scope("coordination.k8s.io", "Lease")


def names(objects: tuple[KubeObject, ...]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


async def three_revisions(store: Store) -> None:
    await store.commit(txn(a_pod("b", node="n1"), a_pod("a-b"), a_pod("a", namespace="other"), a_config("c")))
    await store.commit(txn(a_pod("b", node="n2"), Delete(pod_key("a-b")), a_pod("z")))
    await store.commit(txn(a_pod("a-b", again=True)))


@on_every_backend
async def test_the_past_is_as_it_was(store: Store) -> None:
    await three_revisions(store)

    assert await store.list(PODS, at=Revision(0)) == ()
    assert names(await store.list(PODS, at=Revision(1))) == ["a", "a-b", "b"]
    assert names(await store.list(PODS, at=Revision(2))) == ["a", "b", "z"]
    assert await store.list(PODS, at=Revision(3)) == tuple(store.view().list_group(""))[1:]
    assert names(await store.list(Scope("", "Pod", "shop"), at=Revision(1))) == ["a-b", "b"]
    assert names(await store.list(Scope("", "Pod", "shop", "b"), at=Revision(1))) == ["b"]
    assert names(await store.list(Scope("", "Pod", None, "a"), at=Revision(1))) == ["a"]
    for node, found in (("n1", ["b"]), ("n2", [])):
        scope = Scope("", "Pod", field=("spec.nodeName", node))
        assert names(await store.list(scope, at=Revision(1))) == found


@on_every_backend
async def test_one_object_of_the_past_bears_the_version_of_then(store: Store) -> None:
    await three_revisions(store)

    then = await store.get(pod_key("b"), at=Revision(1))

    assert then is not None
    assert then["metadata"]["resourceVersion"] == "65536"
    assert then["spec"] == {"nodeName": "n1"}  # type: ignore[typeddict-item] # A test's own field.
    assert await store.get(pod_key("a-b"), at=Revision(2)) is None
    assert await store.get(pod_key("nobody"), at=Revision(3)) is None


@on_every_backend
async def test_the_future_cannot_be_asked_for(store: Store) -> None:
    await three_revisions(store)

    with pytest.raises(TooLarge, match="revision 4 is in the future: the newest is 3"):
        await store.list(PODS, at=Revision(4))
    with pytest.raises(TooLarge):
        await store.get(pod_key("b"), at=Revision(4))


@on_every_backend
async def test_a_commit_leads_to_its_newest_revision(store: Store) -> None:
    await store.commit(txn(a_pod("a"), source=SourceCommit("main", "c1")))
    await store.commit(txn(a_pod("b"), source=SourceCommit("main", "c2")))
    await store.commit(txn(a_pod("c"), source=SourceCommit("main", "c1")))

    assert await store.revision_of("main", "c1") == 3
    assert await store.revision_of("main", "c2") == 2
    assert await store.revision_of("main", "c3") is None
    assert await store.revision_of("other", "c1") is None


def a_lease(turn: int) -> KubeObject:
    meta = {"name": "n1", "namespace": "shop", "annotations": {"turn": str(turn)}}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}  # type: ignore[typeddict-item]


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def a_day_of_revisions(store: SqliteStore, hand: Hand) -> None:
    """Revision n is written n hours after the start, 24 in all."""
    for hour in range(1, 25):
        hand.now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        await store.commit(txn(a_pod("a", hour=hour), a_lease(hour)))


@pytest.mark.parametrize(
    ("keep", "floors"),
    [
        (Retention(window_seconds=5_400, history_seconds=10.5 * 3600), Floors(Revision(22), Revision(13))),
        (Retention(window_seconds=5_400, history_revisions_max=4), Floors(Revision(22), Revision(20))),
        (Retention(window_seconds=86_400 * 2), Floors(Revision(0), Revision(0))),
        (Retention(window_seconds=0, history_seconds=0), Floors(Revision(24), Revision(24))),
        (
            Retention(window_seconds=5_400, history_seconds=86_400, history_bytes_max=1),
            Floors(Revision(22), Revision(2)),
        ),
    ],
    ids=["by age", "by count", "nothing is old", "all is old", "by size, step by step"],
)
def test_history_ends_where_its_limits_say_and_the_window_before(
    tmp_path: Path, keep: Retention, floors: Floors
) -> None:
    async def story() -> None:
        hand = Hand()
        store = await SqliteStore.open(tmp_path / "s.db", tmp_path / "s.key", hand)
        await a_day_of_revisions(store, hand)

        await store.retain(keep)

        assert store.floors == floors
        oldest = await store.list(PODS, at=floors.history)
        assert [pod["spec"]["hour"] for pod in oldest] == [floors.history][: floors.history]  # type: ignore[typeddict-item]
        if floors.history:
            with pytest.raises(Expired, match=f"the oldest that is still known is {floors.history}"):
                await store.list(PODS, at=Revision(floors.history - 1))
            with pytest.raises(Expired):
                await store.list(LEASES, at=Revision(floors.window - 1))
        assert len(await store.list(LEASES, at=max(floors.window, Revision(1)))) == 1
        if floors.window:
            with pytest.raises(Expired, match="list again"):
                await changes(store, position(floors.window - 1))
        assert len(await changes(store, position(floors.window))) == 24 - floors.window
        await store.close()

        store = await SqliteStore.open(tmp_path / "s.db", tmp_path / "s.key", hand)
        assert store.floors == floors
        assert await store.list(PODS, at=floors.history) == oldest
        await store.close()

    asyncio.run(story())


def test_what_is_pruned_while_others_write_is_the_past_alone(tmp_path: Path) -> None:
    """More than one slice, and transactions between the slices."""

    async def story() -> None:
        store = await open_sqlite(tmp_path)
        for turn in range(3):
            await asyncio.gather(*(store.commit(txn(a_pod(f"p{n}", turn=turn))) for n in range(1_000)))
        middle = await store.list(PODS, at=Revision(2_500))
        pruning = asyncio.create_task(store.compact(Revision(2_500)))
        await asyncio.gather(*(store.commit(txn(a_pod(f"p{n}", turn=3))) for n in range(500)))
        await pruning

        assert await store.list(PODS, at=Revision(2_500)) == middle
        assert len(await changes(store, position(2_500))) == 1_000
        await store.close()
        store = await open_sqlite(tmp_path)
        assert [pod["spec"]["turn"] for pod in await store.list(PODS, at=Revision(3_500))].count(3) == 500  # type: ignore[typeddict-item]
        await store.close()

    asyncio.run(story())


def test_nothing_is_read_below_a_floor_that_was_raised_before_a_crash(tmp_path: Path) -> None:
    """The floor is raised first: what a crash in the middle of pruning leaves is pruned by the next life."""

    async def story() -> None:
        store = await open_sqlite(tmp_path)
        for turn in range(5):
            await store.commit(txn(a_pod("a", turn=turn)))
        await store._upkeep(lambda writer: writer.execute("INSERT INTO meta VALUES('floor', 4)"))
        await store.close()

        store = await open_sqlite(tmp_path)
        with pytest.raises(Expired):
            await store.list(PODS, at=Revision(3))
        await store.compact(Revision(4))
        (count,) = await store._read(
            lambda reader: reader.execute("SELECT count(*) FROM versions").fetchone()
        )
        assert count == 2
        await store.close()

    asyncio.run(story())


def test_a_put_that_expects_is_checked_against_the_present_not_the_past(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_sqlite(tmp_path)
        first = await store.commit(txn(a_pod("a")))
        await store.compact(first.revision)
        await store.commit(txn(Put(a_pod("a", node="n1"), expect=position(1, 0))))
        await store.close()

    asyncio.run(story())
