"""What is wrong on a node and lasts becomes Events, counted and not repeated at every look."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from agent.complaints import Complaints, complaints_of
from agent.ingress import Trouble
from agent.proxies import API_PART
from gitops.kinds.core.node import Node
from gitops.kinds.networking import Ingress
from gitops.kinds.objects import ObjectMeta

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_node(address: str) -> Node:
    meta: ObjectMeta = {"name": "n1", "uid": "node-1", "annotations": {"gitward.io/ingress-address": address}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}}


NODE = a_node("192.0.2.1")
INGRESS: Ingress = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"namespace": "shop", "name": "web", "uid": "ingress-1"},
    "spec": {},
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]}},
}


@dataclass
class Network:
    problems: Mapping[str, str] = field(default_factory=dict)
    ingress_problem: str = ""
    troubles: tuple[Trouble, ...] = ()


def told(complaints: Complaints, network: Network, seconds: float) -> list[str]:
    found = complaints_of(network, NODE, [INGRESS])
    due = complaints.due(found, NOW + timedelta(seconds=seconds))
    return [f"{one.about['kind']} {one.reason}: {one.message}" for one in due]


def test_a_bad_ingress_and_a_failing_part_are_told_of_their_objects() -> None:
    network = Network(
        {"dns": "DNS does not answer"},
        "HAProxy does not start",
        (Trouble(("shop", "web"), "Service shop/web does not exist"), Trouble(("shop", "gone"), "x")),
    )
    complaints = Complaints()

    assert told(complaints, network, 0) == []
    assert told(complaints, network, 5) == [
        "Node DNSFailed: dns: DNS does not answer",
        "Node IngressFailed: ingress: HAProxy does not start",
        "Ingress NotServed: Service shop/web does not exist",
    ]


@pytest.mark.parametrize("part", [API_PART, "a part that is new"])
def test_any_part_that_fails_is_told(part: str) -> None:
    """One without a word of its own ended the agent, at each start anew."""
    complaints = Complaints()

    told(complaints, Network({part: "the port is taken"}), 0)

    assert told(complaints, Network({part: "the port is taken"}), 5) == [
        f"Node NetworkFailed: {part}: the port is taken"
    ]


def test_of_the_nodes_that_serve_an_ingress_the_first_alone_tells_what_is_wrong_with_it() -> None:
    network = Network(troubles=(Trouble(("shop", "web"), "Service shop/web does not exist"),))
    nobody: Ingress = {**INGRESS, "status": {"loadBalancer": {}}}

    assert len(list(complaints_of(network, a_node("192.0.2.1"), [INGRESS]))) == 1
    assert list(complaints_of(network, a_node("192.0.2.2"), [INGRESS])) == []
    assert list(complaints_of(network, a_node("192.0.2.1"), [nobody])) == []


def test_what_passes_within_a_moment_is_never_told() -> None:
    complaints, bad = Complaints(), Network({}, "taken")

    assert told(complaints, bad, 0) == []
    assert told(complaints, Network(), 4) == []
    assert told(complaints, bad, 5) == []
    assert told(complaints, bad, 10) == ["Node IngressFailed: ingress: taken"]


def test_what_lasts_is_told_again_after_minutes_not_at_every_look() -> None:
    complaints, bad = Complaints(), Network({}, "taken")

    times = [second for second in range(1000) if told(complaints, bad, second)]

    assert times == [5, 305, 605, 905]
