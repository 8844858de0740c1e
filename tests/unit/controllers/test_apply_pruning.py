"""What nobody declares any more goes, what is held stays, and the next claim takes over."""

from typing import Any

import pytest

from gitops.controllers.apply import reconcile
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.gitward import DECLARED
from gitops.kinds.keys import Key
from gitops.kinds.objects import with_meta
from tests.unit.admission.builders import NOW, World, config_map, namespace, pod
from tests.unit.controllers.declared import claim, declare, live, settle, status_of


def test_what_is_withdrawn_goes_with_its_record_in_one_transaction() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1")))
    settle(world, key)

    declare(world, claim(config_map(a="1"), state="withdrawn"))

    assert reconcile(world.view, key, NOW).delete == (Key("", "ConfigMap", "shop", "settings"), key)


def test_a_withdrawn_pod_stops_first_and_its_record_goes_when_it_is_gone() -> None:
    world = World()
    key = declare(world, claim(pod()))
    settle(world, key)
    running = live(world, key)
    world.put({**running, "spec": {**running["spec"], "nodeName": "n1"}})

    declare(world, claim(pod(), state="withdrawn"))
    settle(world, key)
    assert live(world, key)["metadata"]["deletionGracePeriodSeconds"] == 30
    assert world.view.object(key) is not None

    world.remove(Key("", "Pod", "shop", "web"))
    settle(world, key)
    assert world.view.object(key) is None


def test_a_withdrawn_object_that_git_never_applied_is_left_alone() -> None:
    world = World()
    world.create(CONFIG_MAP, config_map(a="0"), manager="kubectl")
    key = declare(world, claim(config_map(a="1"), state="withdrawn"))

    settle(world, key)

    assert live(world, key)["data"] == {"a": "0"}
    assert world.view.object(key) is None


def test_a_held_object_stays() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1")))
    settle(world, key)

    declare(world, claim(config_map(a="1"), state="held"))

    assert settle(world, key) == 0
    assert live(world, key) is not None


def test_a_namespace_that_must_stay_is_let_go_by_git() -> None:
    world = World(with_meta(namespace("default"), uid="u"))
    stated: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    key = declare(world, claim(stated))
    settle(world, key)

    declare(world, claim(stated, state="withdrawn"))
    settle(world, key)

    assert world.view.object(key) is None
    assert world.read(NAMESPACE, "", "default")["metadata"].get("deletionTimestamp") is None


def test_the_first_of_two_claims_keeps_the_object_and_the_record_names_both_files() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1")), claim(config_map(a="2"), source="other", line=9))

    settle(world, key)

    assert live(world, key)["data"] == {"a": "1"}
    assert status_of(world, key) == {
        "applied": "c1",
        "waiting": "other/web.yaml:9: ConfigMap shop/settings: "
        "already declared at shop/web.yaml:1 of source shop, which keeps it",
    }


@pytest.mark.parametrize("left", ["withdrawn", "held"])
def test_an_object_is_handed_over_to_the_next_claim(left: Any) -> None:
    world = World()
    second = claim(config_map(a="2"), commit="d1", source="other")
    key = declare(world, claim(config_map(a="1", b="1")), second)
    settle(world, key)
    before = live(world, key)["metadata"]["uid"]

    declare(world, claim(config_map(a="1", b="1"), state=left), second)
    settle(world, key)

    assert live(world, key)["metadata"]["uid"] == before
    assert live(world, key)["data"] == {"a": "2"}
    found = world.view.get(DECLARED, key)
    assert found is not None
    assert [one["source"] for one in found["claims"]] == ["other"]
    assert found.get("status") == {"applied": "d1"}
