"""Images that the agent pulled, and their removal when the disk gets full: only those, and never one in use.

What was pulled is remembered in a file, since an image can bear no label of ours: what somebody else loaded or pulled
is theirs. The one that has not been used for the longest goes first.
Source: kubernetes/pkg/kubelet/images/image_gc_manager.go, 1.35; "Garbage collection of unused images".
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from agent.runtime.protocol import ImageState, Runtime
from gitops.kinds.errors import GitwardError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 300.0  # The kubelet's.
AGE_MIN: Final = timedelta(minutes=2)  # What was pulled just now is about to be used.


class Disk(NamedTuple):
    """Where the engine keeps images."""

    size_bytes: int
    free_bytes: int

    @property
    def used_percent(self) -> float:
        return 100 * (1 - self.free_bytes / self.size_bytes) if self.size_bytes else 0.0


class PulledImage(NamedTuple):
    reference: str
    size_bytes: int
    used_at: datetime


def doomed(images: Iterable[PulledImage], in_use: frozenset[str], now: datetime) -> tuple[PulledImage, ...]:
    """Those that may go, in the order in which they go."""
    free = (one for one in images if one.reference not in in_use and now - one.used_at >= AGE_MIN)
    return tuple(sorted(free, key=lambda one: (one.used_at, one.reference)))


def to_free_bytes(disk: Disk, high_percent: int, low_percent: int) -> int:
    """How much is to go, so that use falls to the lower bound; 0 while it is below the higher one."""
    if disk.used_percent < high_percent:
        return 0
    return max(disk.size_bytes * (100 - low_percent) // 100 - disk.free_bytes, 0)


class Images:
    """`in_use`: the references of all pods of the node and of their containers."""

    def __init__(
        self,
        runtime: Runtime,
        file: Path,
        disk: Callable[[], Disk],
        in_use: Callable[[], frozenset[str]],
        clock: Callable[[], datetime],
    ) -> None:
        self._runtime, self._file, self._disk, self._in_use = runtime, file, disk, in_use
        self._clock = clock
        self._known = _read(file)
        self._collecting = asyncio.Lock()

    def pulled(self, reference: str, image: ImageState) -> None:
        self._known[reference] = PulledImage(reference, image.size_bytes, self._clock())
        self._write()

    async def run(self, high_percent: int, low_percent: int) -> None:
        """For ever: collects when the disk is fuller than `high_percent`."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                disk = await asyncio.to_thread(self._disk)
                wanted = to_free_bytes(disk, high_percent, low_percent)
                freed = await self.collect(wanted) if wanted else 0
            except (GitwardError, OSError) as error:
                log.warning("images not collected", extra={"fields": {"error": str(error)}})
                continue
            if freed < wanted:
                facts = {"used_percent": round(disk.used_percent), "wanted": wanted, "freed": freed}
                log.warning("the disk of images is full, and no more image may go", extra={"fields": facts})

    async def collect(self, wanted_bytes: int) -> int:
        """Removes unused images until the disk has that much more; how much more it has. Raises Unavailable."""
        async with self._collecting:
            now, in_use = self._clock(), self._in_use()
            self._touch(in_use, now)
            before = (await asyncio.to_thread(self._disk)).free_bytes
            freed = 0
            for image in doomed(self._known.values(), in_use, now):
                if freed >= wanted_bytes:
                    break
                if await self._runtime.remove_image(image.reference):
                    del self._known[image.reference]
                    facts = {"image": image.reference, "size_bytes": image.size_bytes}
                    log.info("unused image removed", extra={"fields": facts})
                freed = (await asyncio.to_thread(self._disk)).free_bytes - before
            self._write()
            return max(freed, 0)

    def _touch(self, in_use: frozenset[str], now: datetime) -> None:
        for reference in in_use & self._known.keys():
            self._known[reference] = self._known[reference]._replace(used_at=now)

    def touch(self) -> None:
        """What is used now is remembered as used now."""
        self._touch(self._in_use(), self._clock())

    def _write(self) -> None:
        found = [[one.reference, one.size_bytes, one.used_at.timestamp()] for one in self._known.values()]
        fresh = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(0o700, parents=True, exist_ok=True)
            fresh.write_bytes(orjson.dumps(found))
            fresh.replace(self._file)
        except OSError as error:
            # Then these images stay for ever, which harms nobody's containers.
            log.warning("pulled images are not remembered", extra={"fields": {"error": str(error)}})


def disk_of(folder: Path, otherwise: Path) -> Callable[[], Disk]:
    """Of the engine's folder where it can be seen from here, else of ours."""

    def look() -> Disk:
        found = os.statvfs(folder if folder.exists() else otherwise)
        return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    return look


def _read(file: Path) -> dict[str, PulledImage]:
    try:
        found = orjson.loads(file.read_bytes())
        return {
            str(name): PulledImage(str(name), int(size), datetime.fromtimestamp(float(at), UTC))
            for name, size, at in found
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        log.warning("pulled images are not known", extra={"fields": {"file": str(file), "error": str(error)}})
        return {}
