"""Pods that take a sandbox that was made ahead, on a real engine: nothing in them shows it."""

import asyncio

from agent.pods.spares import Spares
from agent.runtime.protocol import SANDBOX
from gitops.kinds.core.pod import is_ready, pod_status
from tests.agent_world import Node, a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, logs

ASKS_AT_ONCE = f"echo $HOSTNAME; cat /etc/hostname; {FOREVER}"
PODS = 8


def _spares(node: Node) -> Spares:
    assert node.means.spares is not None
    return node.means.spares


async def _until_waiting(node: Node, count: int) -> None:
    async with asyncio.timeout(60):
        while _spares(node).waiting != count:
            await asyncio.sleep(0.05)


def test_a_pod_in_a_spare_sandbox_has_its_own_names_and_address(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent(spares=PODS) as node:
            await _until_waiting(node, PODS)
            waiting = {state.id for state in await node.means.runtime.spares()}
            for number in range(PODS):
                app = container("app", ASKS_AT_ONCE)
                host.api.put(a_pod(f"web-{number}", containers=[app]))
            for number in range(PODS):
                name = f"web-{number}"
                pod = await node.until(f"uid-{name}", is_ready)
                states = await node.means.runtime.states(f"uid-{name}")

                assert await logs(node, f"uid-{name}") == f"{name}\n{name}\n"
                assert await inside(node, f"uid-{name}", "hostname") == name
                assert next(one.id for one in states if one.container == SANDBOX) in waiting
                address = pod_status(pod)["podIP"]
                assert f"{address}\t{name}" in await inside(node, f"uid-{name}", "cat /etc/hosts")
                assert f"inet {address}/32" in await inside(node, f"uid-{name}", "ip addr show eth0")

    play(scenario)


def test_spare_and_taken_sandboxes_are_known_again_after_the_agents_end(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent(spares=2) as node:
            await _until_waiting(node, 2)
            host.api.put(a_pod(containers=[container("app", FOREVER)]))
            before = pod_status(await node.until("uid-web", is_ready))
            await _until_waiting(node, 2)
            spares = {state.id for state in await node.means.runtime.spares()}
            states = {state.id for state in await node.means.runtime.states()}
        async with host.agent(spares=2) as node:
            await _until_waiting(node, 2)
            host.api.put(a_pod("more", containers=[container("app", FOREVER)]))
            more = pod_status(await node.until("uid-more", is_ready))
            after = pod_status(await node.until("uid-web", is_ready))

            assert states < {state.id for state in await node.means.runtime.states()}
            assert spares & {state.id for state in await node.means.runtime.states("uid-more")}
            assert after["containerStatuses"][0]["restartCount"] == 0
            assert after["podIP"] == before["podIP"] != more["podIP"]
        async with host.agent(spares=0) as node:
            assert await node.means.runtime.spares() == []
            await node.until("uid-web", is_ready)
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web")

    play(scenario)


def test_what_a_spare_sandbox_cannot_give_is_made_for_the_pod(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent(spares=1) as node:
            await _until_waiting(node, 1)
            app = container("app", ASKS_AT_ONCE)
            host.api.put(a_pod(hostname="own", containers=[app]))
            await node.until("uid-web", is_ready)

            assert _spares(node).waiting == 1
            assert await logs(node, "uid-web") == "own\nown\n"

    play(scenario)


def test_a_spare_sandbox_that_was_killed_is_replaced_and_harms_no_pod(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent(spares=1) as node:
            await _until_waiting(node, 1)
            (spare,) = await node.means.runtime.spares()
            await node.means.runtime.stop(spare.id, grace_seconds=0)
            host.api.put(a_pod(containers=[container("app", ASKS_AT_ONCE)]))
            await node.until("uid-web", is_ready, seconds=60)
            await _until_waiting(node, 1)

            assert await logs(node, "uid-web") == "web\nweb\n"
            assert spare.id not in {state.id for state in await node.means.runtime.spares()}

    play(scenario)
