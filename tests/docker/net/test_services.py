"""Pods, services and the outside, with real packets."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.services import ServiceTable
from agent.services.table import Backend, HostPort, ServicePort
from tests.docker.net.traffic import VIP, Node, a_table, from_node


@pytest.fixture
def node(traffic: Node) -> Node:
    return traffic


def test_a_service_is_reached_from_pods_from_the_node_and_by_a_pod_behind_it(node: Node) -> None:
    node.apply(a_table("10.77.3.2"))

    assert node.b.get(f"http://{VIP}/") == "a"
    assert from_node(f"http://{VIP}/") == "a"
    assert [node.a.get(f"http://{VIP}/") for _ in range(5)] == ["a"] * 5  # Hairpin.
    assert node.a.get("http://10.77.3.3:8080/") == "b"
    assert from_node("http://10.77.3.3:8080/") == "b"


def test_both_endpoints_answer_and_a_changed_table_takes_one_out(node: Node) -> None:
    node.apply(a_table("10.77.3.2", "10.77.3.3"))
    assert {from_node(f"http://{VIP}/") for _ in range(40)} == {"a", "b"}

    node.apply(a_table("10.77.3.3"))

    assert {from_node(f"http://{VIP}/") for _ in range(20)} == {"b"}


def test_session_affinity_keeps_a_caller_at_its_endpoint(node: Node) -> None:
    node.apply(a_table("10.77.3.2", "10.77.3.3", affinity=600))

    assert len({node.b.get(f"http://{VIP}/") for _ in range(15)}) == 1


def test_an_address_that_nobody_serves_is_refused_at_once(node: Node) -> None:
    node.apply(a_table())

    for ask in (from_node, node.a.get):
        begin = asyncio.new_event_loop().time()
        assert ask(f"http://{VIP}/") == ""
        assert ask("http://10.78.9.9/") == ""
        assert asyncio.new_event_loop().time() - begin < 1


def test_forwarding_works_though_the_engine_drops_it(node: Node) -> None:
    node.iptables("-P", "FORWARD", "DROP")
    node.iptables("-P", "INPUT", "DROP")

    node.apply(a_table("10.77.3.2"))

    assert node.b.get(f"http://{VIP}/") == "a"
    assert node.b.get("http://10.77.3.2:8080/") == "a"
    assert from_node(f"http://{VIP}/") == "a"


def test_nothing_is_reached_from_outside_but_what_leaves_is_masqueraded(
    node: Node, outside: Any, serve: Any
) -> None:
    node.apply(a_table("10.77.3.2"))
    serve(outside, 9000, "outside")

    assert outside.get("http://10.77.3.2:8080/") == ""
    assert outside.get(f"http://{VIP}/") == ""
    assert node.a.get("http://192.168.50.2:9000/") == "outside"


def test_a_port_of_the_node_leads_to_its_pod_from_everywhere_and_opens_nothing_else(
    node: Node, outside: Any
) -> None:
    published = HostPort("tcp", "", 8088, Backend("10.77.3.2", 8080))
    node.apply(replace(a_table("10.77.3.2"), host_ports=(published,)))

    assert outside.get("http://192.168.50.1:8088/") == "a"
    assert node.a.get("http://192.168.50.1:8088/") == "a"
    assert node.b.get("http://192.168.50.1:8088/") == "a"
    assert from_node("http://192.168.50.1:8088/") == "a"
    assert outside.get("http://10.77.3.2:8080/") == ""
    assert outside.get(f"http://{VIP}/") == ""
    assert asyncio.run(node.driver.check()) is True

    node.apply(a_table("10.77.3.2"))
    assert outside.get("http://192.168.50.1:8088/") == ""


def test_a_pod_cannot_send_from_anothers_address(node: Node) -> None:
    node.apply(a_table("10.77.3.2"))
    node.b.run("ip", "addr", "add", "10.77.3.77/32", "dev", "eth0")
    node.b.run("ip", "route", "replace", "default", "via", "10.77.3.1", "dev", "eth0", "src", "10.77.3.77")

    assert node.b.get("http://10.77.3.2:8080/") == ""


def test_flushed_rules_are_put_back(node: Node) -> None:
    node.apply(a_table("10.77.3.2"))
    assert asyncio.run(node.driver.check())
    node.flush()
    assert node.b.get(f"http://{VIP}/") == ""

    assert not asyncio.run(node.driver.check())

    assert node.b.get(f"http://{VIP}/") == "a"
    assert asyncio.run(node.driver.check())


def test_rules_flushed_before_a_change_are_written_whole(node: Node) -> None:
    node.apply(a_table("10.77.3.2"))
    node.flush()

    node.apply(a_table("10.77.3.3"))
    asyncio.run(node.driver.check())

    assert node.a.get(f"http://{VIP}/") == "b"


def test_an_open_connection_is_counted_until_it_ends(
    node: Node, start: Any, wait: Callable[[Callable[[], bool]], None], tmp_path: Path
) -> None:
    node.apply(a_table("10.77.3.2"))
    assert asyncio.run(node.driver.open_flows("10.77.3.2")) == 0

    caller = start("nsenter", "-n", "-t", str(node.b.pid), "sh", "-c", f"sleep 30 | busybox nc {VIP} 80")
    wait(lambda: asyncio.run(node.driver.open_flows("10.77.3.2")) == 1)
    subprocess.run(("pkill", "-P", str(caller.pid)), check=False)
    wait(lambda: asyncio.run(node.driver.open_flows("10.77.3.2")) == 0)


ANSWER_BY_UDP = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
while True:
    _, client = server.recvfrom(99)
    server.sendto(sys.argv[1].encode(), client)
"""
ASK_BY_UDP = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
client.bind(("", 5555))
client.sendto(b"?", (sys.argv[1], 53))
print(client.recv(99).decode())
"""


def test_a_udp_flow_leaves_an_endpoint_that_is_gone(
    node: Node, start: Any, wait: Callable[..., None]
) -> None:
    def table(*addresses: str) -> ServiceTable:
        backends = tuple(Backend(address, 53) for address in addresses)
        return ServiceTable((ServicePort("shop/dns", "udp", VIP, 53, backends),))

    for pod, name in ((node.a, "a"), (node.b, "b")):
        start("nsenter", "-n", "-t", str(pod.pid), sys.executable, "-c", ANSWER_BY_UDP, name)
        wait(lambda pod=pod: ":0035 " in Path(f"/proc/{pod.pid}/net/udp").read_text())
    node.apply(table("10.77.3.2"))
    assert node.b.run(sys.executable, "-c", ASK_BY_UDP, VIP) == "a"

    node.apply(table("10.77.3.3"))

    assert node.b.run(sys.executable, "-c", ASK_BY_UDP, VIP) == "b"
