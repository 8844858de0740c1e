"""A commit is live when all that its source declares is applied, and nothing of it is left to prune."""

from typing import Any

import pytest

from gitops.controllers.sources import SOURCES, reconcile
from gitops.kinds.keys import Key
from tests.unit.admission.builders import NOW, World, config_map
from tests.unit.controllers.declared import claim, record

SHOP = Key("gitward.io", "GitSource", "", "shop")


def source(**commit: str) -> Any:
    return {
        "apiVersion": "gitward.io/v1alpha1",
        "kind": "GitSource",
        "metadata": {"name": "shop"},
        "spec": {"url": "https://example.com/shop.git"},
        "status": {"commit": commit, "warnings": ["one"]},
    }


def a_claim(name: str = "a", **changes: Any) -> Any:
    return claim(config_map(name), **changes)


RECORDS: dict[str, tuple[bool, list[Any]]] = {
    "all is applied": (
        True,
        [record(a_claim(), applied="c1"), record(a_claim("b", commit="c2"), applied="c2")],
    ),
    "nothing is declared": (True, []),
    "one is not applied yet": (False, [record(a_claim(), applied="c1"), record(a_claim("b"))]),
    "one is applied as of a former commit": (False, [record(a_claim(commit="c2"), applied="c1")]),
    "one has a problem": (False, [record(a_claim(), applied="c1", problem="shop/web.yaml:1: no")]),
    "one is still to be pruned": (False, [record(a_claim(state="withdrawn"), applied="c1")]),
    "one is held": (True, [record(a_claim(state="held"), applied="c1")]),
    "another source is not done": (True, [record(a_claim(source="other"))]),
    "one waits behind another source": (True, [record(a_claim(source="other"), a_claim(), applied="c1")]),
}


@pytest.mark.parametrize(("live", "records"), RECORDS.values(), ids=RECORDS.keys())
def test_a_commit_is_live(live: bool, records: list[Any]) -> None:
    world = World(source(fetched="c2", declared="c2", live="c1"), *records)

    told: Any = reconcile(world.view, SHOP, NOW).status

    assert (told is not None) == live
    if told:
        assert told["status"] == {
            "commit": {"fetched": "c2", "declared": "c2", "live": "c2"},
            "warnings": ["one"],
        }


def test_a_live_commit_is_told_once() -> None:
    world = World(source(declared="c2", live="c2"), record(a_claim(), applied="c1"))

    assert not reconcile(world.view, SHOP, NOW)


def test_nothing_is_said_of_a_source_that_declared_nothing_yet() -> None:
    assert not reconcile(World(source(fetched="c1")).view, SHOP, NOW)
    assert not reconcile(World().view, SHOP, NOW)


def woken(world: World, changed: Any) -> list[Key]:
    trigger = next(one for one in SOURCES.triggers if one.group == "declared.gitward.io")
    return list(trigger.keys(world.view, changed))


def test_a_record_wakes_its_source_only_when_it_is_done() -> None:
    waiting, done = record(a_claim()), record(a_claim(), applied="c1")

    assert woken(World(waiting), waiting) == []
    assert woken(World(done), done) == [SHOP]


def test_a_record_that_is_gone_wakes_the_source_that_withdrew_it() -> None:
    assert woken(World(), record(a_claim(state="withdrawn"))) == [SHOP]


def test_a_claim_that_is_gone_wakes_the_source_that_withdrew_it() -> None:
    other = a_claim(source="other")

    assert SHOP in woken(World(record(other)), record(a_claim(state="withdrawn"), other))
