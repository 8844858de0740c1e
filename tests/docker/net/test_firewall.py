"""Among others: what a firewall that is loaded anew, an engine, or a hand does to the host's rules."""

import asyncio
import subprocess
from typing import Any

import pytest

from agent import proxies
from agent.proxies import NodeNetworkSettings
from tests.docker.net.cluster import VIP, a_state, brought, running

# As ufw and a stock Docker engine leave a host: policies that drop, chains of their own, jumps to them in front.
OTHERS = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:ufw-before-forward - [0:0]
:ufw-reject-forward - [0:0]
-A INPUT -i lo -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-reject-forward
-A DOCKER-USER -j RETURN
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-reject-forward -j REJECT --reject-with icmp-port-unreachable
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
"""


def others() -> list[str]:
    """Rules, chains and policies that are not ours."""
    told = []
    for table in ("filter", "nat"):
        saved = subprocess.run(
            ("iptables-nft-save", "-t", table), capture_output=True, text=True, check=True
        ).stdout
        told += [line.split(" [")[0] for line in saved.splitlines() if line.startswith((":", "-A"))]
    return [line for line in told if "GITWARD" not in line]


def load_anew() -> None:
    """All rules are replaced by those of others: ours are gone, as after `iptables-restore`."""
    subprocess.run(("iptables-nft-restore",), input=OTHERS, text=True, check=True)


def flush_all() -> None:
    subprocess.run(("nft", "flush", "ruleset"), check=True)


@pytest.mark.parametrize("proxy", ["iptables", "nftables"])
@pytest.mark.parametrize("blow", [load_anew, flush_all])
def test_a_reloaded_firewall_takes_nothing_and_loses_nothing(
    node: NodeNetworkSettings, pods: tuple[Any, Any], outside: Any, proxy: str, blow: Any, monkeypatch: Any
) -> None:
    """By what the kernel tells alone: the comparison that is made now and then does not come in time here."""
    monkeypatch.setattr(proxies, "CHECK_SECONDS", 600.0)
    told = NodeNetworkSettings(node.network, node.run_dir, "", "", service_proxy=proxy)

    async def scenario() -> None:
        async with running(told) as network:
            await brought(network, a_state("10.77.3.2", ingresses=()))
            await until(lambda: pods[1].get(f"http://{VIP}/") == "a")
            await asyncio.sleep(1)  # What was written last was looked at.
            for _ in range(2):
                await asyncio.to_thread(blow)
                before = [line for line in others() if line.startswith("-A") or "DROP" in line]
                await until(lambda: pods[1].get(f"http://{VIP}/") == "a")
                assert await asyncio.to_thread(outside.get, "http://10.77.3.2:8080/") == ""
                assert await asyncio.to_thread(outside.get, f"http://{VIP}/") == ""
                assert [line for line in others() if line.startswith("-A") or "DROP" in line] == before

    asyncio.run(scenario())


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)
