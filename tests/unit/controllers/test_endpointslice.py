"""EndpointSlice: which pods stand behind a Service, under which conditions, in how many slices."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER, reconcile
from gitops.controllers.garbage import GARBAGE_COLLECTOR
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import Pod
from gitops.kinds.core.service import SERVICE, Service
from gitops.kinds.discovery import ENDPOINT_SLICE, Endpoint
from gitops.kinds.objects import key_of, with_meta
from tests.unit.controllers.world import NOW, World, a_node, a_pod, a_service, with_spec


def conditions(*, ready: bool, serving: bool, terminating: bool) -> dict[str, bool]:
    return {"ready": ready, "serving": serving, "terminating": terminating}


def settled(*objects: Any) -> World:
    world = World(*objects)
    world.settle(world.runner(ENDPOINT_SLICE_CONTROLLER))
    return world


def endpoints(world: World) -> list[Endpoint]:
    return [one for slice_ in world.view.list(ENDPOINT_SLICE) for one in slice_["endpoints"]]


class Case(NamedTuple):
    pod: Pod
    expected: dict[str, bool] | None  # None: not listed.
    service: Service = a_service()


SPEC = {
    "a ready pod": Case(a_pod("p"), conditions(ready=True, serving=True, terminating=False)),
    "one that is not ready": Case(
        a_pod("p", ready=False), conditions(ready=False, serving=False, terminating=False)
    ),
    "one that stops and still serves": Case(
        a_pod("p", going=True), conditions(ready=False, serving=True, terminating=True)
    ),
    "one that stops and serves no more": Case(
        a_pod("p", going=True, ready=False), conditions(ready=False, serving=False, terminating=True)
    ),
    "not ready but published all the same": Case(
        a_pod("p", ready=False),
        conditions(ready=True, serving=False, terminating=False),
        a_service(publishNotReadyAddresses=True),
    ),
    "one that has ended": Case(a_pod("p", phase="Failed"), None),
    "one without an address": Case(a_pod("p", ip=""), None),
    "one with other labels": Case(a_pod("p", labels={"app": "db"}), None),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_one_pod(case: Case) -> None:
    world = settled(case.service, case.pod)

    assert [one.get("conditions") for one in endpoints(world)] == ([case.expected] if case.expected else [])


def test_a_slice_says_what_clients_look_for() -> None:
    world = settled(
        a_service(),
        a_node("node-a", labels={"topology.kubernetes.io/zone": "west"}),
        a_pod("p", ip="10.77.0.7"),
    )

    (found,) = world.view.list(ENDPOINT_SLICE)
    meta = found["metadata"]
    assert meta.get("name", "").startswith("web-")
    assert meta.get("labels") == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert [one["kind"] for one in meta.get("ownerReferences", [])] == ["Service"]
    assert found["addressType"] == "IPv4"
    assert found.get("ports") == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert found["endpoints"] == [
        {
            "addresses": ["10.77.0.7"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "p", "uid": "pod-p"},
            "nodeName": "node-a",
            "zone": "west",
        }
    ]


def test_a_node_that_moves_to_another_zone_is_told_at_once() -> None:
    zone = "topology.kubernetes.io/zone"
    world = World(
        a_service(), a_node("node-a", labels={zone: "west"}), a_node("node-b"), a_pod("p", ip="10.77.0.7")
    )
    runner = world.runner(ENDPOINT_SLICE_CONTROLLER)
    world.settle(runner)

    (node, _) = world.view.list(NODE)
    world.put(with_meta(node, labels={zone: "east"}))
    world.settle(runner)
    assert [one.get("zone") for one in endpoints(world)] == ["east"]

    world.remove(NODE.key("", "node-a"))
    world.settle(runner)
    assert [one.get("zone") for one in endpoints(world)] == [None]


def test_a_node_that_stays_where_it_is_wakes_no_service() -> None:
    world = settled(a_service(), a_node("node-a"), a_pod("p", ip="10.77.0.7"))
    (of_nodes,) = (one for one in ENDPOINT_SLICE_CONTROLLER.triggers if one.kind == "Node")

    (node,) = world.view.list(NODE)
    assert list(of_nodes.keys(world.view, node)) == []


def test_a_headless_service_is_marked_and_its_pods_have_names() -> None:
    pod = a_pod("p", hostname="db-0", subdomain="web")
    world = settled(a_service(clusterIP="None"), pod)

    (found,) = world.view.list(ENDPOINT_SLICE)
    assert found["metadata"].get("labels", {})["service.kubernetes.io/headless"] == ""
    assert found["endpoints"][0].get("hostname") == "db-0"


def test_a_named_port_may_differ_from_pod_to_pod() -> None:
    def pod(name: str, port: int) -> Pod:
        ports = [{"name": "web", "containerPort": port}]
        return a_pod(name, containers=[{"name": "c", "image": "i", "ports": ports}])

    world = settled(a_service(target="web"), pod("a", 8080), pod("b", 9090))

    found = {
        (one.get("ports") or [{}])[0].get("port"): [
            (each.get("targetRef") or {}).get("name") for each in one["endpoints"]
        ]
        for one in world.view.list(ENDPOINT_SLICE)
    }
    assert found == {8080: ["a"], 9090: ["b"]}


def test_a_service_without_pods_has_one_empty_slice() -> None:
    world = settled(a_service())

    assert [one["endpoints"] for one in world.view.list(ENDPOINT_SLICE)] == [[]]


def test_a_service_without_a_selector_keeps_what_others_made() -> None:
    service = a_service()
    del service["spec"]["selector"]
    world = World(service)

    assert not reconcile(world.view, key_of(service), NOW)


def test_a_hundred_endpoints_to_a_slice_and_a_change_touches_one() -> None:
    pods = [a_pod(f"p{number:03}", ip=f"10.77.{number // 200}.{number % 200 + 2}") for number in range(250)]
    world = World(a_service(), *pods)
    runner = world.runner(ENDPOINT_SLICE_CONTROLLER)
    world.settle(runner)
    assert sorted(len(one["endpoints"]) for one in world.view.list(ENDPOINT_SLICE)) == [50, 100, 100]

    world.put(a_pod("p123", ready=False, ip="10.77.0.125"))
    decision = runner.step()

    assert decision is not None
    assert len(decision.txn.ops) == 1


def test_a_deleted_slice_comes_back() -> None:
    world = World(a_service(), a_pod("p"))
    runner = world.runner(ENDPOINT_SLICE_CONTROLLER)
    world.settle(runner)

    world.remove(*map(key_of, list(world.view.list(ENDPOINT_SLICE))))
    world.settle(runner)

    assert len(endpoints(world)) == 1


def test_slices_leave_with_their_service() -> None:
    world = World(a_service(), a_pod("p"))
    runner = world.runner(ENDPOINT_SLICE_CONTROLLER, GARBAGE_COLLECTOR)
    world.settle(runner)

    world.remove(SERVICE.key("shop", "web"))
    world.settle(runner)

    assert world.names(ENDPOINT_SLICE) == []


def test_a_new_target_port_replaces_the_slice() -> None:
    world = World(a_service(), a_pod("p"))
    runner = world.runner(ENDPOINT_SLICE_CONTROLLER)
    world.settle(runner)

    ports = [{"name": "http", "port": 80, "targetPort": 9000, "protocol": "TCP"}]
    world.put(with_spec(world.read(SERVICE, "web"), ports=ports))
    world.settle(runner)

    assert [one.get("ports") for one in world.view.list(ENDPOINT_SLICE)] == [
        [{"name": "http", "port": 9000, "protocol": "TCP"}]
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["ready", "waiting", "going", "gone"])), max_size=25
    )
)
def test_slices_always_end_as_the_pods_are(changes: list[tuple[int, str]]) -> None:
    """Whatever came and went: every address once, with its conditions; nothing left to do."""
    world = World(a_service())
    runner = world.runner(ENDPOINT_SLICE_CONTROLLER)
    world.settle(runner)
    for number, state in changes:
        pod = a_pod(f"p{number}", ip=f"10.77.0.{number + 2}", ready=state == "ready", going=state == "going")
        if state == "gone":
            world.remove(key_of(pod))
        else:
            world.put(pod)
        world.settle(runner)

    last = {f"10.77.0.{number + 2}": state for number, state in changes}
    found = {one["addresses"][0]: one.get("conditions", {}) for one in endpoints(world)}
    assert {address: told.get("ready") for address, told in found.items()} == {
        address: state == "ready" for address, state in last.items() if state != "gone"
    }
    assert len(found) == len(endpoints(world))
    assert not reconcile(world.view, SERVICE.key("shop", "web"), NOW)
