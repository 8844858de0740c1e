"""A ledger knows which file states what; and a look that knows what changed writes what a look at everything would."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.gitward import DECLARED_GROUP, GIT_SOURCE
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of
from gitops.store.contract import Put, Txn
from gitops.store.memory import MemoryStore
from gitops.sync.apps import Apps
from gitops.sync.compile import Sheet, Stated
from gitops.sync.declare import AppLook, Look, declare
from gitops.sync.ledger import Ledger, Turned, page_of
from gitops.sync.reading import Changes, Reading, Work
from gitops.sync.source import Entry

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Files = dict[str, dict[str, str]]  # Path -> name -> value.


def key(name: str) -> Key:
    return Key("", "ConfigMap", "default", name)


def stated(file: str, objects: Mapping[str, str]) -> tuple[Stated, ...]:
    return tuple(
        Stated(key(name), cast(KubeObject, config_map(name, value)), file, line)
        for line, (name, value) in enumerate(objects.items(), start=1)
    )


def config_map(name: str, value: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": value}}


def turned(file: str, objects: Mapping[str, str], *problems: str) -> Turned:
    return page_of(Sheet(stated(file, objects), problems), sealed=False, again=False)


def test_what_a_changed_file_states_no_more_is_gone() -> None:
    ledger = Ledger()
    ledger.turn({"a": turned("a", {"x": "1", "z": "1"}), "b": turned("b", {"w": "1"})})
    ledger.settle(frozenset())

    ledger.turn({"a": turned("a", {"x": "2"}), "b": None})

    assert ledger.gone() == {key("z"), key("w")}
    assert [one.obj for one in ledger.fresh["a"]] == [config_map("x", "2")]
    assert len(ledger) == 1


def test_what_moved_is_not_gone() -> None:
    ledger = Ledger()
    ledger.turn({"a": turned("a", {"x": "1"})})
    ledger.settle(frozenset())

    ledger.turn({"a": None, "b": turned("b", {"x": "1"})})

    assert ledger.gone() == frozenset()


def test_what_came_and_went_before_it_was_declared_is_not_gone() -> None:
    ledger = Ledger()
    ledger.settle(frozenset())
    ledger.turn({"a": turned("a", {"x": "1"})})

    ledger.turn({"a": turned("a", {"z": "1"})})

    assert ledger.gone() == frozenset()


def test_an_object_in_two_files_is_told_with_both() -> None:
    ledger = Ledger()
    ledger.turn({"b": turned("b", {"x": "1"}), "a": turned("a", {"w": "1", "x": "1"})})

    assert ledger.is_broken()
    assert ledger.problems() == ["b:1: ConfigMap default/x is also stated in a:2: which one counts?"]

    ledger.turn({"a": None})
    assert not ledger.is_broken()


def test_problems_come_in_order_of_paths_and_go_with_their_files() -> None:
    ledger = Ledger()
    ledger.turn({"b": turned("b", {}, "b:1: wrong"), "a": turned("a", {}, "a:1: wrong")})
    assert ledger.problems() == ["a:1: wrong", "b:1: wrong"]

    ledger.turn({"a": turned("a", {"x": "1"}), "b": None})

    assert ledger.problems() == []


files: st.SearchStrategy[Files] = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.dictionaries(
        st.sampled_from([f"n{number}" for number in range(12)]), st.sampled_from("12"), max_size=6
    ),
)
trailers = st.sampled_from([(), (), (), ("1",), ("all",)])


def without_doubles(state: Files) -> Files:
    seen: set[str] = set()
    kept: Files = {}
    for path in sorted(state):
        kept[path] = {name: value for name, value in state[path].items() if name not in seen}
        seen.update(state[path])
    return kept


def a_store() -> MemoryStore:
    store = MemoryStore(lambda: NOW)
    source: Any = {
        "apiVersion": GIT_SOURCE.api_version,
        "kind": "GitSource",
        "metadata": {"name": "shop"},
        "spec": {"url": "/r"},
    }
    store.commit_now(Txn((Put(source),), actor="test", cause="test"))
    return store


def claims(store: MemoryStore) -> dict[str, list[tuple[str, str, object]]]:
    records: Any = store.view().list_group(DECLARED_GROUP)
    return {
        str(key_of(record)): [(one["file"], one["state"], one["object"]) for one in record["claims"]]
        for record in records
    }


@given(st.lists(st.tuples(files, trailers, st.booleans()), max_size=8))
def test_a_look_that_knows_what_changed_writes_what_a_look_at_everything_would(
    commits: list[tuple[Files, tuple[str, ...], bool]],
) -> None:
    """Commits that are held back in between make no difference either."""
    whole, partly, ledger = a_store(), a_store(), Ledger()
    known: Files = {}
    for number, (state, allow, is_held_back) in enumerate(commits):
        wanted = without_doubles(state)
        ledger.turn(
            {
                path: turned(path, wanted[path]) if path in wanted else None
                for path in known.keys() | wanted.keys()
                if known.get(path) != wanted.get(path)
            }
        )
        known = wanted
        if is_held_back:
            continue
        everything = tuple(one for path in sorted(wanted) for one in stated(path, wanted[path]))
        first = AppLook("shop", everything, len(everything), allow_prune=allow)
        look = Look("shop", f"c{number}", (first,), is_first=True)
        whole.commit_now(declare(whole.view(), look, NOW).txn)

        fresh = tuple(one for path in sorted(ledger.fresh) for one in ledger.fresh[path])
        gone = ledger.gone()
        app = AppLook("shop", fresh, len(ledger), gone, ledger.held & gone, ledger.declared, allow)
        declaring = declare(partly.view(), Look("shop", f"c{number}", (app,)), NOW)
        partly.commit_now(declaring.txn)
        ledger.settle(declaring.held["shop"])

        assert claims(partly) == claims(whole)


def test_an_app_whose_folder_is_gone_is_forgotten_once_nothing_of_it_waits() -> None:
    reading = Reading(Apps("shop", "", [{"path": "apps/*"}, {"path": "base"}]))
    file = "apps/web/x.yaml"

    def read(changes: Changes) -> None:
        work = Work(reading, changes, is_rekeyed=False)
        pages = {path: turned(path, {"x": "1"}) if entry else None for path, entry in changes.items()}
        reading.take_in(work, dict.fromkeys(work.apps, pages), {})

    def settle(*held: Key) -> None:
        reading.ledgers["base"].settle(frozenset())
        reading.ledgers["apps/web"].settle(frozenset(held))
        reading.forget_gone()

    read({file: Entry(file, "100644", "1f", 1)})
    settle()
    assert [*reading.ledgers] == ["base", "apps/web"]
    read({file: None})
    settle(key("x"))
    assert [*reading.ledgers] == ["base", "apps/web"]
    settle()
    assert [*reading.ledgers] == [*reading.names] == ["base"]
