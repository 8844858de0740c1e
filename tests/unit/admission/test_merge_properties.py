"""Properties of server-side apply, for all statements: idempotent, complete, and careful with what others own."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitops.admission import merge
from gitops.admission.fields import decode, encode, values_of
from gitops.kinds import schema
from gitops.kinds.core.pod import POD
from tests.unit.admission.builders import NOW

SHAPE = schema.root(POD)
words = st.sampled_from(["a", "b", "c", "d"])
labels = st.dictionaries(words, words, max_size=4)


def containers(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    env = st.lists(
        st.builds(lambda name, value: {"name": name, "value": value}, words, words), unique_by=_name
    )
    container = st.builds(
        lambda name, image, env, limits, args: {
            "name": name,
            "image": image,
            **({"env": env} if env else {}),
            **({"resources": {"limits": limits}} if limits else {}),
            **({"args": args} if args else {}),
        },
        names,
        words,
        env,
        st.dictionaries(st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "2"])),
        st.lists(words, max_size=3),
    )
    return st.lists(container, min_size=1, max_size=3, unique_by=_name)


def _name(item: dict[str, Any]) -> str:
    return str(item["name"])


@st.composite
def statements(draw: st.DrawFn) -> Any:
    meta: dict[str, Any] = {"name": "p", "namespace": "n"}
    if stated := draw(labels):
        meta["labels"] = stated
    if finalizers := draw(st.lists(words, max_size=3, unique=True)):
        meta["finalizers"] = finalizers
    spec: dict[str, Any] = {"containers": draw(containers(words))}
    if selector := draw(labels):
        spec["nodeSelector"] = selector
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def applied(live: Any, stated: Any, manager: str) -> Any:
    return merge.apply(live, stated, manager, NOW, SHAPE)[0]


def written_over(live: Any, stated: Any) -> Any:
    """As a PUT by someone who does not know of owners."""
    kept = {"managedFields": live["metadata"]["managedFields"]}
    return {**stated, "metadata": {**stated["metadata"], **kept}}


@given(first=statements(), second=statements(), third=statements())
def test_applying_twice_is_applying_once(first: Any, second: Any, third: Any) -> None:
    live = applied(applied(applied(None, first, "a"), second, "b"), third, "a")

    assert applied(live, third, "a") is live


@given(first=statements(), second=statements())
def test_everything_stated_is_there(first: Any, second: Any) -> None:
    live = applied(applied(None, first, "a"), second, "b")

    there = values_of(live, SHAPE)
    assert all(there[path] == value for path, value in values_of(second, SHAPE).items())


@given(first=statements(), second=statements())
def test_a_sole_manager_gets_exactly_what_it_states(first: Any, second: Any) -> None:
    live = applied(applied(None, first, "a"), second, "a")

    assert values_of(live, SHAPE) == values_of(second, SHAPE)


@given(first=statements(), second=statements(), third=statements())
def test_what_another_states_survives_what_we_no_longer_state(first: Any, second: Any, third: Any) -> None:
    before = applied(applied(None, first, "a"), second, "b")

    after = applied(before, third, "a")

    theirs = {path for entry in before["metadata"]["managedFields"] if entry["manager"] == "b"
              for path in decode(entry["fieldsV1"])}  # fmt: skip
    there, ours = values_of(after, SHAPE), values_of(third, SHAPE)
    assert all(path in there for path in theirs)
    assert all(there[path] == values_of(second, SHAPE)[path] for path in theirs if path not in ours)


@given(first=statements(), second=statements())
def test_every_owned_field_exists(first: Any, second: Any) -> None:
    live = applied(applied(applied(None, first, "a"), second, "b"), first, "b")

    there = values_of(live, SHAPE)
    for entry in live["metadata"]["managedFields"]:
        assert decode(entry["fieldsV1"]) <= there.keys()


@given(stated=statements())
def test_a_field_set_survives_the_wire(stated: Any) -> None:
    fields = merge.stated_fields(stated, SHAPE)

    assert decode(encode(fields)) == fields


@given(first=statements(), second=statements())
def test_a_plain_write_leaves_no_field_that_it_changed_to_another(first: Any, second: Any) -> None:
    old = merge.own_update(None, first, "a", NOW, SHAPE)

    new = merge.own_update(old, second, "b", NOW, SHAPE)

    before, after = values_of(first, SHAPE), values_of(second, SHAPE)
    owners = {
        entry["manager"]: decode(entry["fieldsV1"]) for entry in new["metadata"].get("managedFields", [])
    }
    changed = {path for path in after if path not in before or before[path] != after[path]}
    assert owners.get("b", frozenset()) == changed
    assert owners.get("a", frozenset()) == after.keys() - changed


@given(first=statements(), drift=statements())
def test_git_wins_over_any_drift_and_leaves_no_trace_of_it(first: Any, drift: Any) -> None:
    live = applied(None, first, "gitward")
    drifted = merge.own_update(live, written_over(live, drift), "someone", NOW, SHAPE)

    back = applied(drifted, first, "gitward")

    there = values_of(back, SHAPE)
    assert all(there[path] == value for path, value in values_of(first, SHAPE).items())
    assert applied(back, first, "gitward") is back
    owners = {entry["manager"]: decode(entry["fieldsV1"]) for entry in back["metadata"]["managedFields"]}
    ours = values_of(first, SHAPE)
    assert all(path not in ours for path in owners.get("someone", frozenset()))
