"""K3: what a port scan finds from inside a pod, and what of the node's loopback a pod or a neighbour gets at."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from agent.proxies import NodeNetworkSettings
from tests.docker.net.cluster import VIP, a_state, brought, running
from tests.docker.net.conftest import Host

LOOPBACK_PORT, HOSTS_PORT, INGRESS_PORT = 9_999, 9_998, 8_880
GATEWAY, DNS, UPLINK = "10.77.3.1", "10.78.0.10", "192.168.50.1"
SCAN: Final = """
import socket, sys
for address in sys.argv[1:]:
    for port in range(1, 11_000):
        with socket.socket() as one:
            one.settimeout(2)
            if one.connect_ex((address, port)) == 0:
                print(f"{address}:{port}")
"""
PEEK: Final = """
import socket, sys
with socket.socket() as one:
    one.settimeout(2)
    print(one.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0)
"""


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[None]:
    with socket.create_server((address, port), backlog=100):
        yield


def inside(host: Host, program: str, *arguments: str) -> list[str]:
    command = ("nsenter", "-n", "-t", str(host.pid), sys.executable, "-c", program, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()


def test_a_scan_from_a_pod_finds_dns_ingress_and_what_the_host_itself_shows_to_all(
    node: NodeNetworkSettings, pods: tuple[Any, Any], outside: Any
) -> None:
    told = NodeNetworkSettings(node.network, node.run_dir, f"0.0.0.0:{INGRESS_PORT}", "")

    async def scenario() -> None:
        async with running(told) as network:
            await brought(network, a_state("10.77.3.2"))
            found = await asyncio.to_thread(inside, pods[1], SCAN, GATEWAY, DNS, UPLINK, VIP, "10.77.3.2")
            everywhere = [INGRESS_PORT, HOSTS_PORT]
            assert found == [
                *(f"{GATEWAY}:{port}" for port in everywhere),
                *(f"{DNS}:{port}" for port in (53, *everywhere)),
                *(f"{UPLINK}:{port}" for port in everywhere),
                f"{VIP}:80",
                "10.77.3.2:8080",
            ]

    with listening("127.0.0.1", LOOPBACK_PORT), listening("0.0.0.0", HOSTS_PORT):  # As sshd.
        asyncio.run(scenario())


def test_neither_a_pod_nor_a_neighbour_gets_at_the_nodes_loopback_by_a_route_of_its_own(
    node: NodeNetworkSettings, pods: tuple[Any, Any], outside: Any
) -> None:
    """CVE-2020-8558: packets for 127.0.0.1 that come in by a link, from whoever may write routes where they are."""

    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2", ingresses=()))
            for host, gateway, source in ((pods[1], GATEWAY, "10.77.3.3"), (outside, UPLINK, "192.168.50.2")):
                for command in (
                    ("ip", "rule", "add", "pref", "1", "lookup", "local"),
                    ("ip", "rule", "del", "pref", "0"),
                    ("ip", "rule", "add", "pref", "0", "to", "127.0.0.1", "lookup", "100"),
                    ("ip", "route", "add", "127.0.0.1", "via", gateway, "src", source, "table", "100"),
                    ("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"),
                ):
                    subprocess.run(("nsenter", "-n", "-t", str(host.pid), *command), check=True)
                assert await asyncio.to_thread(inside, host, PEEK, str(LOOPBACK_PORT)) == ["False"]

    with listening("127.0.0.1", LOOPBACK_PORT):
        asyncio.run(scenario())
