"""The newest decided state says what the view will say once everything pending is applied."""

from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.core.pod import POD
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of, with_meta
from gitops.kinds.selectors import LabelSelector
from gitops.store.ahead import Ahead
from gitops.view import Change, View, position

NAMES = ("a", "a-b", "b")
KINDS = (("v1", "Pod"), ("v1", "Service"), (f"{DECLARED_GROUP}/v1", "Pod"))


def an_object(
    kind: tuple[str, str], name: str, namespace: str, node: str, owner: str, labels: Any
) -> KubeObject:
    owners = [{"uid": owner, "controller": True}] if owner else []
    meta = {"name": name, "namespace": namespace, "uid": f"{kind}/{namespace}/{name}", "labels": labels}
    made = {"apiVersion": kind[0], "kind": kind[1], "metadata": {**meta, "ownerReferences": owners}}
    return cast("KubeObject", {**made, "spec": {"nodeName": node}})


objects = st.builds(
    an_object,
    kind=st.sampled_from(KINDS),
    name=st.sampled_from(NAMES),
    namespace=st.sampled_from(("shop", "x")),
    node=st.sampled_from(("", "n1")),
    owner=st.sampled_from(("", "o1")),
    labels=st.sampled_from(({}, {"app": "web"})),
)
histories = st.lists(st.one_of(objects, objects.map(key_of)), max_size=12)


def change(one: KubeObject | Key, revision: int) -> Change:
    at = position(revision, 0)
    time = datetime(2026, 1, 1, 0, revision % 60, tzinfo=UTC)
    if isinstance(one, Key):
        return Change(at, one, None, None, time)
    return Change(at, key_of(one), None, with_meta(one, resourceVersion=str(at)), time)


@given(published=histories, pending=histories)
def test_it_reads_as_the_view_will(
    published: list[KubeObject | Key], pending: list[KubeObject | Key]
) -> None:
    view = View()
    for index, one in enumerate(published):
        view.apply(change(one, index + 1))
    view.advance(len(published))
    later = [change(one, len(published) + index + 1) for index, one in enumerate(pending)]
    wanted = view.fork()
    for each in later:
        wanted.apply(each)

    ahead = Ahead(view, {each.key: each for each in later})

    assert ahead.revision == view.revision
    for namespace in (None, "shop"):
        assert [*ahead.list(POD, namespace)] == [*wanted.list(POD, namespace)]
        assert [*ahead.list_group("", namespace)] == [*wanted.list_group("", namespace)]
    assert [*ahead.list_namespace("shop")] == [*wanted.list_namespace("shop")]
    assert [*ahead.owned_by(POD, "o1")] == [*wanted.owned_by(POD, "o1")]
    assert [*ahead.dependents("o1")] == sorted(wanted.dependents("o1"), key=lambda obj: key_of(obj).text)
    assert [*ahead.on_node(POD, "n1")] == [*wanted.on_node(POD, "n1")]
    for selector in cast("list[LabelSelector | None]", [None, {}, {"matchLabels": {"app": "web"}}]):
        found = [*ahead.select(POD, "shop", selector)]
        assert sorted(found, key=lambda obj: key_of(obj).text) == sorted(
            wanted.select(POD, "shop", selector), key=lambda obj: key_of(obj).text
        )
    for obj in [one for one in (*published, *pending) if not isinstance(one, Key)]:
        key = key_of(obj)
        assert ahead.get(POD, key) == ahead.object(key) == wanted.object(key)
        assert ahead.recorded(POD, key) == wanted.recorded(POD, key)
        assert ahead.by_uid(obj["metadata"]["uid"]) == wanted.by_uid(obj["metadata"]["uid"])


def test_it_keeps_no_marks() -> None:
    assert Ahead(View(), {}).touched(5) == (5, None)
