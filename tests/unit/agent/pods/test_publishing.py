"""Ports of the node are published with their pod, and known to the next agent before it decides anything."""

import asyncio
from datetime import UTC, datetime

from agent.probes.checks import SimulatedChecks
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.services.table import Backend, HostPort
from gitops.kinds.core.pod import is_ready
from tests.agent_world import Api, NoNetwork, a_pod, running_node

APP = {"name": "app", "image": "shop:1", "ports": [{"containerPort": 80, "hostPort": 8088}]}
PUBLISHED = (HostPort("tcp", "", 8088, Backend("10.77.1.2", 80)),)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_new_agent_publishes_what_runs_though_the_api_is_away() -> None:
    async def scenario() -> None:
        runtime, api, checks = FakeRuntime(now), Api(), SimulatedChecks(now, READY_AFTER)
        first, second = NoNetwork(), NoNetwork()
        async with running_node(runtime, checks, api, network=first) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)
        assert first.published == {"uid-web": PUBLISHED}

        api.down = True
        async with running_node(runtime, checks, api, network=second):
            assert second.published == {"uid-web": PUBLISHED}

    asyncio.run(scenario())


def test_a_pod_on_the_hosts_network_needs_no_rule() -> None:
    async def scenario() -> None:
        api, network = Api(), NoNetwork()
        async with running_node(
            FakeRuntime(now), SimulatedChecks(now, READY_AFTER), api, network=network
        ) as node:
            node.api.put(a_pod(containers=[{**APP, "ports": [{"containerPort": 80}]}], hostNetwork=True))
            await node.until("uid-web", is_ready)

        assert network.published == {}

    asyncio.run(scenario())
