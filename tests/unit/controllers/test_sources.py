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

    commit = told["status"]["commit"] if told else {}
    assert commit.get("live") == ("c2" if live else None if told is None else "c1")
    if told:
        assert told["status"]["warnings"] == ["one"]


def test_what_is_in_the_way_is_told_until_it_is_gone() -> None:
    behind = record(a_claim("b", source="other"), a_claim("b"))
    records = [
        record(a_claim(), problem="shop/web.yaml:1: no"),
        record(a_claim("c"), waiting="shop/web.yaml:1: ConfigMap shop/c: there is no namespace shop"),
        behind,
    ]
    world = World(source(declared="c1"), *records)

    told: Any = reconcile(world.view, SHOP, NOW).status

    assert told["status"] == {
        "commit": {"declared": "c1"},
        "warnings": ["one"],
        "unapplied": ["shop/web.yaml:1: no"],
        "waiting": [
            "shop/web.yaml:1: ConfigMap shop/b: already declared at other/web.yaml:1 of source other, which keeps it",
            "shop/web.yaml:1: ConfigMap shop/c: there is no namespace shop",
        ],
    }
    world.put(told)
    assert not reconcile(world.view, SHOP, NOW)
    world.put(record(a_claim(), applied="c1"))
    world.put(record(a_claim("c"), applied="c1"))
    again: Any = reconcile(world.view, SHOP, NOW).status
    assert again["status"]["unapplied"] == []
    assert len(again["status"]["waiting"]) == 1
    assert again["status"]["commit"]["live"] == "c1"


def test_a_kind_that_is_not_served_blocks_nothing_and_is_left_to_the_warning_of_sync() -> None:
    widget: Any = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "shop"},
    }
    world = World(source(declared="c1"), record(claim(widget), waiting="shop/web.yaml:1: no kind Widget"))

    told: Any = reconcile(world.view, SHOP, NOW).status

    assert told["status"]["commit"] == {"declared": "c1", "live": "c1"}
    assert "waiting" not in told["status"]


def test_what_others_wait_for_behind_us_is_theirs_to_tell() -> None:
    both: Any = record(a_claim(), a_claim(source="other"), applied="c1", waiting="x")
    line = "other/web.yaml:1: ConfigMap shop/a: already declared at shop/web.yaml:1 of source shop, which keeps it"
    waits: Any = {**both, "status": {"applied": "c1", "waiting": line}}
    world = World(source(declared="c1"), waits)

    told: Any = reconcile(world.view, SHOP, NOW).status

    assert "waiting" not in told["status"]


def test_another_app_of_ours_that_waits_behind_us_is_ours_to_tell() -> None:
    first, later = a_claim(), {**a_claim(), "app": "web", "file": "apps/web/a.yaml"}
    line = "apps/web/a.yaml:1: ConfigMap shop/a: already declared at shop/web.yaml:1 of source shop, which keeps it"
    waits: Any = record(first, later, applied="c1", waiting=line)  # type: ignore[arg-type] # A claim with changes.
    world = World(source(declared="c1"), waits)

    told: Any = reconcile(world.view, SHOP, NOW).status

    assert told["status"]["waiting"] == [line]
    assert told["status"]["commit"]["live"] == "c1"


def test_while_something_is_on_its_way_nothing_is_told() -> None:
    world = World(
        source(declared="c1"), record(a_claim()), record(a_claim("b"), problem="shop/web.yaml:1: no")
    )

    assert not reconcile(world.view, SHOP, NOW)


def test_a_live_commit_is_told_once() -> None:
    world = World(source(declared="c2", live="c2"), record(a_claim(), applied="c1"))

    assert not reconcile(world.view, SHOP, NOW)


def test_nothing_is_said_of_a_source_that_declared_nothing_yet() -> None:
    assert not reconcile(World(source(fetched="c1")).view, SHOP, NOW)
    assert not reconcile(World().view, SHOP, NOW)


def woken(world: World, changed: Any) -> list[Key]:
    trigger = next(one for one in SOURCES.triggers if one.group == "declared.gitward.io")
    return list(trigger.keys(world.view, changed))


def test_a_record_wakes_its_source_only_when_it_is_done_or_has_something_to_tell() -> None:
    on_its_way, done = record(a_claim()), record(a_claim(), applied="c1")
    stuck = record(a_claim(), problem="shop/web.yaml:1: no")

    assert woken(World(on_its_way), on_its_way) == []
    assert woken(World(done), done) == [SHOP]
    assert woken(World(stuck), stuck) == [SHOP]


def test_a_record_that_is_gone_wakes_the_source_that_withdrew_it() -> None:
    assert woken(World(), record(a_claim(state="withdrawn"))) == [SHOP]


def test_a_claim_that_is_gone_wakes_the_source_that_withdrew_it() -> None:
    other = a_claim(source="other")

    assert SHOP in woken(World(record(other)), record(a_claim(state="withdrawn"), other))
