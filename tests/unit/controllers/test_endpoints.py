"""Endpoints: what clients that do not know slices see; and slices for Endpoints that people wrote."""

from typing import Any, cast

from gitops.controllers.endpoints import ENDPOINTS_CONTROLLER
from gitops.controllers.endpointslice_mirroring import MIRRORING_CONTROLLER
from gitops.kinds.core.endpoints import ENDPOINTS, Endpoints
from gitops.kinds.core.service import SERVICE
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.objects import annotations_of, labels_of, with_meta
from tests.unit.controllers.world import World, a_pod, a_service


def subsets(world: World) -> Any:
    return world.read(ENDPOINTS, "web").get("subsets")


def ips(addresses: Any) -> list[str]:
    return [one["ip"] for one in addresses or ()]


def custom(**meta: Any) -> Endpoints:
    made = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop", "uid": "endpoints-web", **meta},
        "subsets": [
            {
                "addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}],
                "notReadyAddresses": [{"ip": "192.0.2.3"}],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }
        ],
    }
    return cast(Endpoints, made)


def bare_service() -> Any:
    service: Any = a_service()
    return {**service, "spec": {name: value for name, value in service["spec"].items() if name != "selector"}}


def test_pods_stand_where_they_belong() -> None:
    world = World(
        a_service(),
        a_pod("ready", ip="10.77.0.3"),
        a_pod("also", ip="10.77.0.2"),
        a_pod("waiting", ip="10.77.0.4", ready=False),
        a_pod("stopping", ip="10.77.0.5", going=True),
        a_pod("ended", ip="10.77.0.6", phase="Succeeded"),
        a_pod("new", ip=""),
        a_pod("other", ip="10.77.0.7", labels={"app": "other"}),
    )

    world.settle(world.runner(ENDPOINTS_CONTROLLER))

    (subset,) = subsets(world)
    assert ips(subset["addresses"]) == ["10.77.0.2", "10.77.0.3"]
    assert ips(subset["notReadyAddresses"]) == ["10.77.0.4"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert subset["addresses"][0]["targetRef"] == {
        "kind": "Pod", "namespace": "shop", "name": "also", "uid": "pod-also"}  # fmt: skip
    assert (
        labels_of(world.read(ENDPOINTS, "web"))["endpoints.kubernetes.io/managed-by"] == "endpoint-controller"
    )
    found = annotations_of(world.read(ENDPOINTS, "web"))["endpoints.kubernetes.io/last-change-trigger-time"]
    assert found == "2026-01-02T03:04:05Z"


def test_a_service_without_pods_has_endpoints_without_subsets() -> None:
    world = World(a_service())

    world.settle(world.runner(ENDPOINTS_CONTROLLER))

    assert subsets(world) is None


def test_a_named_port_means_each_pods_own_number() -> None:
    def serving(name: str, ip: str, port: int) -> Any:
        container = {"name": "web", "image": "i", "ports": [{"name": "http", "containerPort": port}]}
        return a_pod(name, ip=ip, containers=[container])

    world = World(a_service(target="http"), serving("a", "10.77.0.2", 8080), serving("b", "10.77.0.3", 9090),
                  a_pod("without", ip="10.77.0.4"))  # fmt: skip

    world.settle(world.runner(ENDPOINTS_CONTROLLER))

    found = [(one["ports"][0]["port"], ips(one["addresses"])) for one in subsets(world)]
    assert found == [(8080, ["10.77.0.2"]), (9090, ["10.77.0.3"])]


def test_a_service_may_want_pods_that_are_not_ready() -> None:
    world = World(a_service(publishNotReadyAddresses=True), a_pod("p", ready=False, going=True))

    world.settle(world.runner(ENDPOINTS_CONTROLLER))

    assert ips(subsets(world)[0]["addresses"]) == ["10.77.0.2"]


def test_more_than_a_thousand_addresses_are_cut_and_it_says_so() -> None:
    pods = [a_pod(f"p{number}", ip=f"10.77.{number >> 8}.{number & 255}") for number in range(1_010)]
    world = World(a_service(), *pods)

    world.settle(world.runner(ENDPOINTS_CONTROLLER))

    assert len(subsets(world)[0]["addresses"]) == 1_000
    found = annotations_of(world.read(ENDPOINTS, "web"))
    assert found["endpoints.kubernetes.io/over-capacity"] == "truncated"


def test_endpoints_go_with_their_service_and_those_of_others_stay() -> None:
    world = World(a_service(), a_pod("p"))
    runner = world.runner(ENDPOINTS_CONTROLLER)
    world.settle(runner)
    world.remove(SERVICE.key("shop", "web"))
    world.settle(runner)
    assert world.names(ENDPOINTS) == []

    world.put(custom(), bare_service())
    world.settle(runner)
    world.remove(SERVICE.key("shop", "web"))
    world.settle(runner)
    assert world.names(ENDPOINTS) == ["web"]


def test_endpoints_that_people_wrote_become_a_slice() -> None:
    world = World(bare_service(), custom(labels={"team": "a"}))
    runner = world.runner(MIRRORING_CONTROLLER, ENDPOINTS_CONTROLLER)

    world.settle(runner)

    (one,) = world.view.list(ENDPOINT_SLICE)
    assert [(each["addresses"], each["conditions"]) for each in one["endpoints"]] == [
        (["192.0.2.1"], {"ready": True}),
        (["192.0.2.2"], {"ready": True}),
        (["192.0.2.3"], {"ready": False}),
    ]
    assert one["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert labels_of(one) == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert world.settle(runner) == 0


def test_a_mirror_follows_and_goes_when_it_is_not_wanted() -> None:
    world = World(bare_service(), custom())
    runner = world.runner(MIRRORING_CONTROLLER)
    world.settle(runner)

    fewer: Any = custom()
    fewer["subsets"][0]["addresses"] = [{"ip": "192.0.2.9"}]
    world.put(fewer)
    world.settle(runner)
    (one,) = world.view.list(ENDPOINT_SLICE)
    assert [each["addresses"] for each in one["endpoints"]] == [["192.0.2.9"], ["192.0.2.3"]]

    world.put(with_meta(fewer, labels={"endpointslice.kubernetes.io/skip-mirror": "true"}))
    world.settle(runner)
    assert world.names(ENDPOINT_SLICE) == []


def test_endpoints_of_a_service_with_a_selector_are_not_mirrored() -> None:
    world = World(a_service(), custom())

    world.settle(world.runner(MIRRORING_CONTROLLER))

    assert world.names(ENDPOINT_SLICE) == []
