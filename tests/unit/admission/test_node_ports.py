"""Ways into a service from outside: ports given once, kept, never shared; addresses that are the operator's to give."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from gitops.admission import Settings, admit_create
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import Invalid, Unavailable
from tests.unit.admission.builders import NOW, World, service

RANGE = IPv4Network("10.78.0.0/16")
LENT = Settings(RANGE, external_ips=(IPv4Network("203.0.113.0/24"), IPv4Network("10.78.9.0/24")))
HTTP = [{"port": 80}]


def create(world: World, obj: Any, settings: Settings = LENT) -> Any:
    admitted: Any = admit_create(
        world.view, SERVICE, obj, now=NOW, mint=world.mint, manager=None, settings=settings
    )
    return world.put(admitted)


def test_a_node_port_is_given_and_given_back_to_a_service_made_anew() -> None:
    first: Any = World().create(SERVICE, service(type="NodePort"))
    again: Any = World().create(SERVICE, service(type="NodePort"))

    assert 30_000 <= first["spec"]["ports"][0]["nodePort"] <= 32_767
    assert first["spec"]["ports"] == again["spec"]["ports"]
    assert first["spec"]["externalTrafficPolicy"] == "Cluster"


def test_a_chosen_node_port_is_kept_and_lent_to_nobody_else() -> None:
    world = World()
    chosen = [{"port": 80, "nodePort": 30_080}]
    world.create(SERVICE, service("one", type="NodePort", ports=chosen))

    with pytest.raises(Invalid, match=r"spec.ports\[0\].nodePort: .*provided port is already allocated"):
        world.create(SERVICE, service("two", type="NodePort", ports=chosen))
    with pytest.raises(Invalid, match="The range of valid ports is 30000-32767"):
        world.create(SERVICE, service("two", type="NodePort", ports=[{"port": 80, "nodePort": 8080}]))


def test_tcp_and_udp_of_one_service_may_share_a_number() -> None:
    both = [
        {"name": name, "port": 53, "protocol": name.upper(), "nodePort": 30_053} for name in ("tcp", "udp")
    ]

    created: Any = World().create(SERVICE, service(type="NodePort", ports=both))

    assert [port["nodePort"] for port in created["spec"]["ports"]] == [30_053, 30_053]


def test_a_small_range_is_used_up_without_doubles() -> None:
    world, settings = World(), Settings(RANGE, node_ports=(30_000, 30_002))
    given = [
        create(world, service(name, type="NodePort"), settings)["spec"]["ports"][0]["nodePort"]
        for name in ("a", "b", "c")
    ]

    assert sorted(given) == [30_000, 30_001, 30_002]
    with pytest.raises(Unavailable, match="--node-port-range"):
        create(world, service("d", type="NodePort"), settings)


def test_an_update_that_leaves_node_ports_out_keeps_them_and_a_change_of_type_gives_them_back() -> None:
    world = World()
    stored: Any = world.create(SERVICE, service(type="LoadBalancer", externalTrafficPolicy="Local"))
    number = stored["spec"]["ports"][0]["nodePort"]
    assert stored["spec"]["healthCheckNodePort"] not in (0, number)

    kept: Any = world.update(SERVICE, service(type="LoadBalancer", externalTrafficPolicy="Local"))
    back: Any = world.update(SERVICE, {**kept, "spec": {**kept["spec"], "type": "ClusterIP"}})

    assert kept["spec"]["ports"][0]["nodePort"] == number
    assert kept["spec"]["healthCheckNodePort"] == stored["spec"]["healthCheckNodePort"]
    assert "nodePort" not in back["spec"]["ports"][0]
    gone = {"externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"}
    assert not gone & set(back["spec"])


def test_a_balancer_may_do_without_node_ports() -> None:
    created: Any = World().create(SERVICE, service(type="LoadBalancer", allocateLoadBalancerNodePorts=False))

    assert "nodePort" not in created["spec"]["ports"][0]


def test_external_addresses_are_off_by_default() -> None:
    for address in ("8.8.8.8", "203.0.113.7"):
        with pytest.raises(Invalid, match=r"spec.externalIPs\[0\]: Forbidden: .*--allow-external-ips"):
            World().create(SERVICE, service(externalIPs=[address]))


NODE: Any = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1"},
    "spec": {},
    "status": {"addresses": [{"type": "InternalIP", "address": "203.0.113.9"}]},
}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("8.8.8.8", "Forbidden: 8.8.8.8: a Service that claims an address takes what others send to it"),
        ("203.0.113.9", "Forbidden: 203.0.113.9 is an address of node n1"),
        ("10.78.9.1", "Forbidden: 10.78.9.1 is in the range of the Services"),
        ("127.0.0.1", "may not be in the loopback range"),
        ("169.254.169.254", "may not be in the link-local range"),
        ("224.0.0.1", "may not be in the multicast range"),
        ("0.0.0.0", "may not be unspecified"),
        ("2001:db8::1", "no IPv4 address"),
        ("no", "must be a valid IP address"),
    ],
)
def test_an_address_that_is_not_the_operators_to_give_is_refused(address: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        create(World(NODE), service(externalIPs=[address]))

    assert why in str(refused.value)


def test_an_address_of_an_allowed_range_is_taken() -> None:
    created = create(World(NODE), service(externalIPs=["203.0.113.7"]))

    assert created["spec"]["externalIPs"] == ["203.0.113.7"]


def test_a_service_that_has_its_address_from_before_can_still_be_changed_but_gets_no_other() -> None:
    world = World()
    stored = create(world, service(externalIPs=["203.0.113.7"]))

    changed: Any = world.update(SERVICE, {**stored, "spec": {**stored["spec"], "selector": {"app": "b"}}})

    assert changed["spec"]["externalIPs"] == ["203.0.113.7"]
    with pytest.raises(Invalid, match="--allow-external-ips"):
        world.update(SERVICE, {**stored, "spec": {**stored["spec"], "externalIPs": ["203.0.113.8"]}})


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"ports": [{"port": 80, "nodePort": 30_080}]}, "may not be used when `type` is 'ClusterIP'"),
        ({"externalTrafficPolicy": "Local"}, "may only be set for externally-accessible services"),
        ({"type": "NodePort", "externalTrafficPolicy": "Near"}, "supported values"),
        ({"internalTrafficPolicy": "Near"}, "supported values"),
        (
            {"type": "NodePort", "healthCheckNodePort": 30_081},
            "may only be set when `type` is 'LoadBalancer'",
        ),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, "may only be used when `type` is 'LoadBalancer'"),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]}, "must be a valid CIDR value"),
    ],
)
def test_what_kubernetes_refuses(spec: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid) as refused:
        World().create(SERVICE, service(**spec))

    assert why in str(refused.value)
