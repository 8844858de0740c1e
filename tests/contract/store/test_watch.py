"""Watches: every later change exactly once and in order, or an error that says to list again."""

import asyncio
from contextlib import aclosing

import pytest

from gitops.kinds.errors import Expired, TooLarge, Unavailable
from gitops.kinds.objects import with_meta
from gitops.store import Batch, Delete, Position, Scope, Store, position
from gitops.store.feed import PENDING_CHANGES_MAX
from tests.contract.store.stores import PODS, a_config, a_pod, changes, names, on_every_backend, pod_key, txn


@on_every_backend
async def test_a_watch_tells_what_was_and_what_is(store: Store) -> None:
    await store.commit(txn(a_pod("a")))
    await store.commit(txn(a_pod("a", node="n1")))
    await store.commit(txn(Delete(pod_key("a"))))

    created, moved, deleted = await changes(store, 0)

    first, second = (
        with_meta(a_pod("a"), resourceVersion="65536"),
        with_meta(a_pod("a", node="n1"), resourceVersion="131072"),
    )
    assert (created.position, created.before, created.after) == (65536, None, first)
    assert (moved.position, moved.before, moved.after) == (131072, first, second)
    assert (deleted.position, deleted.before, deleted.after) == (196608, second, None)


@on_every_backend
async def test_a_watch_resumes_at_every_position_of_a_large_commit(store: Store) -> None:
    """Clients resume after the last event they saw, which may lie inside a transaction."""
    await store.commit(txn(*(a_pod(f"p{index:03}") for index in range(1_000))))

    for seen in range(0, 1_000, 7):
        rest = await changes(store, position(1, seen))
        assert [change.position for change in rest] == [
            position(1, index) for index in range(seen + 1, 1_000)
        ]


@on_every_backend
async def test_nothing_is_missed_or_doubled_between_the_past_and_the_present(store: Store) -> None:
    async def write() -> None:
        for index in range(100):
            await store.commit(txn(a_pod(f"p{index:03}")))

    writing = asyncio.create_task(write())
    seen: list[str] = []
    async with aclosing(store.watch((PODS,), position(0))) as batches:
        async for batch in batches:
            seen += names(batch)
            if len(seen) == 100:
                break
    await writing

    assert seen == [f"p{index:03}" for index in range(100)]


@on_every_backend
async def test_a_scope_hears_only_what_concerns_it(store: Store) -> None:
    await store.commit(txn(a_pod("a"), a_pod("a", namespace="other"), a_pod("b", node="n1"), a_config("a")))
    await store.commit(txn(a_pod("b", node="n2")))

    async def heard(*scopes: Scope) -> list[tuple[int, str, str]]:
        found = await changes(store, 0, *scopes)
        return [(c.position >> 16, c.key.namespace, c.key.name) for c in found]

    assert await heard(Scope("", "Pod", namespace="other")) == [(1, "other", "a")]
    assert await heard(Scope("", "Pod", namespace="shop", name="a")) == [(1, "shop", "a")]
    assert await heard(Scope("", "Pod", name="a")) == [(1, "shop", "a"), (1, "other", "a")]
    assert await heard(Scope("", "Pod", field=("spec.nodeName", "n1"))) == [
        (1, "shop", "b"),
        (2, "shop", "b"),
    ]
    assert await heard(Scope("", "Pod", field=("spec.nodeName", "n2"))) == [(2, "shop", "b")]
    assert await heard(Scope("", "Pod", name="a"), Scope("", "ConfigMap"), Scope("", "Pod", "shop")) == [
        (1, "shop", "a"), (1, "other", "a"), (1, "shop", "b"), (1, "shop", "a"), (2, "shop", "b"),
    ]  # fmt: skip
    assert await heard(Scope("apps", "Pod")) == []


@on_every_backend
async def test_a_scope_hears_the_same_live(store: Store) -> None:
    scopes = (Scope("", "Pod", field=("spec.nodeName", "n1")), Scope("", "Pod", namespace="shop"))
    async with aclosing(store.watch(scopes, position(0), bookmark_seconds=0.01)) as batches:
        assert await anext(batches) == Batch(store.view().revision, ())
        await store.commit(
            txn(a_pod("a", node="n1"), a_pod("x", namespace="y"), a_pod("z", namespace="y", node="n1"))
        )

        assert names(await anext(batches)) == ["a", "z"]


@on_every_backend
async def test_a_bookmark_says_up_to_where_all_was_seen(store: Store) -> None:
    async with aclosing(store.watch((PODS,), position(0), bookmark_seconds=0.01)) as batches:
        assert await anext(batches) == Batch(store.view().revision, ())
        await store.commit(txn(a_config("c")))

        bookmark = await anext(batches)

    assert (bookmark.revision, bookmark.changes) == (1, ())


@on_every_backend
async def test_the_future_is_refused_and_the_present_is_not(store: Store) -> None:
    await store.commit(txn(a_pod("a")))

    assert await changes(store, position(1)) == []
    with pytest.raises(TooLarge, match="resource version 131072 is in the future: the newest is 131071"):
        await changes(store, 131072)


@on_every_backend
async def test_a_watcher_that_falls_behind_is_cut(store: Store) -> None:
    async with aclosing(store.watch((PODS,), position(0), bookmark_seconds=0.01)) as batches:
        await anext(batches)
        for _ in range(PENDING_CHANGES_MAX // 1_000 + 2):
            await store.commit(
                txn(*(a_pod(f"p{index}", turn=store.view().revision) for index in range(1_000)))
            )

        with pytest.raises(Expired, match="the watch fell 5000 changes behind: list again"):
            await anext(batches)


@on_every_backend
async def test_a_large_commit_alone_cuts_nobody(store: Store) -> None:
    async with aclosing(store.watch((PODS,), position(0), bookmark_seconds=0.01)) as batches:
        await anext(batches)
        await store.commit(txn(*(a_pod(f"p{index}") for index in range(PENDING_CHANGES_MAX * 3))))

        batch = await anext(batches)

    assert len(batch.changes) == 12_288


@on_every_backend
async def test_closing_the_store_ends_its_watches(store: Store) -> None:
    await store.commit(txn(a_pod("a")))
    waiting = asyncio.create_task(changes_for_ever(store))
    await asyncio.sleep(0.01)

    await store.close()

    with pytest.raises(Unavailable, match="closed"):
        await waiting
    with pytest.raises(Unavailable, match="closed"):
        await store.commit(txn(a_pod("b")))


@on_every_backend
async def test_a_subscriber_hears_each_batch_right_after_the_view_has_it(store: Store) -> None:
    heard: list[tuple[int, int, list[str]]] = []

    def broken(batch: Batch) -> None:
        raise ValueError(batch.revision)

    store.subscribe(broken)  # One that fails stops neither the store nor the others.
    unsubscribe = store.subscribe(
        lambda batch: heard.append((batch.revision, store.view().revision, names(batch)))
    )
    await store.commit(txn(a_pod("a"), a_config("c")))
    await store.commit(txn(a_pod("b")))
    unsubscribe()
    await store.commit(txn(a_pod("d")))

    assert heard == [(1, 1, ["a", "c"]), (2, 2, ["b"])]


async def changes_for_ever(store: Store) -> None:
    async with aclosing(store.watch((PODS,), Position(0))) as batches:
        async for _ in batches:
            pass
