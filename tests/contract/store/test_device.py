"""Disks that fail in earnest: a small ext4 on a loop device, whose ground runs out, freezes or turns read-only."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Unavailable
from gitops.store.sqlite import SqliteStore
from tests.contract.store.stores import Clock, a_pod, open_sqlite, txn

IMAGE_BYTES: Final = 48 << 20
GROUND_BYTES: Final = 8 << 20  # What the image, which is sparse, may really take.


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Device:
    """A file system at `mounted`, in an image on a disk of its own at `ground`."""

    def __init__(self, directory: Path) -> None:
        self.ground, self.mounted = directory / "ground", directory / "mounted"
        self.image = self.ground / "image"
        self.again = directory / "again"
        self.loops: list[str] = []

    def make(self) -> None:
        for folder in (self.ground, self.mounted, self.again):
            folder.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={GROUND_BYTES}", "gitward-test", self.ground)
        with self.image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        # Without a journal it goes on after an error, as a thin volume does whose pool was made larger.
        run("mkfs.ext4", "-q", "-O", "^has_journal", self.image)
        self.mount(self.image, self.mounted)

    def mount(self, image: Path, at: Path) -> None:
        self.loops.append(run("losetup", "--find", "--show", image))
        run("mount", "-o", "errors=continue", self.loops[-1], at)

    def fill(self) -> None:
        """From now on a block that was never written before cannot be written: EIO at fsync."""
        with (self.ground / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 4096):
                pass

    def free(self) -> None:
        (self.ground / "ballast").unlink()

    def after_a_power_cut(self) -> Path:
        """What the device really holds, mounted a second time: nothing that only the kernel remembers."""
        copy = self.again.parent / "copy"
        shutil.copyfile(self.image, copy)
        subprocess.run(["e2fsck", "-fy", copy], capture_output=True, check=False)
        self.mount(copy, self.again)
        return self.again

    def remove(self) -> None:
        for folder in (self.again, self.mounted):
            subprocess.run(["fsfreeze", "-u", folder], capture_output=True, check=False)
            subprocess.run(["umount", folder], capture_output=True, check=False)
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop], capture_output=True, check=False)
        run("umount", "--lazy", self.ground)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    if os.geteuid() != 0:
        pytest.skip("only root can make a loop device")
    made = Device(tmp_path)
    try:
        made.make()
    except (OSError, subprocess.CalledProcessError) as error:
        made.remove()
        pytest.skip(f"no loop device can be made: {error}")
    yield made
    made.remove()


def names(store: SqliteStore) -> list[str]:
    return [pod["metadata"]["name"] for pod in store.view().list(POD)]


def ballast(name: str) -> str:
    """Text that does not shrink, so that it needs room."""
    return os.urandom(20_000).hex() + name


def test_an_io_error_loses_nothing_and_the_store_goes_on_when_the_disk_does(device: Device) -> None:
    async def story() -> list[str]:
        store = await open_sqlite(device.mounted)
        acknowledged = ["first"]
        await store.commit(txn(a_pod("first")))
        run("sync")
        device.fill()
        refused: list[str] = []
        for turn in range(300):
            try:
                await store.commit(txn(a_pod(f"p{turn:03}", text=ballast("x"))))
                acknowledged.append(f"p{turn:03}")
            except Unavailable as error:
                refused.append(str(error))
                if len(refused) == 3:
                    break
        assert len(refused) == 3
        assert {text.rpartition(": nothing")[2] for text in refused} == {
            " was written: the disk failed, see `dmesg`"
        }
        assert store.problem == refused[-1]
        assert names(store) == acknowledged

        device.free()
        for turn in range(50):
            await store.commit(txn(a_pod(f"q{turn:03}", text=ballast("x"))))
            acknowledged.append(f"q{turn:03}")
        assert store.problem is None
        await store.close()
        return acknowledged

    acknowledged = asyncio.run(story())
    asyncio.run(lives_with(device.mounted, acknowledged))


async def lives_with(directory: Path, expected: list[str]) -> None:
    store = await open_sqlite(directory)
    assert names(store) == expected
    await store.close()


def test_a_disk_that_hangs_is_told_and_nobody_waits_for_it(device: Device) -> None:
    async def story() -> None:
        store = await SqliteStore.open(
            device.mounted / "store" / "gitward.db", device.mounted / "keys" / "store.key", Clock(),
            disk_seconds_max=0.5,
        )  # fmt: skip
        await store.commit(txn(a_pod("first")))
        run("fsfreeze", "-f", device.mounted)

        with pytest.raises(
            Unavailable, match=r"not answered for 0.5 s.*: whether this was written is not known"
        ):
            await store.commit(txn(a_pod("in-doubt")))
        with pytest.raises(Unavailable, match="nothing was written"):
            await store.commit(txn(a_pod("refused")))
        assert store.problem is not None
        assert names(store) == ["first"]

        run("fsfreeze", "-u", device.mounted)
        async with asyncio.timeout(10):
            while store.problem is not None:
                await asyncio.sleep(0.02)
        assert names(store) == ["first", "in-doubt"]
        await store.commit(txn(a_pod("later")))
        await store.close()

    asyncio.run(story())
    asyncio.run(lives_with(device.mounted, ["first", "in-doubt", "later"]))


def test_a_store_on_a_disk_that_hangs_can_be_closed(device: Device) -> None:
    async def story() -> None:
        store = await SqliteStore.open(
            device.mounted / "store" / "gitward.db", device.mounted / "keys" / "store.key", Clock(),
            disk_seconds_max=0.3,
        )  # fmt: skip
        run("fsfreeze", "-f", device.mounted)
        commit = asyncio.create_task(store.commit(txn(a_pod("a"))))
        await asyncio.sleep(0)

        async with asyncio.timeout(5):
            await store.close()
            with pytest.raises(Unavailable, match="not answered"):
                await commit
        run("fsfreeze", "-u", device.mounted)
        store._writer._thread.join(5)
        os.close(store._lock)

    asyncio.run(story())


def test_a_disk_that_turns_read_only_says_so_and_keeps_what_it_has(device: Device) -> None:
    async def story() -> None:
        store = await open_sqlite(device.mounted)
        await store.commit(txn(a_pod("first")))
        run("mount", "-o", "remount,abort", device.mounted)

        for message in ("the disk failed, see `dmesg`|make that directory writable",) * 2:
            with pytest.raises(Unavailable, match=message):
                await store.commit(txn(a_pod("refused")))
        assert names(store) == ["first"]
        with suppress(Exception):
            await store.close()

    asyncio.run(story())
    asyncio.run(lives_with(device.after_a_power_cut(), ["first"]))
