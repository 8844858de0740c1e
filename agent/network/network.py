"""`Network`: the pod network of one node for the event loop. Each call crosses to a thread and may be repeated."""

import asyncio
from collections.abc import Iterable
from typing import Final

from agent.network import bridge, ipam, links, overlay, sysctls
from agent.network.netlink import NetlinkError
from agent.network.peers import Peer
from agent.network.settings import NetworkSettings
from gitops.kinds.errors import Unavailable

LEAVE_SECONDS: Final = 1.0
LEAVE_POLL_SECONDS: Final = 0.02


class Network:
    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self._last_address: str | None = None
        self._mtu: int | None = None

    async def setup(self) -> None:
        """Bridge, addresses, routes, sysctls. Raises Invalid if another cluster or route is in the way."""
        await asyncio.to_thread(self._set_up)

    def _set_up(self) -> None:
        try:
            bridge.set_up(self.settings)  # First: it refuses before anything of the host was changed.
            sysctls.apply(self.settings.state_dir)
        except NetlinkError as error:
            raise Unavailable(f"cannot set up the pod network: {error}") from error

    def pick_address(self, used: Iterable[str]) -> str:
        """A free address of this node, by preference one that was not used lately."""
        self._last_address = ipam.pick(self.settings.pod_cidr, frozenset(used), self._last_address)
        return self._last_address

    async def attach(self, pid: int, address: str, uid: str) -> None:
        """Give the network namespace of `pid` an eth0 with `address`, and the node a route to it."""
        await asyncio.to_thread(self._attach, pid, address, uid)

    def _attach(self, pid: int, address: str, uid: str) -> None:
        if self._mtu is None:
            self._mtu = overlay.first_mtu(self.settings)
        links.attach(self.settings, pid, address, uid, self._mtu)

    async def connect(self, peers: tuple[Peer, ...]) -> None:
        """The ways to other nodes' pods are what these peers need when this returns. Raises Unavailable."""
        self._mtu = await asyncio.to_thread(overlay.connect, self.settings, peers)

    async def detach(self, uid: str) -> None:
        """A link goes by itself with its pod's namespace, which costs nothing; what does not is taken away."""
        for _ in range(int(LEAVE_SECONDS / LEAVE_POLL_SECONDS)):
            if not links.is_there(uid):
                return
            await asyncio.sleep(LEAVE_POLL_SECONDS)
        await asyncio.to_thread(links.detach, uid)

    async def attached(self) -> dict[str, str]:
        """Pod uid -> address, as the links themselves say."""
        return await asyncio.to_thread(links.attached, self.settings.cluster)
