"""The PersistentVolumes of the cluster, followed: what claims are bound to, and whose data this node is to remove."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from agent.memory import Memory, remembering
from agent.pods.pods import Pods
from agent.volumes.persistent import Persistent
from gitops.client import Client
from gitops.kinds.core.storage import DATA_FINALIZER, PERSISTENT_VOLUME, PersistentVolume, hosts_of
from gitops.kinds.errors import GitwardError
from gitops.kinds.objects import is_going, uid

log = logging.getLogger(__name__)


class Claims:
    """Keeps `persistent` current. `pods`: those of this node, once there are any."""

    def __init__(
        self,
        client: Client,
        node: str,
        persistent: Persistent,
        pods: Callable[[], Pods | None],
        memory: Memory | None = None,
    ) -> None:
        self._memory = memory
        self._client, self._node, self._persistent, self._pods = client, node, persistent, pods
        self._listed = asyncio.Event()

    async def listed(self) -> None:
        """Waits until all volumes are known: a pod must not be told that it waits for what is there."""
        await self._listed.wait()

    async def run(self) -> None:
        """For ever."""
        async with aclosing(remembering(self._memory, self._client, PERSISTENT_VOLUME)) as events:
            async for event in events:
                volume = event.object
                if volume is None:
                    self._listed.set()
                elif event.type == "DELETED":
                    self._persistent.volumes.pop(volume["metadata"].get("name", ""), None)
                else:
                    self._persistent.volumes[volume["metadata"].get("name", "")] = volume
                    self._tell(volume)
                    await self._end(volume)

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

    async def _end(self, volume: PersistentVolume) -> None:
        """The data of a volume that is being deleted, and that this node holds: removed, and said so."""
        meta = volume["metadata"]
        finalizers = meta.get("finalizers") or []
        if not is_going(volume) or finalizers != [DATA_FINALIZER] or self._node not in hosts_of(volume):
            return  # While Kubernetes' own finalizer is there, a claim has it.
        if volume["spec"]["persistentVolumeReclaimPolicy"] != "Delete" or "csi" not in volume["spec"]:
            return
        name = meta.get("name", "")
        try:
            await asyncio.to_thread(self._persistent.remove_data, volume)
            left: list[str] = []
            wanted = {"finalizers": left, "resourceVersion": meta.get("resourceVersion")}
            await self._client.patch(PERSISTENT_VOLUME, "", name, {"metadata": wanted})
        except (GitwardError, OSError) as error:
            # It is seen again at the next change, or when the agent starts anew.
            log.warning(
                "data of a volume not removed", extra={"fields": {"volume": name, "error": str(error)}}
            )
        else:
            log.info("data of a volume removed", extra={"fields": {"volume": name}})
