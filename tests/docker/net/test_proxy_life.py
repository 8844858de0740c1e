"""The proxy while it is slow, hangs or was started by somebody else: nobody's request is refused for it."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent import helpers
from agent.proxies import NodeNetwork, NodeNetworkSettings
from tests.docker.net.cluster import a_state, an_ingress, brought, http, running

SLOW_SECONDS = 6.5  # Longer than the run-time socket is waited for, shorter than one that hangs.
SETTLED_SECONDS = 60.0


def family(settings: NodeNetworkSettings) -> list[int]:
    """The proxy's master, then its workers."""
    record = helpers.read_record(settings.run_dir / "haproxy.pid.json")
    assert record is not None
    children = Path(f"/proc/{record['pid']}/task/{record['pid']}/children").read_text()
    return [record["pid"], *map(int, children.split())]


def tell(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def settle(network: NodeNetwork) -> None:
    async with asyncio.timeout(SETTLED_SECONDS):
        await network.settled()


def test_a_proxy_that_is_slow_is_waited_for_and_not_replaced(
    node: NodeNetworkSettings, pods: tuple[Any, Any]
) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            before = family(node)
            tell(before, signal.SIGSTOP)
            try:
                await network.sync(a_state("10.77.3.3"))
                await asyncio.sleep(SLOW_SECONDS)
            finally:
                tell(before, signal.SIGCONT)
            await settle(network)

            assert family(node) == before
            assert {http() for _ in range(4)} == {"b"}

    asyncio.run(scenario())


def test_a_proxy_that_hangs_is_replaced(node: NodeNetworkSettings, pods: tuple[Any, Any]) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            before = family(node)
            tell(before, signal.SIGSTOP)
            try:
                await network.sync(a_state("10.77.3.3"))
                await settle(network)
            finally:
                tell(
                    before[1:], signal.SIGKILL
                )  # Its master was, and a worker that is stopped cannot notice.

            assert family(node)[0] != before[0]
            assert helpers.start_time(before[0]) == ""
            assert {http() for _ in range(4)} == {"b"}

    asyncio.run(scenario())


def test_a_proxy_that_was_started_again_with_its_old_file_gets_the_new_one(
    node: NodeNetworkSettings, pods: tuple[Any, Any]
) -> None:
    async def scenario() -> None:
        async with running(node) as network:
            await brought(network, a_state("10.77.3.2"))
            tell(family(node), signal.SIGKILL)
            more = (an_ingress(), an_ingress("second", host="second.example"))
            await network.sync(a_state("10.77.3.2", ingresses=more))
            async with asyncio.timeout(10):  # Less than the time that a reload is waited for.
                await network.settled()

            assert http("second.example") == "a"

    asyncio.run(scenario())
