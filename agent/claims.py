"""The PersistentVolumes of the cluster, followed: what claims are bound to, and whose data this node is to remove."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

from agent.memory import Memory, remembering
from agent.pods.pods import Pods
from agent.volumes.persistent import Persistent
from gitops.client import Client
from gitops.kinds.core.storage import DATA_FINALIZER, PERSISTENT_VOLUME, PersistentVolume, hosts_of
from gitops.kinds.errors import GitwardError, NotFound
from gitops.kinds.objects import is_going, uid

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 10.0


class Claims:
    """Keeps `persistent` current. `pods`: those of this node, once there are any."""

    def __init__(
        self,
        client: Client,
        node: str,
        persistent: Persistent,
        pods: Callable[[], Pods | None],
        memory: Memory | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._memory, self._sleep = memory, sleep
        self._ending: dict[str, PersistentVolume] = {}  # By name: their data is to go.
        self._some = asyncio.Event()
        self._client, self._node, self._persistent, self._pods = client, node, persistent, pods
        self._listed = asyncio.Event()

    async def listed(self) -> None:
        """Waits until all volumes are known: a pod must not be told that it waits for what is there."""
        await self._listed.wait()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self.end())

    async def end(self) -> None:
        """For ever: the data of volumes that are being deleted, beside what else is told. What fails is tried again."""
        while True:
            await self._some.wait()
            self._some.clear()
            for name, volume in list(self._ending.items()):
                if await self._ended(volume) and self._ending.get(name) is volume:
                    del self._ending[name]
            if self._ending:
                await self._sleep(RETRY_SECONDS)
                self._some.set()

    def note(self, volume: PersistentVolume) -> None:
        """As the API has it now."""
        name = volume["metadata"].get("name", "")
        self._persistent.volumes[name] = volume
        self._tell(volume)
        if self._is_ours_to_end(volume):
            self._ending[name] = volume
            self._some.set()

    async def _follow(self) -> None:
        async with aclosing(remembering(self._memory, self._client, PERSISTENT_VOLUME)) as events:
            async for event in events:
                volume = event.object
                if volume is None:
                    self._listed.set()
                elif event.type == "DELETED":
                    self._persistent.volumes.pop(volume["metadata"].get("name", ""), None)
                    self._ending.pop(volume["metadata"].get("name", ""), None)
                else:
                    self.note(volume)

    def _tell(self, volume: PersistentVolume) -> None:
        """The pods that wait for it."""
        reference, pods = volume["spec"].get("claimRef"), self._pods()
        if reference is None or pods is None:
            return
        for pod in pods.pods():
            named = {
                one["persistentVolumeClaim"]["claimName"]
                for one in pod["spec"].get("volumes", ())
                if "persistentVolumeClaim" in one
            }
            same = pod["metadata"].get("namespace") == reference.get("namespace")
            if same and reference.get("name", "") in named:
                pods.content_changed(uid(pod))

    def _is_ours_to_end(self, volume: PersistentVolume) -> bool:
        """Whether it is being deleted, and this node holds its data."""
        finalizers = volume["metadata"].get("finalizers") or []
        if not is_going(volume) or finalizers != [DATA_FINALIZER] or self._node not in hosts_of(volume):
            return False  # While Kubernetes' own finalizer is there, a claim has it.
        return volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" and "csi" in volume["spec"]

    async def _ended(self, volume: PersistentVolume) -> bool:
        """Its data removed, and said so."""
        meta = volume["metadata"]
        name = meta.get("name", "")
        try:
            await asyncio.to_thread(self._persistent.remove_data, volume)
            left: list[str] = []
            wanted = {"finalizers": left, "resourceVersion": meta.get("resourceVersion")}
            await self._client.patch(PERSISTENT_VOLUME, "", name, {"metadata": wanted})
        except NotFound:
            return True
        except (GitwardError, OSError) as error:
            log.warning(
                "data of a volume not removed", extra={"fields": {"volume": name, "error": str(error)}}
            )
            return False
        log.info("data of a volume removed", extra={"fields": {"volume": name}})
        return True
