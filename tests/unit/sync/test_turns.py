"""Looks take turns, and a name is forgotten with its last one."""

import asyncio

from gitops.sync.turns import Turns


def test_whoever_asks_meanwhile_shares_the_next_turn_and_then_the_name_is_forgotten() -> None:
    seen: list[str] = []

    async def story() -> list[str]:
        gate = asyncio.Event()

        async def run(name: str, reason: str) -> str:
            await gate.wait()
            seen.append(f"{name}: {reason}")
            return reason

        turns = Turns(run)
        first = turns.turn("shop", "hook")
        second, third = turns.turn("shop", "timer"), turns.turn("shop", "hook again")
        other = turns.turn("infra", "timer")
        assert second is third
        assert turns.names == ["shop", "infra"]

        gate.set()
        await asyncio.gather(first, second, other)
        await asyncio.sleep(0)
        assert turns.names == []

        await turns.turn("shop", "later")
        await asyncio.sleep(0)
        return turns.names

    assert asyncio.run(story()) == []
    assert sorted(seen) == ["infra: timer", "shop: hook", "shop: later", "shop: timer"]
