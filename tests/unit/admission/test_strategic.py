"""Strategic merge patches: the cases of kubectl's documentation, and of apimachinery's own table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.admission.strategic import strategic_merge
from gitops.kinds import schema
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import BadRequest

Json = Any
SHAPE = schema.root(POD)


def spec(*containers: Json, **more: Json) -> Json:
    return {"spec": {"containers": list(containers), **more}}


def named(name: str, **more: Json) -> Json:
    return {"name": name, **more}


CASES: dict[str, tuple[Json, Json, Json]] = {
    "an item is merged by its key": (
        spec(named("a", image="1", tty=True), named("b")),
        spec(named("a", image="2")),
        spec(named("a", image="2", tty=True), named("b")),
    ),
    "a new item comes first, as kubectl's documentation shows": (
        spec(named("a")),
        spec(named("b")),
        spec(named("b"), named("a")),
    ),
    "an item is deleted": (
        spec(named("a"), named("b")),
        spec({"$patch": "delete", "name": "a"}),
        spec(named("b")),
    ),
    "an item that is not there is deleted": (
        spec(named("a")),
        spec({"$patch": "delete", "name": "z"}),
        spec(named("a")),
    ),
    "an item that replaces makes the list anew": (
        spec(named("a", image="1", tty=True), named("b")),
        spec(named("a", **{"$patch": "replace", "image": "2"}), named("a", image="2")),
        spec(named("a", image="2")),
    ),
    "a list is replaced": (
        spec(named("a"), named("b")),
        spec({"$patch": "replace"}, named("c")),
        spec(named("c")),
    ),
    "the order is set": (
        spec(named("a"), named("b")),
        {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
        spec(named("b"), named("a")),
    ),
    "what the server added keeps its place when the order is set": (
        spec(named("sidecar"), named("a"), named("b")),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
                "containers": [named("b", tty=True)],
            }
        },
        spec(named("sidecar"), named("a"), named("b", tty=True)),
    ),
    "null removes": (spec(named("a", image="1")), spec({"name": "a", "image": None}), spec(named("a"))),
    "a list of its own kind is replaced whole": (
        {"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}},
        {"spec": {"tolerations": [{"key": "c"}]}},
        {"spec": {"tolerations": [{"key": "c"}]}},
    ),
    "a map is merged": (
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"b": None, "c": "3"}}},
        {"metadata": {"labels": {"a": "1", "c": "3"}}},
    ),
    "a map is replaced": (
        {"metadata": {"labels": {"a": "1", "b": "2"}}},
        {"metadata": {"labels": {"$patch": "replace", "c": "3"}}},
        {"metadata": {"labels": {"c": "3"}}},
    ),
    "a map is deleted": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"$patch": "delete"}}},
        {"metadata": {"labels": {}}},
    ),
    "keys are retained, as a union needs": (
        {"spec": {"volumes": [named("v", emptyDir={})]}},
        {
            "spec": {
                "volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]
            }
        },
        {"spec": {"volumes": [named("v", configMap={"name": "c"})]}},
    ),
    "a set of scalars grows": (
        {"metadata": {"finalizers": ["a/b"]}},
        {"metadata": {"finalizers": ["c/d", "a/b"]}},
        {"metadata": {"finalizers": ["c/d", "a/b"]}},
    ),
    "a scalar leaves its set": (
        {"metadata": {"finalizers": ["a/b", "c/d"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}},
        {"metadata": {"finalizers": ["c/d"]}},
    ),
    "environment variables are merged by name": (
        spec(named("a", env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])),
        spec(named("a", env=[{"name": "B", "value": "3"}])),
        spec(named("a", env=[{"name": "A", "value": "1"}, {"name": "B", "value": "3"}])),
    ),
    "a directive in what is new does not stay": (
        {},
        spec(named("a", env=[{"name": "A", "$patch": "delete"}])),
        spec(named("a", env=[])),
    ),
    "a value takes the place of a map": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": "x"}},
        {"metadata": {"labels": "x"}},
    ),
}


@pytest.mark.parametrize(("target", "patch", "result"), CASES.values(), ids=CASES.keys())
def test_strategic_merge(target: Json, patch: Json, result: Json) -> None:
    assert strategic_merge(target, patch, SHAPE) == result


def test_ports_that_share_a_number_are_not_lost() -> None:
    ports = [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53, "protocol": "TCP"}]
    patch = {"spec": {"ports": [{"port": 80}]}}

    merged = strategic_merge({"spec": {"ports": ports}}, patch, schema.root(SERVICE))

    assert merged["spec"]["ports"] == [{"port": 80}, *ports]


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "merge all"},
        spec({"image": "x"}),
        spec("a"),
        {"spec": {"containers": [], "$setElementOrder/containers": 3}},
        {"spec": {"$retainKeys": {}}},
    ],
)
def test_what_is_no_directive_is_refused(patch: Json) -> None:
    with pytest.raises(BadRequest):
        strategic_merge(spec(named("a")), patch, SHAPE)


names = st.lists(st.sampled_from("abcde"), unique=True, max_size=4)


@given(live=names, wanted=names)
def test_a_patch_applied_twice_is_applied_once_and_loses_nobody(live: list[str], wanted: list[str]) -> None:
    target, patch = spec(*map(named, live)), spec(*(named(one, image="x") for one in wanted))

    once = strategic_merge(target, patch, SHAPE)

    assert strategic_merge(once, patch, SHAPE) == once
    found = [one["name"] for one in once["spec"]["containers"]]
    assert sorted(found) == sorted({*live, *wanted})
    assert [one for one in found if one in wanted] == wanted
    assert [one for one in found if one not in wanted] == [one for one in live if one not in wanted]
