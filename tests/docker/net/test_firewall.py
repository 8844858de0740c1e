"""Among others: what a firewall that is loaded anew, an engine, or a hand does to the host's rules."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import proxies
from agent.proxies import NodeNetworkSettings
from tests.docker.net.cluster import VIP, a_state, brought, running

NAME, DNS = "web.shop.svc.cluster.local", "10.78.0.10"
ON, OFF = ("--force", "enable"), ("disable",)
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


@pytest.fixture
def ufw(tmp_path: Path, node: NodeNetworkSettings) -> Iterator[Callable[..., None]]:
    """The real one, in this network namespace alone, with files of its own: the machine's ufw hears nothing of it."""
    if shutil.which("ufw") is None:
        pytest.skip("not installed: ufw")
    shutil.copytree("/etc/ufw", tmp_path / "ufw")
    shutil.copy("/etc/default/ufw", tmp_path / "default")
    script = f"mount --bind {tmp_path}/ufw /etc/ufw && mount --bind {tmp_path}/default /etc/default/ufw && exec ufw $@"
    command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "ufw")

    def run(*words: str) -> None:
        subprocess.run((*command, *words), check=True, capture_output=True, timeout=60)

    yield run
    run(*OFF)


def test_ufw_is_switched_on_reloaded_and_off_while_pods_serve(
    node: NodeNetworkSettings, pods: tuple[Any, Any], outside: Any, ufw: Callable[..., None]
) -> None:
    """It denies what comes in and what is routed, and sets policies; pods, services and DNS work in each state."""

    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2", ingresses=()))
            for words in (ON, ("reload",), ("deny", "8080/tcp"), OFF, ON):
                await asyncio.to_thread(ufw, *words)
                await until(lambda: pods[1].get(f"http://{VIP}/") == "a")
                await until(lambda: pods[1].get("http://10.77.3.2:8080/") == "a")
                await until(lambda: VIP in pods[1].run("busybox", "nslookup", NAME, DNS))
                assert await asyncio.to_thread(outside.get, "http://10.77.3.2:8080/") == ""
                assert await asyncio.to_thread(outside.get, f"http://{VIP}/") == ""
                told = await asyncio.to_thread(others)
                assert (":FORWARD DROP" in told) is (words != OFF)

    asyncio.run(scenario())


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)
