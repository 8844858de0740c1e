"""Hot and packed entries: whichever are dicts at present, everybody reads the same."""

from datetime import UTC, datetime
from typing import Any, cast

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gitops.entry import Entry, HotEntries, Opener, Packed, Position, share
from gitops.kinds.core.pod import POD
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.view import Change, View, position

NOW = datetime(2026, 1, 1, tzinfo=UTC)

trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=20,
)


class Json(Opener):
    """Bodies that are JSON; counts how often one is opened."""

    __slots__ = ("opened",)
    alike = True

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    def open(self, key: Key, at: Position, body: bytes) -> KubeObject:
        self.opened += 1
        return cast("KubeObject", orjson.loads(body))


def a_pod(name: str, **spec: Any) -> KubeObject:
    made = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    return cast("KubeObject", made)


def an_entry(opener: Opener, obj: KubeObject) -> Entry:
    entry = Entry(Key("", "Pod", "shop", obj["metadata"]["name"]), position(1, 0), NOW)
    entry.body, entry.opener = orjson.dumps(obj), opener
    return entry


@given(new=trees, like=trees)
def test_sharing_changes_nothing_that_json_can_tell(new: Any, like: Any) -> None:
    before, other = orjson.dumps(new), orjson.dumps(like)

    assert orjson.dumps(share(new, like)) == before
    assert orjson.dumps(like) == other


def test_equal_parts_become_one_object() -> None:
    like = {"spec": {"containers": [{"image": "web:1", "env": [1, 2]}], "nodeName": "n1"}, "kind": "Pod"}
    new = {"spec": {"containers": [{"image": "web:1", "env": [1, 2]}], "nodeName": "n2"}, "kind": "Pod"}

    shared = share(new, like)

    assert shared["spec"]["containers"] is like["spec"]["containers"]  # type: ignore[index]
    assert shared["spec"]["nodeName"] == "n2"
    assert share({"flag": True}, {"flag": 1}) == {"flag": True}
    assert share({"flag": True}, {"flag": 1})["flag"] is True


def test_no_more_than_so_many_are_hot_and_each_can_be_read() -> None:
    hot, opener = HotEntries(objects_max=10), Json()
    entries = [an_entry(opener, a_pod(f"p{n}", n=n)) for n in range(100)]

    for _ in range(3):
        assert [obj["spec"]["n"] for obj in hot.each(entries)] == list(range(100))  # type: ignore[typeddict-item]
        assert sum(entry.hot is not None for entry in entries) == 10


def test_a_scan_over_a_little_more_than_there_is_room_for_still_finds_some() -> None:
    """The oldest is not the one to go: a scan would then find nothing of what the last one left."""
    hot, opener = HotEntries(objects_max=80), Json()
    entries = [an_entry(opener, a_pod(f"p{n}")) for n in range(100)]
    for _ in range(10):
        for _ in hot.each(entries):
            pass

    assert 100 + 9 * 15 < opener.opened < 100 + 9 * 60


def test_places_that_are_given_back_are_used_again() -> None:
    hot, opener = HotEntries(objects_max=3), Json()
    entries = [an_entry(opener, a_pod(f"p{n}")) for n in range(6)]
    for entry in entries[:3]:
        hot.open(entry)

    hot.drop(entries[0])
    hot.drop(entries[2])
    hot.drop(entries[5])
    for entry in (entries[3], entries[4]):
        hot.open(entry)

    assert [entry.hot is not None for entry in entries] == [False, True, False, True, True, False]


def test_what_no_store_keeps_stays_hot() -> None:
    view = View()
    for n in range(3):
        obj = a_pod(f"p{n}")
        view.apply(Change(position(1, n), Key("", "Pod", "shop", f"p{n}"), None, obj, NOW))

    assert [obj["metadata"]["name"] for obj in view.list(POD)] == ["p0", "p1", "p2"]


def test_a_cold_object_is_indexed_and_opened_when_it_is_asked_for() -> None:
    view, opener = View(), Json()
    obj = a_pod("a", nodeName="n1")
    key = Key("", "Pod", "shop", "a")

    view.apply(Change(position(1, 0), key, None, obj, NOW), Packed(orjson.dumps(obj), opener), cold=True)

    assert opener.opened == 0
    assert list(view.on_node(POD, "n1")) == [obj]
    assert view.object(key) is view.object(key)
    assert opener.opened == 1


def test_a_list_that_is_being_walked_shows_what_was_when_it_began() -> None:
    view, opener = View(), Json()
    for n in range(2):
        obj = a_pod(f"p{n}", version=1)
        change = Change(position(1, n), Key("", "Pod", "shop", f"p{n}"), None, obj, NOW)
        view.apply(change, Packed(orjson.dumps(obj), opener))
    walked = view.list(POD)

    new = a_pod("p1", version=2)
    change = Change(position(2, 0), Key("", "Pod", "shop", "p1"), None, new, NOW)
    view.apply(change, Packed(orjson.dumps(new), opener))

    assert [obj["spec"]["version"] for obj in walked] == [1, 1]  # type: ignore[typeddict-item]
    assert [obj["spec"]["version"] for obj in view.list(POD)] == [1, 2]  # type: ignore[typeddict-item]
