"""Which ways lead to the other nodes' pods."""

from ipaddress import IPv4Network
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.network.peers import AUTO, DIRECT, VXLAN, Peer, Way, endpoint_mac, peers_of, plan
from gitops.kinds.core.node import Node

B = Peer("b", "10.0.0.2", "10.77.2.0/24")
C = Peer("c", "10.1.0.3", "10.77.3.0/24")


def near(address: str) -> bool:
    """On the network 10.0.0.0/24."""
    return address.startswith("10.0.0.")


def a_node(name: str, address: str = "10.0.0.9", cidr: str = "10.77.9.0/24", **meta: object) -> Node:
    addresses = [{"type": "Hostname", "address": name}]
    if address:
        addresses.insert(0, {"type": "InternalIP", "address": address})
    node: Any = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, **meta},
        "spec": {"podCIDR": cidr} if cidr else {},
        "status": {"addresses": addresses},
    }
    return cast(Node, node)


def test_a_peer_on_our_network_is_reached_by_its_address() -> None:
    found = plan([B], AUTO, near)

    assert found.ways == (Way("10.77.2.0/24", "10.0.0.2", overlay=False),)
    assert found.through == ()


def test_a_peer_behind_a_router_is_reached_through_the_overlay() -> None:
    found = plan([B, C], AUTO, near)

    assert found.ways == (
        Way("10.77.2.0/24", "10.0.0.2", overlay=False),
        Way("10.77.3.0/24", "10.77.3.0", overlay=True),
    )
    assert found.through == (C,)


def test_vxlan_is_for_all_peers_where_it_was_chosen() -> None:
    assert plan([B, C], VXLAN, near).through == (B, C)


def test_direct_leaves_a_peer_behind_a_router_without_a_way_and_says_so() -> None:
    found = plan([B, C], DIRECT, near)

    assert [way.cidr for way in found.ways] == ["10.77.2.0/24"]
    assert found.unreachable == (C,)


def test_an_endpoints_hardware_address_is_local_unicast_and_follows_from_the_range() -> None:
    assert endpoint_mac("10.77.2.0/24") == B.mac
    assert B.mac.startswith("0a:")
    assert B.mac != C.mac
    assert B.endpoint == "10.77.2.0"


LEFT_OUT = {
    "our own node": a_node("a"),
    "without a range yet": a_node("b", cidr=""),
    "without an address": a_node("b", address=""),
    "with an address of loopback": a_node("b", address="127.0.0.1"),
    "with nonsense as its range": a_node("b", cidr="10.77.9.0/99"),
    "with nonsense as its address": a_node("b", address="b.example"),
    "with a range that overlaps ours": a_node("b", cidr="10.77.1.0/24"),
    "that is going": a_node("b", deletionTimestamp="2026-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("node", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_no_way_leads_to_a_node(node: Node) -> None:
    assert peers_of([node], "a", "10.77.1.0/24") == ()


def test_of_two_nodes_that_say_the_same_range_the_first_by_name_has_it() -> None:
    nodes = [a_node("c", "10.0.0.3", "10.77.2.0/24"), a_node("b", "10.0.0.2", "10.77.2.0/24")]

    assert peers_of(nodes, "a", "10.77.1.0/24") == (B,)


some_nodes = st.lists(
    st.builds(
        lambda number, third, size: a_node(f"n{number}", f"10.0.0.{number}", f"10.77.{third}.0/{size}"),
        st.integers(1, 250),
        st.integers(0, 9),
        st.sampled_from([24, 25]),
    )
)


@given(nodes=some_nodes, mode=st.sampled_from([AUTO, VXLAN, DIRECT]))
def test_no_two_ways_share_an_address_and_every_peer_has_one_or_is_told(nodes: list[Node], mode: str) -> None:
    peers = peers_of(nodes, "n1", "10.77.0.0/24")
    found = plan(peers, mode, lambda address: int(address.rpartition(".")[2]) % 2 == 0)

    ranges = [IPv4Network(way.cidr) for way in found.ways]
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    assert not any(one.overlaps(IPv4Network("10.77.0.0/24")) for one in ranges)
    assert len(found.ways) + len(found.unreachable) == len(peers)
    assert [way.cidr for way in found.ways if way.overlay] == [peer.pod_cidr for peer in found.through]
