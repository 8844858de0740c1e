"""When a source's commits reached which stage: noted once, for the present commit only, and for so many at most."""

from typing import Any, Final

from gitops.controllers.timeline import COMMITS_MAX, TIMELINE, reconcile
from gitops.kinds.keys import Key
from tests.unit.admission.builders import NOW, World, config_map
from tests.unit.controllers.declared import claim, record

SHOP: Final = Key("gitward.io", "GitSource", "", "shop")
TIME: Final = "2026-03-01T12:00:00.000000Z"
LOOKED: Final = "2026-01-02T03:04:04.000000Z"
CAME: Final = "2026-01-02T03:04:03.000000Z"


def source(history: list[Any], more: dict[str, Any] | None = None, **commit: str) -> Any:
    return {
        "apiVersion": "gitward.io/v1alpha1",
        "kind": "GitSource",
        "metadata": {"name": "shop"},
        "spec": {"url": "https://example.com/shop.git"},
        "status": {
            "commit": commit,
            "came": CAME,
            "cause": "hook",
            "lastLook": LOOKED,
            "history": history,
            **(more or {}),
        },
    }


def noted(world: World) -> Any:
    """The history after one reconcile; None: nothing is written."""
    told: Any = reconcile(world.view, SHOP, NOW).status
    return told["status"]["history"] if told else None


def test_a_new_commit_is_noted_with_when_it_came_and_why_it_was_seen() -> None:
    old = {"commit": "c1", "fetched": CAME}

    assert noted(World(source([old], fetched="c2"))) == [
        {"commit": "c2", "fetched": CAME, "cause": "hook"},
        old,
    ]


def test_a_commit_that_the_timer_found_has_lost_its_hook_until_that_comes_late() -> None:
    lost = {"commit": "c1", "fetched": CAME, "cause": "timer", "hook": "lost"}
    more = {"cause": "timer", "hookLost": True, "lastHook": "2026-01-01T00:00:00.000000Z"}
    late = {**more, "lastHook": "2026-01-02T03:04:10.000000Z"}

    assert noted(World(source([], more, fetched="c1"))) == [lost]
    assert noted(World(source([lost], more, fetched="c1"))) is None
    assert noted(World(source([lost], late, fetched="c1"))) == [
        {**lost, "hook": "late", "hooked": "2026-01-02T03:04:10.000000Z"}
    ]


def test_the_hook_of_a_commit_is_not_the_late_one_of_the_commit_before() -> None:
    lost = {"commit": "c1", "fetched": CAME, "cause": "timer", "hook": "lost"}
    more = {"cause": "hook", "hookLost": False, "lastHook": "2026-01-02T03:04:10.000000Z"}

    after = noted(World(source([lost], more, fetched="c2")))

    assert [one.get("hook") for one in after] == [None, "lost"]


def test_the_signer_is_noted_with_the_commit_that_was_signed() -> None:
    ann = {"name": "ann@example.com", "key": "SHA256:abc"}

    signed = noted(World(source([], {"signed": {**ann, "commit": "c1"}}, fetched="c1")))
    of_another = noted(World(source([], {"signed": {**ann, "commit": "c0"}}, fetched="c1")))

    assert (signed[0].get("signer"), of_another[0].get("signer")) == (ann, None)


def test_a_commit_that_states_nothing_unready_passes_every_stage() -> None:
    world = World(source([], fetched="c1", declared="c1", live="c1"))

    assert noted(world) == [{"commit": "c1", "fetched": CAME, "cause": "hook", "declared": LOOKED, "live": TIME,
                             "scheduled": TIME, "ready": TIME}]  # fmt: skip


def test_what_was_noted_stays_as_it_is() -> None:
    done = {"commit": "c1", "fetched": "f", "declared": "d", "live": "l", "scheduled": "s", "ready": "r"}

    assert noted(World(source([done], fetched="c1", declared="c1", live="c1"))) is None


def test_the_stages_of_the_last_good_commit_go_on_beneath_one_that_is_held_back() -> None:
    held, good = {"commit": "c2", "fetched": "f2"}, {"commit": "c1", "fetched": "f", "declared": "d"}

    assert noted(World(source([held, good], fetched="c2", declared="c1"))) is None
    after = noted(World(source([held, good], fetched="c2", declared="c1", live="c1")))
    assert [one.get("live") for one in after] == [None, TIME]


def test_what_was_replaced_before_it_was_ready_never_was() -> None:
    new = {"commit": "c2", "fetched": "f2", "declared": "d2"}
    old = {"commit": "c1", "fetched": "f", "declared": "d", "live": "l"}

    assert noted(World(source([new, old], fetched="c2", declared="c2", live="c1"))) is None


def test_a_commit_that_comes_back_is_noted_again() -> None:
    entries = [
        {"commit": "c2", "fetched": "f2", "live": "l2"},
        {"commit": "c1", "fetched": "f1", "live": "l1"},
    ]

    after = noted(World(source(entries, fetched="c1", declared="c1", live="c2")))

    assert [(one["commit"], one.get("declared")) for one in after] == [
        ("c1", LOOKED),
        ("c2", None),
        ("c1", None),
    ]


def test_so_many_are_kept_and_no_more() -> None:
    entries = [{"commit": f"c{number}", "fetched": "f"} for number in range(COMMITS_MAX)]

    after = noted(World(source(entries, fetched="new")))

    assert (len(after), after[0]["commit"], after[-1]["commit"]) == (50, "new", "c48")


def a_deployment(*, updated: int, available: int) -> Any:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "generation": 1},
        "spec": {"replicas": 2, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 1, "replicas": updated, "updatedReplicas": updated, "availableReplicas": available,
        },
    }  # fmt: skip


def test_ready_is_when_all_that_is_stated_is_healthy() -> None:
    entry = {"commit": "c1", "fetched": "f", "declared": "d", "live": "l"}

    def stages(*, updated: int, available: int) -> set[str]:
        web = a_deployment(updated=updated, available=available)
        world = World(
            source([entry], fetched="c1", declared="c1", live="c1"), web, record(claim(web), applied="c1")
        )
        return set((noted(world) or [entry])[0]) - {"commit", "fetched", "declared", "live"}

    assert stages(updated=1, available=0) == set()
    assert stages(updated=2, available=0) == {"scheduled"}
    assert stages(updated=2, available=2) == {"scheduled", "ready"}


def test_a_load_balancer_that_nobody_gives_keeps_no_commit_from_being_ready() -> None:
    entry = {"commit": "c1", "fetched": "f", "declared": "d", "live": "l"}
    door: Any = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "door", "namespace": "shop", "uid": "u1"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    world = World(
        source([entry], fetched="c1", declared="c1", live="c1"), door, record(claim(door), applied="c1")
    )

    assert noted(world)[0]["ready"] == TIME


def test_workloads_wake_only_sources_whose_commit_is_not_ready() -> None:
    trigger = next(one for one in TIMELINE.triggers if one.kind == "Deployment")
    waits = {"commit": "c1", "fetched": "f", "declared": "d", "live": "l"}
    commits: Any = {"fetched": "c1", "declared": "c1", "live": "c1"}
    web = config_map("any")

    assert list(trigger.keys(World(source([waits], **commits)).view, web)) == [SHOP]
    assert list(trigger.keys(World(source([{**waits, "ready": "r"}], **commits)).view, web)) == []
