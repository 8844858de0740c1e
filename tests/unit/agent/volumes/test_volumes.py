"""The volumes of a pod as one directory: what is done to them at the same time is done one after the other."""

import asyncio
from pathlib import Path

from agent.volumes.volumes import PodVolumes
from tests.agent_world import a_pod

POD = a_pod(containers=[{"name": "app", "image": "shop:1"}])
FILES = 20_000  # Whose removal takes a while.


def test_nothing_is_made_in_a_directory_that_is_being_removed(tmp_path: Path) -> None:
    """A subPath that were bound there would be emptied with it, and it may be a volume with data."""
    volumes, many = PodVolumes(tmp_path), tmp_path / "uid-web" / "empty" / "many"
    many.mkdir(parents=True)
    for number in range(FILES):
        (many / str(number)).touch()

    async def at_once() -> None:
        removing = asyncio.create_task(volumes.remove("uid-web"))
        while len(list(many.iterdir())) == FILES:
            await asyncio.sleep(0)
        await volumes.mounts(POD, POD["spec"]["containers"][0], {}, attempt=0)
        await removing

    asyncio.run(at_once())

    assert (tmp_path / "uid-web" / "messages" / "app" / "0").exists()
    assert not (tmp_path / "uid-web" / "empty").exists()
