"""Where an Ingress is served stands in its status: at every Ready node that says so."""

from collections.abc import Iterator
from typing import Any, cast

from gitops.controllers.ingress import INGRESS_CONTROLLER
from gitops.kinds.core.node import Node
from gitops.kinds.networking import INGRESS, Ingress
from gitops.kinds.objects import with_meta
from tests.unit.controllers.world import World, a_node


def an_ingress(name: str = "web", **spec: Any) -> Ingress:
    stated = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": "shop", "name": name, "uid": f"ingress-{name}"},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}, **spec},
    }
    return cast(Ingress, stated)


def serving(name: str, address: str, *, ready: str = "True") -> Node:
    node: Node = {**a_node(name), "status": {"conditions": [{"type": "Ready", "status": ready}]}}
    return with_meta(node, annotations={"gitward.io/ingress-address": address} if address else {})


def addresses(world: World, name: str = "web") -> list[str]:
    status = world.read(INGRESS, name).get("status") or {}
    return list(_ips(status.get("loadBalancer") or {}))


def _ips(load_balancer: Any) -> Iterator[str]:
    return (one["ip"] for one in load_balancer.get("ingress", ()))


def test_every_ready_node_that_serves_is_named_once_in_order() -> None:
    world = World(
        an_ingress(),
        *(serving("a", "192.0.2.10"), serving("b", "192.0.2.9"), serving("c", "192.0.2.9")),
        *(serving("d", ""), serving("e", "not an address"), serving("f", "192.0.2.1", ready="Unknown")),
    )

    world.settle(world.runner(INGRESS_CONTROLLER))

    assert addresses(world) == ["192.0.2.9", "192.0.2.10"]


def test_a_node_that_stops_serving_leaves_every_ingress() -> None:
    world = World(an_ingress(), an_ingress("other"), serving("a", "192.0.2.1"), serving("b", "192.0.2.2"))
    runner = world.runner(INGRESS_CONTROLLER)
    world.settle(runner)

    world.put(serving("a", ""))
    world.settle(runner)
    assert (addresses(world), addresses(world, "other")) == (["192.0.2.2"], ["192.0.2.2"])

    world.put(serving("b", "192.0.2.2", ready="False"))
    world.settle(runner)
    assert world.read(INGRESS, "web").get("status") == {"loadBalancer": {}}


def test_a_node_that_reports_the_same_again_costs_no_reconcile() -> None:
    world = World(an_ingress(), serving("a", "192.0.2.1"))
    runner = world.runner(INGRESS_CONTROLLER)
    world.settle(runner)

    world.put(with_meta(serving("a", "192.0.2.1"), labels={"disk": "fast"}))

    assert world.settle(runner) == 0
    assert runner.next_due() > world.clock.monotonic()


def test_another_controllers_ingress_is_left_alone() -> None:
    world = World(an_ingress(ingressClassName="nginx"), serving("a", "192.0.2.1"))

    world.settle(world.runner(INGRESS_CONTROLLER))

    assert addresses(world) == []
