"""A node whose pods go asks the others through the master: who may, what of, and who is waited for."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from agent.withdrawal import asking_master, withdrawn_handler
from gitops.client import Client, serve_reverse
from gitops.kinds.errors import BadRequest, Forbidden, GitwardError
from tests.integration.api.agents import stop, until_connected
from tests.integration.api.builders import a_node
from tests.integration.api.served import Served

OWN = "10.77.0.5"


class Proxies:
    """Of another node: what it was asked for, and when it says that it sends nothing there."""

    def __init__(self) -> None:
        self.asked: list[frozenset[str]] = []
        self.done = asyncio.Event()

    async def unoffered(self, addresses: Collection[str]) -> None:
        self.asked.append(frozenset(addresses))
        await self.done.wait()


@contextmanager
def connected(api: Served, node: str, proxies: Proxies | None) -> Iterator[None]:
    """None: an agent that does not know such a question."""
    handlers = {"withdrawn": withdrawn_handler(lambda: proxies)} if proxies is not None else {}
    client = Client.from_kubeconfig(api.config_of(node))

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(serve_reverse(client, node, handlers))

    task = api.run(start())
    try:
        api.run(until_connected(api, node))
        yield
    finally:
        api.run(stop(task, client))


@pytest.fixture
def nodes(api: Served) -> Served:
    for number, name in enumerate(("n1", "n2", "n3")):
        node = a_node(name)
        node["spec"] = {"podCIDR": f"10.77.{number}.0/24"}
        api.create(node)
    return api


def asked(api: Served, *addresses: str, user: str = "n1", node: str = "n1") -> list[str]:
    """Who is late."""

    async def work() -> list[str]:
        async with Client.from_kubeconfig(api.config_of(user)) as client:
            return list(await asking_master(client, node)(addresses))

    return api.run(work())


def test_the_answer_comes_when_the_last_node_has_said_so(nodes: Served) -> None:
    second, third = Proxies(), Proxies()
    with connected(nodes, "n2", second), connected(nodes, "n3", third):

        async def work() -> tuple[bool, list[str]]:
            async with Client.from_kubeconfig(nodes.config_of("n1")) as client:
                asking = asyncio.create_task(_listed(client))
                while not (second.asked and third.asked):
                    await asyncio.sleep(0.01)
                second.done.set()
                await asyncio.sleep(0.05)
                early = asking.done()
                third.done.set()
                return early, await asking

        assert nodes.run(work()) == (False, [])
    assert second.asked == third.asked == [frozenset({OWN})]


async def _listed(client: Client) -> list[str]:
    return list(await asking_master(client, "n1")([OWN]))


def test_who_is_up_and_does_not_say_is_late_whatever_the_reason(nodes: Served) -> None:
    """n2 never says; n3 is not connected."""
    with connected(nodes, "n2", Proxies()):
        assert asked(nodes, OWN) == ["n2", "n3"]


def test_an_agent_that_does_not_know_the_question_is_late(nodes: Served) -> None:
    third = Proxies()
    third.done.set()
    with connected(nodes, "n2", None), connected(nodes, "n3", third):
        assert asked(nodes, OWN) == ["n2"]


def test_a_node_that_is_lost_is_not_waited_for(api: Served) -> None:
    node, lost = a_node("n1"), a_node("n2")
    node["spec"] = {"podCIDR": "10.77.0.0/24"}
    lost["status"]["conditions"][0]["status"] = "Unknown"
    api.create(node, lost)

    assert asked(api, OWN) == []


@pytest.mark.parametrize(
    ("addresses", "user", "error"),
    [
        (["10.77.1.5"], "n1", Forbidden),
        (["10.78.0.1"], "n1", Forbidden),
        ([OWN], "n2", Forbidden),
        (["n2"], "n1", BadRequest),
        (["10.77.0.5"] * 257, "n1", BadRequest),
    ],
    ids=["another node's pod", "a service", "in another node's name", "no address", "too many"],
)
def test_a_node_asks_for_its_own_pods_alone(
    nodes: Served, addresses: list[str], user: str, error: type[GitwardError]
) -> None:
    with pytest.raises(error):
        asked(nodes, *addresses, user=user)
