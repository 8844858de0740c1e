"""Drift names who it was, what cannot change says what a recreate means, and what is never pruned stays and says so."""

from typing import Any

import pytest

from gitops.controllers.apply import reconcile
from gitops.controllers.sources import reconcile as tell_source
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of, owner_reference, with_meta
from tests.unit.admission.builders import NOW, World, config_map, deployment, namespace, pod
from tests.unit.controllers.declared import claim, declare, live, settle, status_of

NEVER = {"gitward.io/prune": "disabled"}
REPLACE = {"gitward.io/replace": "allowed"}


def annotated(obj: Any, annotations: dict[str, str]) -> Any:
    return with_meta(obj, annotations=annotations)


def other_selector(annotations: dict[str, str] | None = None) -> Any:
    changed = deployment(1)
    labels = {"app": "web", "tier": "front"}
    changed["spec"]["selector"] = {"matchLabels": labels}
    changed["spec"]["template"]["metadata"]["labels"] = labels
    return annotated(changed, annotations) if annotations else changed


def test_drift_is_put_back_with_an_event_that_names_who_and_what() -> None:
    world = World()
    key = declare(world, claim(deployment(3), line=4))
    settle(world, key)
    found = live(world, key)
    world.update(DEPLOYMENT, {**found, "spec": {**found["spec"], "replicas": 9}}, manager="autoscaler")

    writes = reconcile(world.view, key, NOW)

    (event,) = writes.events
    assert (event.type, event.reason) == ("Warning", "DriftCorrected")
    assert event.message == (
        "put back .spec.replicas (changed by autoscaler): shop/web.yaml:4 of source shop states otherwise"
    )
    world.carry_out(writes)
    assert "autoscaler" not in str(live(world, key)["metadata"]["managedFields"])


def test_a_removed_field_is_drift_too() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1", b="2")))
    settle(world, key)
    world.update(CONFIG_MAP, {**live(world, key), "data": {"a": "1"}}, manager="a bug")

    (event,) = reconcile(world.view, key, NOW).events

    assert "put back .data.b (changed by a bug)" in event.message


def test_drift_past_the_api_names_nobody() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1")))
    settle(world, key)
    world.put({**live(world, key), "data": {"a": "2"}})

    (event,) = reconcile(world.view, key, NOW).events

    assert "put back .data.a (changed by an unknown writer)" in event.message


def test_a_new_commit_is_no_drift() -> None:
    world = World()
    key = declare(world, claim(deployment(3)))
    settle(world, key)
    declare(world, claim(deployment(5), commit="c2"))

    assert reconcile(world.view, key, NOW).events == ()


def test_what_cannot_change_says_what_a_recreate_would_delete() -> None:
    world = World()
    key = declare(world, claim(deployment(1), line=14))
    settle(world, key)
    parent = live(world, key)
    replica_set = world.put(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "web-1",
                "namespace": "shop",
                "uid": "rs",
                "ownerReferences": [owner_reference(parent)],
            },
        }
    )
    for name in "abcd":
        world.put(with_meta(pod(name), uid=name, ownerReferences=[owner_reference(replica_set)]))

    declare(world, claim(other_selector(), commit="c2", line=14))
    settle(world, key)

    told = status_of(world, key)["problem"]
    assert told.startswith("shop/web.yaml:14: Deployment.apps shop/web: spec.selector: ")
    assert told.endswith(
        "field is immutable; recreating it would delete the Deployment, 1 ReplicaSet (web-1) and 4 Pods (a, b, c, …): "
        "annotation gitward.io/replace: allowed lets that happen"
    )


def test_what_cannot_change_is_replaced_where_its_manifest_allows_it() -> None:
    world = World()
    key = declare(world, claim(annotated(deployment(1), REPLACE)))
    settle(world, key)
    before = live(world, key)

    declare(world, claim(other_selector(REPLACE), commit="c2"))
    (event,) = reconcile(world.view, key, NOW).events
    settle(world, key)

    after = live(world, key)
    assert event.reason == "Replaced"
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["selector"] == {"matchLabels": {"app": "web", "tier": "front"}}
    assert status_of(world, key) == {"applied": "c2"}


def test_what_is_never_pruned_is_not_replaced_either() -> None:
    world = World()
    key = declare(world, claim(annotated(deployment(1), {**REPLACE, **NEVER})))
    settle(world, key)
    before = live(world, key)["metadata"]["uid"]

    declare(world, claim(other_selector({**REPLACE, **NEVER}), commit="c2"))
    settle(world, key)

    assert live(world, key)["metadata"]["uid"] == before


def test_an_object_that_is_never_pruned_stays_and_its_source_says_so_and_is_live() -> None:
    world = World()
    stated = annotated(config_map(a="1"), NEVER)
    source = world.put(
        {
            "apiVersion": GIT_SOURCE.api_version,
            "kind": "GitSource",
            "metadata": {"name": "shop"},
            "spec": {"url": "https://example.org"},
            "status": {"commit": {"declared": "c2"}},
        }
    )
    key = declare(world, claim(stated, line=3))
    settle(world, key)

    declare(world, claim(stated, state="withdrawn", line=3))
    settle(world, key)

    line = (
        "shop/web.yaml:3: ConfigMap shop/settings: git does not declare it any more, and it stays: "
        "annotation gitward.io/prune: disabled"
    )
    assert live(world, key)["data"] == {"a": "1"}
    assert status_of(world, key)["kept"] == line
    told: Any = tell_source(world.view, key_of(source), NOW).status
    assert told["status"]["kept"] == [line]
    assert told["status"]["commit"]["live"] == "c2"


def test_once_the_annotation_goes_the_object_goes() -> None:
    world = World()
    stated = annotated(config_map(a="1"), NEVER)
    key = declare(world, claim(stated))
    settle(world, key)
    declare(world, claim(stated, state="withdrawn"))
    settle(world, key)

    world.put(with_meta(live(world, key), annotations=None))
    settle(world, key)

    assert live(world, key) is None
    assert world.view.object(key) is None


def test_a_kept_object_that_someone_deletes_is_forgotten_and_one_that_is_declared_again_is_adopted() -> None:
    world = World()
    stated = annotated(config_map(a="1"), NEVER)
    key = declare(world, claim(stated))
    settle(world, key)
    declare(world, claim(stated, state="withdrawn"))
    settle(world, key)

    declare(world, claim(annotated(config_map(a="2"), NEVER), commit="c3"))
    settle(world, key)
    assert live(world, key)["data"] == {"a": "2"}
    assert status_of(world, key) == {"applied": "c3"}
    declare(world, claim(stated, state="withdrawn"))
    settle(world, key)
    world.remove(Key("", "ConfigMap", "shop", "settings"))
    settle(world, key)
    assert world.view.object(key) is None


@pytest.mark.parametrize("what", ["config map", "namespace"])
def test_git_prunes_nothing_of_a_namespace_of_the_api(what: str) -> None:
    world = World(namespace("team", labels={"gitward.io/managed-by": "api"}))
    stated: Any = (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
        if what == "namespace"
        else with_meta(config_map(a="1"), namespace="team")
    )
    key = declare(world, claim(stated))
    settle(world, key)

    declare(world, claim(stated, state="withdrawn"))
    settle(world, key)

    assert not live(world, key)["metadata"].get("deletionTimestamp")
    assert status_of(world, key)["kept"].endswith("label gitward.io/managed-by: api of namespace team")


def test_a_namespace_that_holds_what_is_never_pruned_stays() -> None:
    world = World()
    space: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    key = declare(world, claim(space))
    settle(world, key)
    world.create(CONFIG_MAP, annotated(with_meta(config_map(a="1"), namespace="team"), NEVER))

    declare(world, claim(space, state="withdrawn"))
    settle(world, key)

    assert "deletionTimestamp" not in world.read(NAMESPACE, "", "team")["metadata"]
    assert "ConfigMap team/settings in it" in status_of(world, key)["kept"]
