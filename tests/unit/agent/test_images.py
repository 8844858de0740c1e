"""Which images go when the disk gets full."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.images import Disk, Images, PulledImage, doomed, to_free_bytes
from agent.runtime.fake import FakeRuntime
from agent.runtime.protocol import ImageState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def an_image(name: str, minutes_ago: float) -> PulledImage:
    return PulledImage(name, 10, NOW - timedelta(minutes=minutes_ago))


def test_the_longest_unused_goes_first_and_what_is_used_or_new_stays() -> None:
    images = [an_image("new", 1), an_image("old", 60), an_image("older", 90), an_image("used", 120)]

    assert [one.reference for one in doomed(images, frozenset({"used"}), NOW)] == ["older", "old"]


def test_from_the_upper_bound_on_as_much_goes_as_leads_to_the_lower_one() -> None:
    assert to_free_bytes(Disk(1000, 151), 85, 80) == 0
    assert to_free_bytes(Disk(1000, 150), 85, 80) == 50
    assert to_free_bytes(Disk(0, 0), 85, 80) == 0


class World:
    """A disk that gets back the size of each image that goes."""

    def __init__(self, folder: Path) -> None:
        self.now, self.used = NOW, frozenset[str]()
        self.runtime = FakeRuntime(lambda: self.now, images={"a", "b"})
        self.file = folder / "images.json"

    def images(self) -> Images:
        return Images(self.runtime, self.file, self.disk, lambda: self.used, lambda: self.now)

    def disk(self) -> Disk:
        return Disk(100, 100 - 40 * len(self.runtime.images or ()))


def test_only_what_is_needed_goes_and_what_was_pulled_is_known_after_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.images().pulled("a", ImageState("sha256:a", "", (), 40))
    world.now += timedelta(minutes=10)
    again = world.images()
    again.pulled("b", ImageState("sha256:b", "", (), 40))
    world.now += timedelta(minutes=10)

    assert asyncio.run(again.collect(30)) == 40
    assert world.runtime.images == {"b"}


def test_what_the_agent_did_not_pull_and_what_a_pod_names_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    images = world.images()
    images.pulled("a", ImageState("sha256:a", "", (), 40))
    world.now += timedelta(minutes=10)
    world.used = frozenset({"a"})

    assert asyncio.run(images.collect(1_000)) == 0
    assert world.runtime.images == {"a", "b"}


def test_a_broken_list_forgets_and_removes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.file.write_text('[["a", 1]]')

    assert asyncio.run(world.images().collect(1_000)) == 0
