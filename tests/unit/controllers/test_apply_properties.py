"""Apply, for all sets of manifests: the order does not matter, a second pass writes nothing, drift of any kind goes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.controllers.apply import reconcile
from gitops.kinds.gitward import live_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import with_meta
from tests.unit.admission.builders import NOW, World, config_map, deployment, pod, service
from tests.unit.controllers.declared import claim, declare, settle

SECRET: Any = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token", "namespace": "shop"},
    "stringData": {"a": "1"},
}
MANIFESTS: list[Any] = [
    config_map(a="1"),
    config_map("more", b="2"),
    SECRET,
    deployment(2, envFrom=[{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "token"}}]),
    service(),
    pod("alone", volumes=[{"name": "v", "configMap": {"name": "more"}}]),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}},
    with_meta(config_map("inside", c="3"), namespace="team"),
]
orders = st.permutations(range(len(MANIFESTS)))


def stated(world: World, order: list[int]) -> list[Key]:
    return [declare(world, claim(MANIFESTS[index])) for index in order]


def all_live(world: World, keys: list[Key]) -> dict[str, Any]:
    """Without what tells of the moment of each write."""
    found = {str(live_key(key)): world.view.object(live_key(key)) for key in keys}
    return {
        name: obj and with_meta(obj, uid=None, resourceVersion=None) for name, obj in sorted(found.items())
    }


@settings(max_examples=40, deadline=None)
@given(declared=orders, applied=orders)
def test_the_order_of_manifests_does_not_matter_and_a_second_pass_writes_nothing(
    declared: list[int], applied: list[int]
) -> None:
    expected = World()
    keys = stated(expected, list(range(len(MANIFESTS))))
    settle(expected, *keys)
    world = World()
    by_index = dict(zip(declared, stated(world, declared), strict=True))

    settle(world, *(by_index[index] for index in applied))

    assert all_live(world, keys) == all_live(expected, keys)
    assert None not in all_live(world, keys).values()
    assert not any(reconcile(world.view, key, NOW) for key in keys)


fields = st.sampled_from(["data", "labels", "annotations"])
texts = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=3)


@settings(max_examples=60, deadline=None)
@given(data=texts, labels=texts, drifts=st.lists(st.tuples(fields, texts), max_size=4))
def test_whatever_someone_writes_what_git_states_is_live_after_one_more_round(
    data: dict[str, str], labels: dict[str, str], drifts: list[tuple[str, dict[str, str]]]
) -> None:
    world = World()
    manifest = with_meta(config_map(**data), labels=labels)
    key = declare(world, claim(manifest))
    settle(world, key)
    for field, value in drifts:
        live: Any = world.view.object(live_key(key))
        drifted = {**live, "data": value} if field == "data" else with_meta(live, **{field: value})
        world.put(drifted)

        assert settle(world, key) <= 1

        back: Any = world.view.object(live_key(key))
        assert all(back["data"][name] == text for name, text in data.items())
        assert all(back["metadata"]["labels"][name] == text for name, text in labels.items())
        assert not reconcile(world.view, key, NOW)
