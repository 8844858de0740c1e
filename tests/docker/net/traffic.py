"""The rules of a node with two pods, for tests with real packets."""

import asyncio
import subprocess
from collections.abc import Callable
from typing import Any

from agent.network import Network, NetworkSettings
from agent.services import RuleSettings, ServicesDriver, ServiceTable
from agent.services.table import Backend, ServicePort

VIP = "10.78.0.20"


def rules_for(settings: NetworkSettings) -> RuleSettings:
    return RuleSettings(
        settings.pod_cidr,
        settings.cluster_pod_cidr,
        settings.service_cidr,
        settings.gateway,
        settings.dns_address,
    )


def a_table(*addresses: str, affinity: int = 0) -> ServiceTable:
    backends = tuple(Backend(address, 8080) for address in addresses)
    return ServiceTable((ServicePort("shop/web", "tcp", VIP, 80, backends, affinity_seconds=affinity),))


def from_node(url: str) -> str:
    command = ("timeout", "2", "busybox", "wget", "-q", "-O", "-", url)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


class Node:
    """The network and rules of a node with two pods, `a` and `b`. `program`: the iptables that others here use."""

    def __init__(
        self, settings: NetworkSettings, new_host: Callable[[str], Any], serve: Any, program: str
    ) -> None:
        """`program`: also `nftables`, where the host's own iptables is iptables-nft and services are nftables'."""
        proxy = "nftables" if program == "nftables" else "iptables"
        self.program = "iptables-nft" if program == "nftables" else program
        self.iptables("-A", "INPUT", "-s", "203.0.113.1", "-j", "DROP")
        self.driver = ServicesDriver(rules_for(settings), proxy)
        network = Network(settings)
        self.a, self.b = new_host("10.77.3.2"), new_host("10.77.3.3")

        async def wire() -> None:
            await network.setup()
            for uid, pod in (("uid-a", self.a), ("uid-b", self.b)):
                await network.attach(pod.pid, pod.address, uid)

        asyncio.run(wire())
        serve(self.a, 8080, "a")
        serve(self.b, 8080, "b")

    def apply(self, table: ServiceTable) -> None:
        asyncio.run(self.driver.apply(table))

    def flush(self) -> None:
        """All rules of the host, by hand."""
        for command in (("-F",), ("-X",), ("-t", "nat", "-F"), ("-t", "nat", "-X")):
            self.iptables(*command)
        if self.program != "iptables-legacy":
            subprocess.run(("nft", "flush", "ruleset"), check=True)

    def iptables(self, *arguments: str) -> None:
        subprocess.run((self.program, *arguments), check=True)
