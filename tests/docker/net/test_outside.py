"""Ways into services from outside of the cluster, with real packets."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.services.table import Backend, OutsidePort, ServiceTable
from tests.docker.net.traffic import VIP, Node, a_table, from_node

NODE = "192.168.50.1"  # The node as the machine outside knows it, 192.168.50.2.
ADDRESS = "203.0.113.7"  # A service's, by `externalIPs`.
A, B = Backend("10.77.3.2", 8080), Backend("10.77.3.3", 8080)
TELL_CALLER = """
import socket
server = socket.create_server(("", 8090))
while True:
    connection, client = server.accept()
    connection.recv(999)
    connection.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\n{client[0]}".encode())
    connection.close()
"""


@pytest.fixture
def node(traffic: Node) -> Node:
    return traffic


def a_way(*backends: Backend, address: str = "", port: int = 30_080, **more: Any) -> OutsidePort:
    more = {"inside": backends, **more}
    return OutsidePort("shop/web", "tcp", address, port, backends, **more)


def with_ways(*ways: OutsidePort) -> ServiceTable:
    return replace(a_table("10.77.3.2"), outside=ways)


def tells_caller(node: Node, start: Any, wait: Any) -> Backend:
    """A server in pod `a` that answers with the address it was called from."""
    start("nsenter", "-n", "-t", str(node.a.pid), sys.executable, "-c", TELL_CALLER)
    wait(lambda: ":1F9A 00000000:0000 0A" in Path(f"/proc/{node.a.pid}/net/tcp").read_text())
    return Backend("10.77.3.2", 8090)


def test_a_node_port_is_reached_from_everywhere_and_opens_nothing_else(node: Node, outside: Any) -> None:
    node.iptables("-P", "FORWARD", "DROP")
    node.apply(with_ways(a_way(A, B)))

    assert {outside.get(f"http://{NODE}:30080/") for _ in range(20)} == {"a", "b"}
    assert {node.a.get(f"http://{NODE}:30080/") for _ in range(20)} == {"a", "b"}  # Hairpin too.
    assert {from_node(f"http://{NODE}:30080/") for _ in range(20)} == {"a", "b"}
    assert outside.get("http://10.77.3.2:8080/") == ""
    assert outside.get(f"http://{VIP}/") == ""
    assert outside.get("http://10.78.0.10:30080/") == ""
    assert asyncio.run(node.driver.check()) is True

    node.apply(with_ways())
    assert outside.get(f"http://{NODE}:30080/") == ""


def test_an_external_address_is_served_without_being_the_nodes(node: Node, outside: Any) -> None:
    outside.run("ip", "route", "add", f"{ADDRESS}/32", "via", NODE)
    node.apply(with_ways(a_way(A, address=ADDRESS, port=80)))

    assert outside.get(f"http://{ADDRESS}/") == "a"
    assert node.b.get(f"http://{ADDRESS}/") == "a"
    assert from_node(f"http://{ADDRESS}/") == "a"
    assert outside.get(f"http://{ADDRESS}:8080/") == ""


def test_the_caller_is_replaced_unless_the_service_wants_to_see_it(
    node: Node, outside: Any, start: Any, wait: Callable[[Callable[[], bool]], None]
) -> None:
    teller = tells_caller(node, start, wait)
    node.apply(with_ways(a_way(teller), a_way(teller, port=30_081, keeps_caller=True)))

    assert outside.get(f"http://{NODE}:30080/") == "10.77.3.1"
    assert outside.get(f"http://{NODE}:30081/") == "192.168.50.2"
    assert node.b.get(f"http://{NODE}:30080/") == "10.77.3.3"


def test_a_local_policy_sends_outside_callers_to_this_nodes_pods_and_the_others_to_all(
    node: Node, outside: Any
) -> None:
    node.apply(with_ways(a_way(A, inside=(A, B), keeps_caller=True)))

    assert {outside.get(f"http://{NODE}:30080/") for _ in range(15)} == {"a"}
    assert {node.b.get(f"http://{NODE}:30080/") for _ in range(20)} == {"a", "b"}
    assert {from_node(f"http://{NODE}:30080/") for _ in range(20)} == {"a", "b"}


def test_where_nobody_stands_behind_a_port_the_answer_is_no_and_where_others_do_there_is_none(
    node: Node, outside: Any, start: Any, wait: Callable[[Callable[[], bool]], None]
) -> None:
    """Even if a program of the node listens there."""
    start("busybox", "httpd", "-f", "-p", "30080", "-h", "/")
    wait(lambda: ":7580" in Path("/proc/self/net/tcp6").read_text())
    connect = (sys.executable, "-c", f"import socket; socket.create_connection(('{NODE}', 30080), 1)")
    ask = ("nsenter", "-n", "-t", str(outside.pid), *connect)

    node.apply(with_ways(a_way()))
    refused = subprocess.run(ask, capture_output=True, text=True, check=False).stderr
    node.apply(with_ways(a_way(inside=(A,), keeps_caller=True)))
    dropped = subprocess.run(ask, capture_output=True, text=True, check=False).stderr

    assert "ConnectionRefusedError" in refused
    assert "TimeoutError" in dropped or "timed out" in dropped


def test_a_balancers_address_is_open_to_the_ranges_that_the_service_names(node: Node, outside: Any) -> None:
    outside.run("ip", "route", "add", f"{ADDRESS}/32", "via", NODE)
    way = a_way(A, address=ADDRESS, port=80, sources=("198.51.100.0/24",))
    node.apply(with_ways(way))
    assert outside.get(f"http://{ADDRESS}/") == ""

    node.apply(with_ways(replace(way, sources=("198.51.100.0/24", "192.168.50.0/24"))))
    assert outside.get(f"http://{ADDRESS}/") == "a"


def test_affinity_holds_at_a_node_port_too(node: Node, outside: Any) -> None:
    node.apply(with_ways(a_way(A, B, affinity_seconds=600)))

    assert len({outside.get(f"http://{NODE}:30080/") for _ in range(15)}) == 1


def test_nothing_reaches_a_pod_that_began_with_whoever_had_its_address(
    node: Node, start: Any, wait: Callable[[Callable[[], bool]], None]
) -> None:
    """Packets in the middle of a connection that this node does not know any more are answered by the node."""
    node.apply(a_table("10.77.3.2"))
    caller = start("nsenter", "-n", "-t", str(node.b.pid), sys.executable, "-c", KEEP_SENDING)
    wait(lambda: asyncio.run(node.driver.open_flows("10.77.3.2")) == 1)
    node.a.run("iptables", "-A", "INPUT", "-p", "tcp", "!", "--syn", "-j", "DROP")
    before = _count(node)

    asyncio.run(node.driver.forget("10.77.3.2"))

    assert caller.wait(10) == 3  # Told at once that its connection is gone.
    assert _count(node) - before <= 1  # What was on its way.


KEEP_SENDING = """
import socket, sys, time
connection = socket.create_connection(("10.77.3.2", 8080))
try:
    for _ in range(200):
        connection.send(b"x")
        time.sleep(0.05)
except OSError:
    sys.exit(3)
"""


def _count(node: Node) -> int:
    """Packets that pod `a` got of connections that had begun earlier."""
    listed = node.a.run("iptables", "-nvxL", "INPUT")
    return int(listed.splitlines()[2].split()[0])
