"""The data of volumes that are being deleted: removed once, and said until the master has heard it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from agent.claims import Claims
from agent.volumes.persistent import Persistent
from gitops.client import Client
from gitops.kinds.core.storage import DATA_FINALIZER, PersistentVolume
from gitops.kinds.errors import Unavailable
from tests.unit.agent.volumes.test_persistent import a_volume

HERE = {
    "required": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}
        ]
    }
}


class Master:
    """Away for the first `away` times that it is told something."""

    def __init__(self, away: int) -> None:
        self.away, self.told = away, list[object]()

    async def patch(self, kind: object, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the master is away")
        self.told.append((name, body["metadata"]["finalizers"]))


def a_going_volume() -> PersistentVolume:
    made = a_volume(deletionTimestamp="2026-01-02T03:04:05Z", finalizers=[DATA_FINALIZER])
    return cast(PersistentVolume, {**made, "spec": {**made["spec"], "nodeAffinity": HERE}})


def test_a_master_that_was_away_hears_of_it_when_it_is_back(tmp_path: Path) -> None:
    """Else the volume would be going until the agent starts anew."""

    async def scenario() -> tuple[object, ...]:
        master, persistent = Master(away=2), Persistent(tmp_path)
        path = persistent.ensure(a_volume())
        assert path is not None
        (path / "file").write_text("data")
        claims = Claims(
            cast(Client, master), "n1", persistent, lambda: None, sleep=lambda _: asyncio.sleep(0.01)
        )
        ending = asyncio.create_task(claims.end())
        claims.note(a_going_volume())
        while not master.told:
            await asyncio.sleep(0.01)
        ending.cancel()
        await asyncio.wait((ending,))
        return tuple(master.told)

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == (("pvc-1", []),)
    assert list(tmp_path.iterdir()) == []
