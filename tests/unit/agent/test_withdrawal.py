"""How a node hears that the others send nothing new to pods that go."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import pytest

from agent.withdrawal import OTHERS_SECONDS, OtherNodes
from gitops.kinds.errors import Unavailable


class Master:
    """Says after `delay_seconds` who is late; `down`: does not answer."""

    def __init__(self, *, late: Sequence[str] = (), delay_seconds: float = 0.0, down: bool = False) -> None:
        self.asked: list[Sequence[str]] = []
        self._late, self._delay_seconds, self._down = late, delay_seconds, down

    async def ask(self, addresses: Sequence[str]) -> Sequence[str]:
        self.asked.append(addresses)
        await asyncio.sleep(self._delay_seconds)
        if self._down:
            raise Unavailable("the master is away")
        return self._late


async def _waited_seconds(master: Master, *addresses: str) -> float:
    others, begin = OtherNodes(master.ask), monotonic()
    await asyncio.gather(*map(others.left_out, addresses))
    return monotonic() - begin


def test_pods_that_go_together_are_one_question_and_wait_for_its_answer_alone() -> None:
    master = Master()

    waited_seconds = asyncio.run(_waited_seconds(master, "10.77.0.3", "10.77.0.2"))

    assert master.asked == [["10.77.0.2", "10.77.0.3"]]
    assert waited_seconds < OTHERS_SECONDS


def test_a_later_pod_is_a_question_of_its_own() -> None:
    async def both() -> list[Sequence[str]]:
        master = Master(delay_seconds=0.2)
        others = OtherNodes(master.ask)
        first = asyncio.create_task(others.left_out("10.77.0.2"))
        while not master.asked:
            await asyncio.sleep(0.01)
        await others.left_out("10.77.0.3")
        await first
        return master.asked

    assert asyncio.run(both()) == [["10.77.0.2"], ["10.77.0.3"]]


@pytest.mark.parametrize(
    "master", [Master(late=["n3"]), Master(down=True)], ids=["one is late", "nobody answers"]
)
def test_where_it_cannot_be_found_out_the_others_get_their_second(master: Master) -> None:
    assert asyncio.run(_waited_seconds(master, "10.77.0.2")) >= OTHERS_SECONDS


def test_one_that_is_late_after_its_second_gets_no_other() -> None:
    seconds = asyncio.run(
        _waited_seconds(Master(late=["n3"], delay_seconds=OTHERS_SECONDS + 0.2), "10.77.0.2")
    )

    assert seconds < 2 * OTHERS_SECONDS


def test_one_pod_that_gives_up_ends_no_others_waiting() -> None:
    async def both() -> int:
        master = Master(delay_seconds=0.3)
        others = OtherNodes(master.ask)
        second = asyncio.create_task(others.left_out("10.77.0.3"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(others.left_out("10.77.0.2"), 0.1)
        await second
        return len(master.asked)

    assert asyncio.run(both()) == 1
