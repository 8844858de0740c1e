"""Which pods may take a sandbox made ahead, and which of those that are found at the start are kept."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.pods.addresses import Addresses
from agent.pods.spares import Spares, may_be_spare
from agent.runtime.fake import FakeRuntime
from gitops.kinds.core.pod import Pod
from tests.agent_world import NoNetwork, a_pod

APP = {"name": "app", "image": "i"}
ITS_OWN: dict[str, dict[str, Any]] = {
    "the host's network": {"hostNetwork": True},
    "the host's IPC": {"hostIPC": True},
    "the host's processes": {"hostPID": True},
    "one process namespace": {"shareProcessNamespace": True},
    "user namespaces, either way": {"hostUsers": True},
    "a runtime": {"runtimeClassName": "kata"},
    "a hostname": {"hostname": "db"},
    "a name in DNS": {"subdomain": "db"},
    "sysctls": {"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}},
    "a port of the node": {"containers": [{**APP, "ports": [{"containerPort": 80, "hostPort": 80}]}]},
}


@pytest.mark.parametrize("spec", ITS_OWN.values(), ids=ITS_OWN.keys())
def test_a_pod_that_needs_more_than_a_network_gets_a_sandbox_of_its_own(spec: dict[str, Any]) -> None:
    assert not may_be_spare(a_pod(**{"containers": [APP], **spec}))


def test_an_ordinary_pod_may_take_a_spare_one_and_a_stateful_sets_may_not() -> None:
    plain = a_pod(containers=[{**APP, "ports": [{"containerPort": 80}]}])
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u"}
    owned: Any = {**plain, "metadata": {**plain["metadata"], "ownerReferences": [owner]}}

    assert may_be_spare(plain)
    assert not may_be_spare(owned)


class World:
    """A fake engine, and the spares of one start of an agent."""

    def __init__(self, count: int) -> None:
        self.runtime = FakeRuntime(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.addresses = Addresses(NoNetwork())
        self.spares = Spares(
            self.runtime, self.addresses, count, pod_cidr="10.77.1.0/24", new_key=lambda: "new"
        )

    async def left(self) -> set[str]:
        return {state.id for state in await self.runtime.spares()}


def plain(name: str = "web") -> Pod:
    return a_pod(name, containers=[APP])


def test_what_is_found_is_kept_up_to_the_count_and_its_addresses_are_taken() -> None:
    async def scenario() -> None:
        world = World(2)
        for number in (2, 3, 4):
            await world.runtime.make_spare(f"k{number}", f"10.77.1.{number}")
        await world.spares.look()

        assert await world.left() == {"spare-k2", "spare-k3"}
        assert world.addresses.take("uid-other") == "10.77.1.4"
        assert world.spares.take(plain()) == ("spare-k2", "10.77.1.2")
        assert world.addresses.take("uid-web") == "10.77.1.2"

    asyncio.run(scenario())


def test_one_of_another_range_or_with_a_pods_address_is_removed() -> None:
    async def scenario() -> None:
        world = World(5)
        world.addresses.known("uid-web", "10.77.1.2")
        await world.runtime.make_spare("same", "10.77.1.2")
        await world.runtime.make_spare("elsewhere", "10.77.9.2")
        await world.spares.look()

        assert await world.left() == set()
        assert world.spares.take(plain("more")) is None

    asyncio.run(scenario())


def test_one_that_ended_is_replaced_in_time_and_a_pod_tries_but_once() -> None:
    async def scenario() -> None:
        world = World(1)
        made = await world.runtime.make_spare("k", "10.77.1.2")
        await world.spares.look()
        world.runtime.kill(made.id)
        await world.spares.look()

        assert await world.left() == set()
        assert world.addresses.take("uid-web") == "10.77.1.2"
        await world.runtime.make_spare("again", "10.77.1.3")
        await world.spares.look()
        assert world.spares.take(plain()) is None
        assert world.spares.waiting == 1

    asyncio.run(scenario())


def test_none_is_made_until_no_pod_has_started_or_ended_for_a_second() -> None:
    async def scenario() -> None:
        now, slept, world = [100.0], list[float](), World(0)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds
            if len(slept) < 3:
                spares.postpone()

        spares = Spares(
            world.runtime, world.addresses, 1, pod_cidr="10.77.1.0/24", new_key=lambda: "new",
            sleep=sleep, clock=lambda: now[0],
        )  # fmt: skip
        making = asyncio.create_task(spares.run())
        async with asyncio.timeout(20):
            while not spares.waiting:
                await asyncio.sleep(0.01)
        making.cancel()

        assert slept == [1.0, 1.0, 1.0]

    asyncio.run(scenario())
