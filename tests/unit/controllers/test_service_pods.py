"""Members of Services: followed change by change, they are what selecting the pods of the view gives."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.service_pods import ServicePods, service_pods
from gitops.kinds.core.pod import POD, is_terminal, pod_status
from gitops.kinds.core.service import SERVICE
from gitops.kinds.objects import key_of
from tests.unit.controllers.world import World, a_pod, a_service

LABELS: list[dict[str, str]] = [{}, {"app": "web"}, {"app": "db"}, {"app": "web", "tier": "front"}]

some_steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("pod"),
            st.integers(0, 3),
            st.sampled_from(LABELS),
            st.sampled_from(["", "10.0.0.1"]),
            st.sampled_from(["Running", "Failed"]),
        ),
        st.tuples(st.just("service"), st.integers(0, 2), st.sampled_from(LABELS)),
        st.tuples(st.just("no pod"), st.integers(0, 3)),
        st.tuples(st.just("no service"), st.integers(0, 2)),
        st.tuples(st.just("look")),
    ),
    max_size=20,
)


@given(steps=some_steps)
def test_what_is_followed_is_what_selecting_gives(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for what, *details in steps:
        if what == "pod":
            number, labels, address, phase = details
            world.put(a_pod(f"p{number}", labels=labels, ip=address, phase=phase))
        elif what == "service":
            world.put(a_service(f"s{details[0]}", selector=details[1]))
        elif what == "no pod":
            world.remove(POD.key("shop", f"p{details[0]}"))
        elif what == "no service":
            world.remove(SERVICE.key("shop", f"s{details[0]}"))
        else:
            service_pods(world.view)

    found = service_pods(world.view)
    fresh = ServicePods()
    fresh.follow(world.view)

    for service in world.view.list(SERVICE):
        selector = service["spec"].get("selector") or {}
        selected = world.view.select(POD, "shop", {"matchLabels": selector}) if selector else ()
        wanted = {
            pod["metadata"].get("name")
            for pod in selected
            if pod_status(pod).get("podIP") and not is_terminal(pod)
        }
        assert {one.name for one in found.of(key_of(service))} == wanted
        assert {one.name for one in fresh.of(key_of(service))} == wanted
    for labels in LABELS:
        names = {
            key_of(one)
            for one in world.view.list(SERVICE)
            if (one["spec"].get("selector") or {"": ""}).items() <= labels.items()
        }
        assert set(found.selecting("shop", labels)) == names


def test_a_pod_may_stand_behind_several_services_and_in_one_namespace_alone() -> None:
    world = World(a_service("one"), a_service("two", selector={"app": "web", "tier": "front"}))
    world.put(a_pod("p", labels={"app": "web", "tier": "front"}), a_pod("q"))

    found = service_pods(world.view)

    assert [one.name for one in found.of(SERVICE.key("shop", "one"))] == ["p", "q"]
    assert [one.name for one in found.of(SERVICE.key("shop", "two"))] == ["p"]
    assert found.selecting("elsewhere", {"app": "web"}) == []
