"""What is kept of records and their objects is at every step what a look at all of them gives."""

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.progress import Matter, Progress, progress_of
from gitops.kinds.gitward import declared_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of
from gitops.view import View
from tests.unit.controllers.declared import claim, record
from tests.unit.controllers.world import World, a_deployment

NAMES: Final = ("a", "b", "c")
SOURCES: Final = ("shop", "base")

claims = st.tuples(st.sampled_from(["declared", "withdrawn", "held"]), st.sampled_from(SOURCES))
statuses = st.sampled_from(
    [
        {},
        {"applied": "c1"},
        {"applied": "c0"},
        {"problem": "refused"},
        {"waiting": "for it"},
        {"kept": "held"},
    ]
)
steps = st.one_of(
    st.tuples(st.just("record"), st.sampled_from(NAMES), st.lists(claims, min_size=1, max_size=2), statuses),
    st.tuples(st.just("live"), st.sampled_from(NAMES), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("gone"), st.sampled_from(NAMES), st.booleans(), st.none()),
)


def a_workload(name: str, replicas: int = 1, ready: int = 0) -> Any:
    told = {"observedGeneration": 1, "replicas": ready, "updatedReplicas": ready, "readyReplicas": ready}
    return {**a_deployment(replicas, name), "status": {**told, "availableReplicas": ready}}


def key_of_workload(name: str) -> Key:
    return key_of(a_workload(name))


def seen(progress: Progress, view: View) -> dict[str, tuple[list[Matter], list[str], bool]]:
    return {
        source: (
            progress.matters(source),
            [obj["metadata"].get("name", "") for obj in progress.unready(view, source)],
            progress.is_moving(source),
        )
        for source in SOURCES
    }


def everything(view: View) -> dict[str, tuple[list[Matter], list[str], bool]]:
    fresh = Progress()
    fresh.follow(view)
    return seen(fresh, view)


@given(st.lists(steps, max_size=25))
def test_following_gives_what_a_look_at_everything_gives(taken: list[Any]) -> None:
    world = World()
    for what, name, one, other in taken:
        if what == "record":
            stated = [claim(a_workload(name), "c1", state, source) for state, source in one]
            world.put(record(*stated, **other))
        elif what == "live":
            world.put(a_workload(name, one, other))
        else:
            key = key_of_workload(name)
            world.remove(declared_key(key) if one else key)

        assert seen(progress_of(world.view), world.view) == everything(world.view)


def test_what_is_applied_and_ready_is_no_matter() -> None:
    world = World()
    progress_of(world.view)

    world.put(record(claim(a_workload("a")), applied="c1"), a_workload("a", ready=1))
    assert seen(progress_of(world.view), world.view)["shop"] == ([], [], False)

    world.put(a_workload("a", ready=0))
    assert seen(progress_of(world.view), world.view)["shop"] == ([], ["a"], False)

    world.put(record(claim(a_workload("a"), "c2"), applied="c1"))
    assert seen(progress_of(world.view), world.view)["shop"] == ([Matter(False, "", "", "")], ["a"], True)
