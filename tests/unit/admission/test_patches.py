"""JSON patch as in RFC 6902 and its own test cases, merge patch as in RFC 7386; what they must not do with secrets."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.admission.patches import json_patch, merge_patch
from gitops.kinds.errors import BadRequest, GitwardError, Invalid
from gitops.kinds.sensitive import Sensitive

Json = Any


def op(name: str, path: str, **more: Json) -> Json:
    return {"op": name, "path": path, **more}


RFC_6902 = {
    "A.1 add a member": ({"a": 1}, [op("add", "/b", value=2)], {"a": 1, "b": 2}),
    "A.2 add an item": ({"a": [1, 3]}, [op("add", "/a/1", value=2)], {"a": [1, 2, 3]}),
    "A.3 remove a member": ({"a": 1, "b": 2}, [op("remove", "/b")], {"a": 1}),
    "A.4 remove an item": ({"a": [1, 2, 3]}, [op("remove", "/a/1")], {"a": [1, 3]}),
    "A.5 replace a value": ({"a": 1}, [op("replace", "/a", value=2)], {"a": 2}),
    "A.6 move a value": (
        {"a": {"b": 1}, "c": {}},
        [op("move", "/c/d", **{"from": "/a/b"})],
        {"a": {}, "c": {"d": 1}},
    ),
    "A.7 move an item": ({"a": [1, 2, 3]}, [op("move", "/a/2", **{"from": "/a/0"})], {"a": [2, 3, 1]}),
    "A.8 test a value": ({"a": [1, 2]}, [op("test", "/a/1", value=2)], {"a": [1, 2]}),
    "A.10 add a nested member": ({"a": 1}, [op("add", "/b", value={"c": {}})], {"a": 1, "b": {"c": {}}}),
    "A.11 unknown members are ignored": ({}, [op("add", "/a", value=1, x=2)], {"a": 1}),
    "A.14 escapes": ({"/": 1, "~1": 2}, [op("test", "/~01", value=2), op("remove", "/~1")], {"~1": 2}),
    "A.16 add at the end": ({"a": [1]}, [op("add", "/a/-", value=[2])], {"a": [1, [2]]}),
    "copy": ({"a": {"b": 1}}, [op("copy", "/c", **{"from": "/a"})], {"a": {"b": 1}, "c": {"b": 1}}),
    "replace an item in its place": ({"a": [1, 2, 3]}, [op("replace", "/a/1", value=9)], {"a": [1, 9, 3]}),
    "null is a value": ({"a": 1}, [op("replace", "/a", value=None)], {"a": None}),
    "replace everything": ({"a": 1}, [op("replace", "", value={"b": 2})], {"b": 2}),
    "an empty name": ({"": 1}, [op("remove", "/")], {}),
    "add replaces a member": ({"a": 1}, [op("add", "/a", value=2)], {"a": 2}),
}


@pytest.mark.parametrize(("target", "operations", "result"), RFC_6902.values(), ids=RFC_6902.keys())
def test_json_patch(target: Json, operations: Json, result: Json) -> None:
    assert json_patch(target, operations) == result


REFUSED = {
    "A.9 a test that fails": ({"a": "b"}, [op("test", "/a", value="c")], Invalid),
    "A.12 a parent that is not there": ({"a": 1}, [op("add", "/b/c", value=1)], Invalid),
    "A.15 text is no number": ({"a": "10"}, [op("test", "/a", value=10)], Invalid),
    "true is not 1": ({"a": True}, [op("test", "/a", value=1)], Invalid),
    "remove what is not there": ({}, [op("remove", "/a")], Invalid),
    "replace what is not there": ({}, [op("replace", "/a", value=1)], Invalid),
    "an index past the end": ({"a": [1]}, [op("add", "/a/2", value=1)], Invalid),
    "an index with a sign": ({"a": [1]}, [op("remove", "/a/-1")], Invalid),
    "an index with a leading zero": ({"a": [1, 2]}, [op("remove", "/a/01")], Invalid),
    "no index": ({"a": [1]}, [op("remove", "/a/-")], Invalid),
    "into a scalar": ({"a": 1}, [op("add", "/a/b", value=1)], Invalid),
    "into itself": ({"a": {"b": 1}}, [op("move", "/a/b/c", **{"from": "/a"})], Invalid),
    "no list": ({}, {"op": "add"}, BadRequest),
    "no operation": ({}, ["add"], BadRequest),
    "unknown operation": ({}, [op("append", "/a")], BadRequest),
    "a path without slash": ({}, [op("add", "a", value=1)], BadRequest),
    "no path": ({}, [{"op": "add", "value": 1}], BadRequest),
    "no value": ({}, [op("add", "/a")], BadRequest),
    "no from": ({}, [op("copy", "/a")], BadRequest),
    "too many": ({}, [op("add", "/a", value=1)] * 10_001, BadRequest),
}


@pytest.mark.parametrize(("target", "operations", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_json_patch_refuses(target: Json, operations: Json, error: type[GitwardError]) -> None:
    with pytest.raises(error):
        json_patch(target, operations)


def test_copies_of_copies_do_not_fill_the_memory() -> None:
    doubling = [op("copy", "/a/-", **{"from": "/a"})] * 60

    with pytest.raises(GitwardError, match="copies more than"):
        json_patch({"a": ["x" * 100]}, doubling)


@pytest.mark.parametrize("where", ["/metadata/annotations/a", "/metadata/labels", "/type", ""])
@pytest.mark.parametrize("name", ["copy", "move"])
def test_a_secret_value_goes_only_where_secrets_are(name: str, where: str) -> None:
    secret = {"metadata": {"annotations": {}}, "data": {"a": Sensitive("canary")}}

    with pytest.raises(Invalid) as refused:
        json_patch(secret, [op(name, where, **{"from": "/data/a"})])

    assert "canary" not in str(refused.value)
    moved = json_patch(secret, [op(name, "/data/b", **{"from": "/data/a"})])
    assert moved["data"]["b"] == Sensitive("canary")


def test_a_secret_value_can_be_tested_for() -> None:
    secret = {"data": {"a": Sensitive("canary")}}

    assert json_patch(secret, [op("test", "/data/a", value="canary")]) == secret
    with pytest.raises(Invalid):
        json_patch(secret, [op("test", "/data/a", value="other")])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab~/", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
paths = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1", "~", ""]), max_size=3).map(
    lambda steps: "".join(f"/{step}" for step in steps)
)
operations_of_all_kinds = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": paths,
            "from": paths,
            "value": values,
        }
    ),
    max_size=4,
)


@given(target=values, operations=operations_of_all_kinds)
def test_json_patch_never_breaks_and_never_changes_its_target(target: Json, operations: Json) -> None:
    before = repr(target)

    with suppress(GitwardError):
        json_patch(target, operations)

    assert repr(target) == before


@given(target=values, patch=values)
def test_a_merge_patch_applied_twice_is_applied_once(target: Json, patch: Json) -> None:
    once = merge_patch(target, patch)

    assert merge_patch(once, patch) == once
