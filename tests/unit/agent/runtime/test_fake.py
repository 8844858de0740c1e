"""What the fake engine promises beyond the contract: a journal, and annotations that are obeyed."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.runtime.fake import EXIT_CODE, RUN_FOR, FakeRuntime
from agent.runtime.protocol import ContainerSpec, Phase, SandboxSpec

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_what_runs_survives_the_process_and_time_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, journal = Clock(), tmp_path / "n1.jsonl"
        first = FakeRuntime(clock, journal=journal)
        await first.ensure_sandbox(SandboxSpec("u1", "web", "shop", "web"))
        labels = {RUN_FOR: "60", EXIT_CODE: "3"}
        made = await first.ensure_container(
            ContainerSpec("u1", "web", "shop", "app", 0, "shop:1", labels=labels)
        )
        gone = await first.ensure_container(ContainerSpec("u1", "web", "shop", "old", 0, "shop:1"))
        await first.start(made)
        await first.remove(gone)
        with journal.open("ab") as file:
            file.write(b'{"id": "torn')

        second = FakeRuntime(clock, journal=journal)
        assert second.containers == first.containers
        clock.now += timedelta(seconds=61)
        app = next(s for s in await second.states() if s.container == "app")

        assert (app.phase, app.exit_code) == (Phase.EXITED, 3)
        assert app.finished_at == START + timedelta(seconds=60)
        third = FakeRuntime(clock, journal=journal)
        assert third.containers == second.containers

    asyncio.run(scenario())
