"""What a simulated node has in place of a network and volumes: addresses and checks, and nothing of the host."""

from collections.abc import Collection, Iterable, Mapping

from agent.ingress import Trouble
from agent.network import pick
from agent.proxies import ClusterState
from agent.runtime.protocol import Mount
from agent.services.table import HostPort
from agent.volumes.content import files_of, has_content
from agent.volumes.disk import DiskUse
from agent.volumes.downward import Surroundings
from agent.volumes.references import Lookup
from gitops.kinds.core.pod import Container, Pod
from gitops.kinds.objects import uid


class SimulatedNetwork:
    """Addresses out of the node's range, which nobody can reach."""

    def __init__(self, pod_cidr: str) -> None:
        self._pod_cidr = pod_cidr
        self._last: str | None = None
        self.dns_address = ""
        self.problems: Mapping[str, str] = {}
        self.ingress_problem = ""
        self.troubles: tuple[Trouble, ...] = ()
        self.serves_ingress: bool | None = True  # As far as anybody is served here.

    def pick_address(self, used: Iterable[str]) -> str:
        self._last = pick(self._pod_cidr, frozenset(used), self._last)
        return self._last

    async def setup(self) -> None:
        return

    async def attach(self, pid: int, address: str, uid: str) -> None:
        return

    async def publish(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        return

    def adopted(self) -> None:
        return

    async def detach(self, uid: str) -> None:
        return

    async def without(self, pod_ip: str) -> bool:
        return True

    async def unoffered(self, addresses: Collection[str]) -> None:
        return

    async def sync(self, state: ClusterState) -> None:
        return

    async def close(self) -> None:
        return


class SimulatedVolumes:
    """Says what is missing, as a real node would; writes nothing."""

    def __init__(self) -> None:
        self._made: set[str] = set()

    async def ensure(self, pod: Pod, lookup: Lookup, around: Surroundings) -> None:
        for volume in pod["spec"].get("volumes", ()):
            if has_content(volume):
                files_of(pod, volume, lookup, around)
        self._made.add(uid(pod))

    async def mounts(
        self, pod: Pod, container: Container, values: Mapping[str, str], *, attempt: int
    ) -> tuple[Mount, ...]:
        return ()

    async def message(self, uid: str, container: str, attempt: int) -> str | None:
        return None

    async def message_use(self, uid: str) -> DiskUse:
        return DiskUse()

    async def disk_use(self, uid: str) -> Mapping[str, DiskUse]:
        return {}

    async def remove(self, uid: str) -> None:
        self._made.discard(uid)

    def has(self, uid: str) -> bool:
        return uid in self._made

    async def uids(self) -> frozenset[str]:
        return frozenset(self._made)
