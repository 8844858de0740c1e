"""The view: its indexes against a plain scan, and its join against late, doubled and reordered delivery."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.core.pod import POD
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, with_meta
from gitops.kinds.selectors import LabelSelector
from gitops.view import Change, Position, View, position

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "a-b", "b")
NAMESPACES = ("a", "a-b", "shop")


def an_object(
    name: str,
    *,
    namespace: str = "shop",
    api_version: str = "v1",
    kind: str = "Pod",
    uid: str = "",
    node: str = "",
    owner: str = "",
    other_owner: str = "",
    labels: dict[str, str] | None = None,
) -> KubeObject:
    owners = [{"uid": owner, "controller": True}] if owner else []
    owners += [{"uid": other_owner}] if other_owner else []
    meta: dict[str, Any] = {"name": name, "namespace": namespace}
    meta |= {"uid": uid} if uid else {}
    meta |= {"ownerReferences": owners} if owners else {}
    meta |= {"labels": labels} if labels is not None else {}
    spec = {"nodeName": node} if node else {}
    return cast("KubeObject", {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec})


def put(obj: KubeObject, revision: int, index: int = 0) -> Change:
    at = position(revision, index)
    return Change(at, key_of(obj), None, with_meta(obj, resourceVersion=str(at)), NOW)


def gone(key: Key, revision: int) -> Change:
    return Change(position(revision, 0), key, None, None, NOW)


def a_view(*objects: KubeObject) -> View:
    view = View()
    for index, obj in enumerate(objects):
        view.apply(put(obj, 1, index))
    view.advance(1)
    return view


def names(objects: Any) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def test_lists_are_in_the_order_of_the_keys_text() -> None:
    view = a_view(
        *(an_object(name, namespace=namespace) for namespace in ("shop", "a", "a-b") for name in ("b", "a"))
    )

    assert [(p["metadata"].get("namespace"), p["metadata"]["name"]) for p in view.list(POD)] == [
        ("a-b", "a"), ("a-b", "b"), ("a", "a"), ("a", "b"), ("shop", "a"), ("shop", "b"),
    ]  # fmt: skip
    assert names(view.list(POD, "a")) == ["a", "b"]
    assert names(view.list(POD, "elsewhere")) == []


def test_groups_and_namespaces_are_listed_and_declared_records_only_by_their_group() -> None:
    record = an_object("web", api_version=f"{DECLARED_GROUP}/v1", kind="Deployment.apps")
    view = a_view(an_object("b"), record, an_object("c", api_version="apps/v1", kind="Deployment"))

    assert names(view.list_group(DECLARED_GROUP)) == ["web"]
    assert names(view.list_group("apps")) == ["c"]
    assert names(view.list_namespace("shop")) == ["b", "c"]


def test_an_object_is_found_by_owner_node_uid_and_labels() -> None:
    pod = an_object("b", uid="u1", node="n1", owner="rs", other_owner="x", labels={"app": "web"})
    view = a_view(pod, an_object("a", labels={"app": "db"}), an_object("c"))

    assert names(view.owned_by(POD, "rs")) == ["b"]
    assert names(view.owned_by(POD, "x")) == []
    assert names(view.dependents("rs")) == names(view.dependents("x")) == ["b"]
    assert names(view.on_node(POD, "n1")) == ["b"]
    assert names([view.by_uid("u1")]) == ["b"]
    assert names(view.select(POD, "shop", {"matchLabels": {"app": "web"}})) == ["b"]
    assert names(view.select(POD, "shop", {})) == ["b", "a", "c"]
    assert names(view.select(POD, "shop", None)) == []


def test_places_that_were_empty_for_a_while_are_filled_and_emptied_again() -> None:
    view = View()

    for revision, node in enumerate(("", "n1", "", "n1"), start=1):
        view.apply(put(an_object("web", node=node), revision))
        view.advance(revision)

    assert names(view.on_node(POD, "n1")) == ["web"]
    assert names(view.on_node(POD, "")) == []


def test_nothing_is_found_any_more_where_an_object_was() -> None:
    pod = an_object("b", uid="u1", node="n1", owner="rs", labels={"app": "web"})
    view = a_view(pod)

    view.apply(put(an_object("b", uid="u2", labels={"app": "db"}), 2))

    assert names(view.owned_by(POD, "rs")) == names(view.on_node(POD, "n1")) == []
    assert view.by_uid("u1") is None
    assert names(view.select(POD, "shop", {"matchLabels": {"app": "web"}})) == []
    assert names(view.select(POD, "shop", {"matchLabels": {"app": "db"}})) == ["b"]


def test_a_list_may_be_walked_while_changes_arrive() -> None:
    view = a_view(an_object("a"), an_object("b"))

    walked = view.list(POD)
    view.apply(gone(key_of(an_object("b")), 2))

    assert names(walked) == ["a", "b"]


def test_what_is_not_newer_is_no_news() -> None:
    view = a_view()
    pod = an_object("a")

    assert view.apply(put(pod, 3)) is True
    assert view.apply(put(pod, 3)) is False
    assert view.apply(put(pod, 2)) is False
    view.advance(5)
    assert view.apply(put(an_object("b"), 5)) is False


def test_a_deletion_is_remembered_until_the_past_is_complete() -> None:
    view = a_view(an_object("a"))
    key = key_of(an_object("a"))

    view.apply(gone(key, 4))

    assert view.apply(put(an_object("a", node="late"), 3)) is False
    assert view.object(key) is None
    assert view.recorded(POD, key) is None
    view.advance(4)
    assert view.apply(put(an_object("a"), 5)) is True


def test_a_fork_goes_its_own_way() -> None:
    view = a_view(an_object("a", labels={"app": "web"}))
    fork = view.fork()

    fork.apply(put(an_object("b", labels={"app": "web"}), 2))
    view.apply(gone(key_of(an_object("a")), 2))

    assert (
        names(fork.list(POD))
        == names(fork.select(POD, "shop", {"matchLabels": {"app": "web"}}))
        == ["a", "b"]
    )
    assert names(view.list(POD)) == names(view.select(POD, "shop", {})) == []


objects = st.builds(
    an_object,
    name=st.sampled_from(NAMES),
    namespace=st.sampled_from(NAMESPACES),
    node=st.sampled_from(("", "n1", "n2")),
    owner=st.sampled_from(("", "o1", "o2")),
    other_owner=st.sampled_from(("", "o1", "o3")),
    labels=st.sampled_from((None, {}, {"app": "web"}, {"app": "db", "tier": "x"})),
)
# What was written, in order: an object, or the deletion of a key.
histories = st.lists(st.one_of(objects, objects.map(key_of)), max_size=30)


def written(history: list[KubeObject | Key]) -> list[Change]:
    return [
        gone(one, index + 1) if isinstance(one, Key) else put(one, index + 1)
        for index, one in enumerate(history)
    ]


def final(changes: list[Change]) -> dict[Key, KubeObject]:
    held = {change.key: change.after for change in changes}
    return {key: held[key] for key in sorted(held) if held[key] is not None}  # type: ignore[misc] # mypy keeps None.


@given(history=histories)
def test_every_index_says_what_a_scan_says(history: list[KubeObject | Key]) -> None:
    view = View()
    for change in written(history):
        view.apply(change)
        view.advance(change.position >> 16)
    held = [*final(written(history)).values()]

    assert [*view.list(POD)] == held
    for namespace in NAMESPACES:
        inside = [obj for obj in held if obj["metadata"].get("namespace") == namespace]
        assert [*view.list(POD, namespace)] == [*view.list_namespace(namespace)] == inside
        assert [*view.list_group("", namespace)] == inside
        for selector in cast("list[LabelSelector]", [{}, {"matchLabels": {"app": "web"}}]):
            wanted = selector.get("matchLabels", {}).items()
            found = sorted(names(view.select(POD, namespace, selector)))
            assert found == [
                n["metadata"]["name"] for n in inside if wanted <= n["metadata"].get("labels", {}).items()
            ]
    for owner in ("o1", "o2", "o3"):
        references = [(obj, obj["metadata"].get("ownerReferences", [])) for obj in held]
        assert [*view.dependents(owner)] == [
            obj for obj, refs in references if owner in [r["uid"] for r in refs]
        ]
        assert [*view.owned_by(POD, owner)] == [
            obj for obj, refs in references if owner in [r["uid"] for r in refs if r.get("controller")]
        ]
    for node in ("n1", "n2"):
        assert [*view.on_node(POD, node)] == [obj for obj in held if obj["spec"].get("nodeName") == node]  # type: ignore[typeddict-item]


@given(history=histories, data=st.data())
def test_however_late_or_often_a_change_comes_the_end_is_the_same(
    history: list[KubeObject | Key], data: st.DataObject
) -> None:
    """Our own writes are applied at once; all come again, in order, whenever the watch gets to them."""
    changes = written(history)
    ours = data.draw(st.sets(st.sampled_from(range(len(changes))))) if changes else set()
    view, newest = View(), dict[Key, Position]()
    delivered = 0
    for index, change in enumerate(changes):
        if index in ours:
            view.apply(change)
            newest[change.key] = change.position
        for late in changes[delivered : data.draw(st.integers(delivered, index + 1))]:
            view.apply(late)
            view.advance(late.position >> 16)
            delivered += 1
        for key, at in newest.items():  # Never older than our own last write.
            found = view.object(key)
            last = next(c for c in changes if c.position == at)
            assert found is None or int(found["metadata"]["resourceVersion"]) >= at or last.after is None
    for late in [*changes[delivered:], *changes]:
        view.apply(late)
        view.advance(late.position >> 16)

    assert {key_of(obj): obj for obj in view.list(POD)} == final(changes)
    assert view._tombstones == {}


@pytest.mark.parametrize("spec", [None, [], "text", {"nodeName": 7}])
def test_a_spec_of_another_shape_is_on_no_node(spec: object) -> None:
    odd = cast("KubeObject", {**an_object("a"), "spec": spec})

    assert names(a_view(odd).list(POD)) == ["a"]
