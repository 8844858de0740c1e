"""Transactions: what holds for every backend when something is written."""

import asyncio
from datetime import UTC, datetime

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Conflict, Fenced, Invalid
from gitops.kinds.keys import Key
from gitops.kinds.objects import with_meta
from gitops.kinds.sensitive import Sensitive
from gitops.reconcile import Reader
from gitops.store import ABSENT, Delete, Position, Put, SourceCommit, Store, Txn
from tests.contract.store.stores import a_config, a_pod, on_every_backend, pod_key, txn, versions


@on_every_backend
async def test_each_object_of_a_transaction_gets_a_version_of_its_own(store: Store) -> None:
    committed = await store.commit(txn(a_pod("a"), a_pod("b"), a_pod("c")))

    assert committed.revision == 1
    assert versions(committed) == [65536, 65537, 65538]
    assert store.view().revision == 1
    assert store.view().object(pod_key("b")) == with_meta(a_pod("b"), resourceVersion="65537")


@on_every_backend
async def test_a_conflict_names_key_and_both_versions_and_nothing_is_written(store: Store) -> None:
    await store.commit(txn(a_pod("a")))

    with pytest.raises(
        Conflict, match="Pod shop/a: found version 65536, expected no object: someone else wrote"
    ):
        await store.commit(txn(a_pod("b"), Put(a_pod("a", changed=True), expect=ABSENT)))
    with pytest.raises(Conflict, match="Pod shop/b: found no object, expected version 65536"):
        await store.commit(txn(Put(a_pod("b"), expect=Position(65536))))

    assert store.view().revision == 1
    assert store.view().object(pod_key("b")) is None


@on_every_backend
async def test_a_put_replaces_exactly_the_version_it_expects(store: Store) -> None:
    await store.commit(txn(Put(a_pod("a"), expect=ABSENT)))

    committed = await store.commit(txn(Put(a_pod("a", node="n1"), expect=Position(65536))))

    assert versions(committed) == [131072]
    assert [pod["metadata"]["name"] for pod in store.view().on_node(POD, "n1")] == ["a"]


@on_every_backend
async def test_a_check_guards_what_is_only_read(store: Store) -> None:
    await store.commit(txn(a_pod("a")))

    await store.commit(txn(a_pod("b"), checks=((pod_key("a"), Position(65536)),)))
    with pytest.raises(Conflict, match="Pod shop/a: found version 65536, expected no object"):
        await store.commit(txn(a_pod("c"), checks=((pod_key("a"), ABSENT),)))


@on_every_backend
async def test_an_equal_put_writes_nothing_unless_it_touches(store: Store) -> None:
    await store.commit(txn(a_pod("a")))

    equal = await store.commit(txn(a_pod("a")))
    touched = await store.commit(txn(Put(a_pod("a"), touch=True)))

    assert (equal.revision, versions(equal)) == (1, [65536])
    assert (touched.revision, versions(touched)) == (2, [131072])


@on_every_backend
async def test_an_equal_put_in_the_same_breath_is_told_what_it_is_equal_to(store: Store) -> None:
    first, equal = await asyncio.gather(store.commit(txn(a_pod("a"))), store.commit(txn(a_pod("a"))))

    assert first == equal


@on_every_backend
async def test_a_delete_removes_and_deleting_what_is_absent_writes_nothing(store: Store) -> None:
    await store.commit(txn(a_pod("a")))

    deleted = await store.commit(txn(Delete(pod_key("a"), expect=Position(65536))))
    again = await store.commit(txn(Delete(pod_key("a"))))

    assert (deleted.revision, deleted.objects) == (2, (None,))
    assert (again.revision, again.objects) == (2, (None,))
    with pytest.raises(Conflict):
        await store.commit(txn(Delete(pod_key("a"), expect=Position(65536))))


@on_every_backend
async def test_another_leaders_epoch_is_fenced(store: Store) -> None:
    await store.commit(txn(a_pod("a"), epoch=store.epoch))

    with pytest.raises(Fenced, match="epoch 7 is over: the leader's is 1"):
        await store.commit(txn(a_pod("b"), epoch=7))


@on_every_backend
async def test_commits_of_a_source_are_listed_newest_first_and_a_repeated_one_once(store: Store) -> None:
    for commit in ("one", "two", "one"):
        await store.commit(txn(a_pod("a", commit=commit), source=SourceCommit("main", commit)))
    await store.commit(txn(source=SourceCommit("other", "empty")))

    listed = await store.commits("main")
    other = await store.commits("other")

    assert [(commit, revision) for _, commit, revision, _ in listed] == [("one", 3), ("two", 2)]
    assert listed[0].time == datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)
    assert [revision for _, _, revision, _ in other] == [4]
    assert await store.commits("unknown") == ()


@on_every_backend
async def test_the_time_of_the_last_change_is_the_stores_own(store: Store) -> None:
    await store.commit(txn(a_pod("a"), a_pod("b")))
    await store.commit(txn(a_pod("a", node="n1")))

    assert store.view().recorded(POD, pod_key("a")) == datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert store.view().recorded(POD, pod_key("b")) == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert store.view().recorded(POD, pod_key("c")) is None


@on_every_backend
async def test_too_many_writes_are_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="65536 writes in one transaction, at most 65535"):
        await store.commit(txn(*(Delete(pod_key(f"p{i}")) for i in range(65_536))))


@on_every_backend
async def test_transactions_that_build_on_each_other_see_what_was_decided_before_them(store: Store) -> None:
    def one_more(reader: Reader) -> Txn:
        found = reader.object(pod_key("counter"))
        count = found["spec"]["count"] if found else 0  # type: ignore[typeddict-item] # A test's own field.
        return txn(a_pod("counter", count=count + 1), a_pod(f"p{count}"))

    await asyncio.gather(*(store.transact(one_more) for _ in range(50)))

    counted = store.view().object(pod_key("counter"))
    assert counted
    assert counted["spec"] == {"count": 50}  # type: ignore[typeddict-item] # As above.
    assert len(list(store.view().list(POD))) == 51


@on_every_backend
async def test_the_values_of_a_secret_are_sensitive_whoever_wrote_them(store: Store) -> None:
    committed = await store.commit(txn(a_config("s", "Secret", password="aHVudGVy")))

    assert committed.objects[0] is not None
    assert committed.objects[0]["data"] == {"password": Sensitive("aHVudGVy")}  # type: ignore[typeddict-item]
    assert (await store.commit(txn(a_config("s", "Secret", password="aHVudGVy")))).revision == 1


@on_every_backend
async def test_what_was_sensitive_once_stays_so(store: Store) -> None:
    """A ConfigMap from an encrypted file is later written in plain: by a status update, a patch, a rollback."""
    key = Key("", "ConfigMap", "shop", "c")
    await store.commit(txn(a_config("c", word=Sensitive("hunter"))))

    await store.commit(txn(a_config("c", word="hunter", other="plain")))

    found = store.view().object(key)
    assert found is not None
    assert found["data"] == {"word": Sensitive("hunter"), "other": Sensitive("plain")}  # type: ignore[typeddict-item]


@on_every_backend
async def test_a_caller_who_gives_up_waiting_has_written_all_the_same(store: Store) -> None:
    task = asyncio.create_task(store.commit(txn(a_pod("a"))))
    await asyncio.sleep(0)
    task.cancel()

    await store.commit(txn(a_pod("b")))

    assert [pod["metadata"]["name"] for pod in store.view().list(POD)] == ["a", "b"]
