"""From iptables to nftables and back, under load and with nothing left behind."""

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import teardown
from agent.network import NetworkSettings
from agent.proxies import NodeNetworkSettings
from agent.services import ServicesDriver, ServiceTable
from agent.services.table import Backend, ServicePort
from tests.docker.net.cluster import VIP, a_service, a_state, brought, running
from tests.docker.net.load import Load
from tests.docker.net.traffic import Node, a_table, from_node, rules_for
from tests.docker.snapshot import snapshot


@pytest.fixture
def node(settings: NetworkSettings, new_host: Any, serve: Any) -> Node:
    return Node(settings, new_host, serve, "iptables-nft")


def chains() -> set[str]:
    """Which of the two leads to services now."""
    listed = subprocess.run(("nft", "list", "chains"), capture_output=True, text=True, check=True).stdout
    found = {"iptables"} if "GITWARD-SERVICES" in listed else set()
    return found | ({"nftables"} if "table ip gitward" in listed else set())


def test_no_call_is_lost_on_the_way_from_one_to_the_other_and_back(
    node: Node, settings: NetworkSettings
) -> None:
    async def scenario() -> Load:
        await node.driver.apply(a_table("10.77.3.2", "10.77.3.3"))
        with Load((f"{VIP}:80", 1), (f"{VIP}:80", 1)) as load:
            for proxy in ("nftables", "iptables", "nftables"):
                follower = ServicesDriver(rules_for(settings), proxy)
                assert await follower.take_over()
                await asyncio.sleep(0.3)
                await follower.apply(a_table("10.77.3.2", "10.77.3.3"))
                assert chains() == {proxy}
                assert await follower.check()
            await asyncio.sleep(0.3)
        return load

    load = asyncio.run(scenario())

    assert load.answers["200"] > 100
    assert set(load.answers) == {"200"}, load.answers


def test_many_services_are_led_by_nftables_and_stay_there(node: Node, settings: NetworkSettings) -> None:
    def many(count: int) -> ServiceTable:
        backends = (Backend("10.77.3.2", 8080),)
        ports = [
            ServicePort(
                f"shop/web-{number}", "tcp", f"10.78.{number // 200}.{number % 200 + 20}", 80, backends
            )
            for number in range(count)
        ]
        return ServiceTable(tuple(ports))

    driver = ServicesDriver(rules_for(settings), "auto")
    asyncio.run(driver.apply(many(400)))
    assert chains() == {"iptables"}

    asyncio.run(driver.apply(many(600)))
    assert chains() == {"nftables"}
    assert from_node("http://10.78.2.219/") == "a"

    asyncio.run(driver.apply(many(400)))
    assert chains() == {"nftables"}
    assert from_node("http://10.78.2.219/") == ""
    assert from_node("http://10.78.1.219/") == "a"


def test_down_removes_the_table(node: Node, settings: NetworkSettings, tmp_path: Path) -> None:
    run_dir = Path("/run/gitward-test-none")
    before = snapshot()["rules"]

    async def live() -> None:
        told = NodeNetworkSettings(settings, tmp_path / "r", "", "", service_proxy="nftables")
        async with running(told) as network:
            await brought(network, replace(a_state("10.77.3.2"), services=(a_service(),), ingresses=()))
            assert chains() >= {"nftables"}

    asyncio.run(live())
    teardown.remove(
        cluster="c1", network_state_dir=settings.state_dir, run_dir=tmp_path / "r", data_dir=tmp_path
    )
    done = teardown.remove(
        cluster="c1", network_state_dir=settings.state_dir, run_dir=run_dir, data_dir=tmp_path
    )

    assert done == []
    assert snapshot()["rules"] == before
