"""Who looks at the kernel's flows at the same time shares a list, which is never older than the question."""

import asyncio
import threading
from collections.abc import Iterator

from agent.services.conntrack import Flow, flows_to, names
from agent.services.flows import Flows

LISTED = """\
tcp      6 86399 ESTABLISHED src=10.77.0.9 dst=10.78.0.5 sport=4 dport=80 src=10.77.0.2 dst=10.77.0.9 sport=80 dport=4 [ASSURED] mark=0 use=1
tcp      6 86399 ESTABLISHED src=10.77.0.2 dst=10.77.0.8 sport=6 dport=80 src=10.77.0.8 dst=10.77.0.2 sport=80 dport=6 [ASSURED] mark=0 use=1
udp      17 29 src=10.77.0.22 dst=10.77.0.1 sport=6 dport=53 [UNREPLIED] src=10.77.0.1 dst=10.77.0.22 sport=53 dport=6 mark=0 use=1
"""  # noqa: E501 # As conntrack prints it.


def test_a_flow_is_of_the_pod_that_answers_it() -> None:
    assert flows_to(LISTED, "10.77.0.2") == [Flow("ESTABLISHED", "10.77.0.9", "10.78.0.5")]
    assert flows_to(LISTED, "10.77.0.8") == [Flow("ESTABLISHED", "10.77.0.2", "10.77.0.8")]
    assert flows_to(LISTED, "10.77.0.9") == []


def test_a_list_names_who_began_or_answers_and_nobody_whose_address_only_begins_so() -> None:
    assert [names(LISTED, one) for one in ("10.77.0.2", "10.77.0.22", "10.77.0.1")] == [True, True, True]
    assert not names(LISTED, "10.77.0.3")
    assert not names("udp 17 29 src=10.77.0.22 dst=10.77.0.1 sport=6\n", "10.77.0.2")


def test_those_who_come_while_a_list_is_made_share_the_next_one() -> None:
    async def scenario() -> None:
        begun, go_on = [0], threading.Event()

        def listed() -> str:
            begun[0] += 1
            go_on.wait(20)
            return f"list {begun[0]}"

        flows = Flows(listed)
        first = asyncio.create_task(flows.look())
        async with asyncio.timeout(20):
            while not begun[0]:
                await asyncio.sleep(0.01)
        later = [asyncio.create_task(flows.look()) for _ in range(50)]
        await asyncio.sleep(0)
        go_on.set()

        assert await first == "list 1"
        assert set(await asyncio.gather(*later)) == {"list 2"}
        assert await flows.look() == "list 3"

    asyncio.run(scenario())


def test_one_who_gives_up_takes_the_list_from_nobody_and_an_error_is_told_to_all_who_share_it() -> None:
    async def scenario() -> None:
        answers: Iterator[str | OSError] = iter(["fine", OSError("broken"), "fine again"])

        def listed() -> str:
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        flows = Flows(listed)
        one, other = asyncio.create_task(flows.look()), asyncio.create_task(flows.look())
        await asyncio.sleep(0)
        one.cancel()

        assert await other == "fine"
        both = await asyncio.gather(flows.look(), flows.look(), return_exceptions=True)
        assert [str(each) for each in both] == ["broken", "broken"]
        assert await flows.look() == "fine again"

    asyncio.run(scenario())
