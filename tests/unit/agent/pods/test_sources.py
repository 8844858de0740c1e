"""The objects that pods name: followed once, and told of when the master has not told them."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from agent.pods import sources
from agent.pods.sources import Sources
from agent.volumes.references import Reference
from gitops.kinds.errors import Unavailable
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject

PASSWORD = Reference("Secret", "shop", "password")
SETTINGS = Reference("ConfigMap", "shop", "settings")


def test_a_pod_that_waits_for_the_master_says_for_what_and_logs_it_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "KNOWN_SECONDS", 0.05)
    caplog.set_level(logging.WARNING)

    async def follow(kind: Kind[KubeObject], namespace: str, name: str) -> AsyncIterator[KubeObject | None]:
        if kind.kind == "Secret":
            await asyncio.Event().wait()
        yield None

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            found = Sources(follow, lambda _: None)
            found.use("uid-1", [PASSWORD, SETTINGS], group)
            for _ in range(3):
                with pytest.raises(Unavailable, match=r"^waits for the master, .* Secret shop/password$"):
                    await found.known([PASSWORD, SETTINGS])
            found.release("uid-1")

    asyncio.run(scenario())

    assert [one.message for one in caplog.records] == ["pods wait for what the master has not told"]
