"""Tells the API the status of one pod: the newest one, one write at a time, little changes gathered for a moment."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from agent.pods.means import PodApi
from gitops.kinds.core.pod import Pod, PodStatus, pod_status
from gitops.kinds.errors import Conflict, GitwardError, NotFound
from gitops.kinds.objects import key_of

log = logging.getLogger(__name__)

GATHER_SECONDS: Final = 1.0  # Most pods are running by then: one write instead of three.
RETRY_SECONDS: Final = 1.0
CONFLICT_SECONDS: Final = 0.2  # The watch brings the newer pod, mostly before.


class Reporter:
    """`stored` gets the pod as the API has it after each write. `offline`: the last write was not taken."""

    def __init__(self, api: PodApi, stored: Callable[[Pod], None]) -> None:
        self._api, self._stored = api, stored
        self._wanted: tuple[Pod, PodStatus] | None = None
        self._urgent = asyncio.Event()
        self._some = asyncio.Event()
        self.offline = False

    def want(self, pod: Pod, status: PodStatus) -> None:
        """The API shall say this of the pod. Equal to what it says: nothing is sent."""
        before = pod_status(pod)
        if status == before:
            self._wanted = None
            return
        self._wanted = (pod, status)
        self._some.set()
        if _summary(status) != _summary(before):
            self._urgent.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            try:
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self._some.clear()
            self._urgent.clear()
            if self._wanted is not None:
                await self._send(*self._wanted)

    async def _send(self, pod: Pod, status: PodStatus) -> None:
        try:
            stored = await self._api.report(pod, status)
        except NotFound:
            self._wanted = None  # The watch will say so too.
        except Conflict:
            await self._again(CONFLICT_SECONDS)
        except GitwardError as error:
            if not self.offline:
                log.warning(
                    "status not taken", extra={"fields": {"key": str(key_of(pod)), "error": str(error)}}
                )
            self.offline = True
            self._stored(pod)
            await self._again(RETRY_SECONDS)
        else:
            self.offline = False
            if self._wanted is not None and self._wanted[1] == status:
                self._wanted = None
            self._stored(stored)

    async def _again(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._some.set()
        self._urgent.set()


def _summary(status: PodStatus) -> object:
    """What others act on: told at once."""
    ready = [one["status"] for one in status.get("conditions", ()) if one["type"] == "Ready"]
    return status.get("phase", "Pending"), ready or ["False"]
