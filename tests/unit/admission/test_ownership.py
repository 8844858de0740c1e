"""What git states is refused to people with the place to change it; what it leaves out is theirs."""

from typing import Any

import pytest

from gitops.admission import refuse_create, refuse_delete, refuse_update
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.errors import Forbidden
from gitops.kinds.objects import owner_reference, with_meta
from tests.unit.admission.builders import World, config_map, deployment, namespace
from tests.unit.controllers.declared import claim, declare

Json = Any
STATED = deployment(3, env=[{"name": "A", "value": "1"}], ports=[{"containerPort": 80}])


def changed(obj: Json, path: str, value: Json) -> Json:
    """A copy with one field set; None removes it."""
    head, _, rest = path.partition(".")
    key: str | int = int(head) if head.isdigit() else head
    copy: Json = list(obj) if isinstance(obj, list) else dict(obj)
    if rest:
        copy[key] = changed(copy[key], rest, value)
    elif value is None:
        del copy[key]
    else:
        copy[key] = value
    return copy


C = "spec.template.spec.containers"
REFUSED: dict[str, tuple[str, Json, str]] = {
    "a number": ("spec.replicas", 5, ".spec.replicas"),
    "its removal": ("spec.replicas", None, ".spec.replicas"),
    "a container's image": (f"{C}.0.image", "x", '.spec.template.spec.containers[name="web"].image'),
    "a variable": (f"{C}.0.env.0.value", "2", 'containers[name="web"].env[name="A"].value'),
    "a variable's removal": (f"{C}.0.env", [], 'containers[name="web"].env[name="A"]'),
    "a label": ("metadata.labels", {"app": "x"}, ".metadata.labels.app"),
}


@pytest.mark.parametrize(("path", "value", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_a_stated_field_is_refused(path: str, value: Json, field: str) -> None:
    world = World()
    old = world.create(DEPLOYMENT, STATED)
    declare(world, claim(STATED, line=12))

    with pytest.raises(Forbidden) as refused:
        refuse_update(world.view, DEPLOYMENT, old, changed(old, path, value))

    assert field in str(refused.value)
    assert "source shop declares it at shop/web.yaml:12: change it there" in str(refused.value)


ALLOWED: dict[str, tuple[str, Json]] = {
    "a field that is left out": ("spec.minReadySeconds", 5),
    "another label": ("metadata.labels", {"app": "web", "team": "a"}),
    "annotations": ("metadata.annotations", {"a": "b"}),
    "another container": (
        C,
        [STATED["spec"]["template"]["spec"]["containers"][0], {"name": "side", "image": "x"}],
    ),
    "another variable": (f"{C}.0.env", [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
    "the status": ("status", {"replicas": 7}),
}


@pytest.mark.parametrize(("path", "value"), ALLOWED.values(), ids=ALLOWED.keys())
def test_what_git_leaves_out_is_anyones(path: str, value: Json) -> None:
    world = World()
    old = world.create(DEPLOYMENT, STATED)
    declare(world, claim(STATED))

    refuse_update(world.view, DEPLOYMENT, old, changed(old, path, value))


def test_an_empty_map_states_only_that_it_is_there() -> None:
    world = World()
    stated = config_map()
    old = world.create(CONFIG_MAP, stated)
    declare(world, claim(stated))

    refuse_update(world.view, CONFIG_MAP, old, changed(old, "data", {"a": "1"}))
    with pytest.raises(Forbidden):
        refuse_update(world.view, CONFIG_MAP, old, changed(old, "data", None))


def test_a_secret_is_compared_however_its_manifest_writes_it() -> None:
    world = World()
    meta = {"name": "token", "namespace": "shop"}
    stated: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "canary"}}
    old = world.create(SECRET, stated)
    declare(world, claim(stated))

    refuse_update(world.view, SECRET, old, with_meta(old, labels={"a": "b"}))
    with pytest.raises(Forbidden) as refused:
        refuse_update(world.view, SECRET, old, changed(old, "data", {"a": "other"}))
    assert ".data.a" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_many_fields_are_counted() -> None:
    world = World()
    stated = config_map(**{f"k{number}": "1" for number in range(9)})
    old = world.create(CONFIG_MAP, stated)
    declare(world, claim(stated))

    with pytest.raises(Forbidden, match=r"\.data\.k0, .*\.data\.k4 and 4 more: source shop"):
        refuse_update(world.view, CONFIG_MAP, old, changed(old, "data", {"x": "1"}))


@pytest.mark.parametrize(("state", "message"), [
    ("declared", "change it there"),
    ("held", "its deletion is held: a commit with the trailer Gitward-Allow-Prune lets it go"),
])  # fmt: skip
def test_what_is_declared_or_held_is_not_deleted(state: str, message: str) -> None:
    world = World()
    old = world.create(CONFIG_MAP, config_map(a="1"))
    declare(world, claim(config_map(a="1"), state=state))

    with pytest.raises(Forbidden, match=message):
        refuse_delete(world.view, CONFIG_MAP, old)


@pytest.mark.parametrize("state", ["withdrawn", "held"])
def test_what_git_has_let_go_is_changed_by_anyone(state: str) -> None:
    world = World()
    old = world.create(CONFIG_MAP, config_map(a="1"))
    declare(world, claim(config_map(a="1"), state=state))

    refuse_update(world.view, CONFIG_MAP, old, changed(old, "data", {"a": "2"}))


def test_the_first_claim_that_counts_is_named() -> None:
    world = World()
    old = world.create(CONFIG_MAP, config_map(a="1"))
    declare(
        world,
        claim(config_map(a="1"), state="withdrawn"),
        claim(config_map(a="1"), source="other", line=3),
    )

    with pytest.raises(Forbidden, match=r"source other declares it at other/web\.yaml:3"):
        refuse_delete(world.view, CONFIG_MAP, old)


def test_a_namespace_that_takes_only_git() -> None:
    world = World(namespace("team", labels={"gitward.io/managed-by": "git"}))
    old = world.create(CONFIG_MAP, with_meta(config_map(a="1"), namespace="team"))
    made = with_meta(old, ownerReferences=[owner_reference(old)])
    match = "namespace team takes only what git declares"

    with pytest.raises(Forbidden, match=match):
        refuse_create(world.view, CONFIG_MAP, old)
    with pytest.raises(Forbidden, match=match):
        refuse_update(world.view, CONFIG_MAP, old, changed(old, "data", {}))
    with pytest.raises(Forbidden, match=match):
        refuse_delete(world.view, CONFIG_MAP, old)
    refuse_delete(world.view, CONFIG_MAP, made)
    refuse_update(world.view, CONFIG_MAP, old, old)
    refuse_update(world.view, CONFIG_MAP, old, changed(old, "data", {}), "status")
