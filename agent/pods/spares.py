"""Sandboxes made ahead, so that a new pod need not wait for one: a sandbox is half of what a small pod costs to start.

They are made one by one while no pod starts or ends, read back after a restart, and belong to no pod until one takes
them. Each keeps an address of the node. What costs memory at rest is the engine's shim of each, not the sandbox.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from time import monotonic
from typing import Final, NamedTuple

from agent.pods.addresses import Addresses
from agent.runtime.protocol import LABEL_ADDRESS, ContainerState, Phase, Runtime
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import GitwardError
from gitops.kinds.objects import uid

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 1.0  # So long after a pod last started or ended the next is not expected right away.
CHECK_SECONDS: Final = 30.0  # Between two looks at whether those that wait still run.
HAND_OVER_SECONDS: Final = 120.0  # What a pod took and did not use by then is removed.


class Spare(NamedTuple):
    id: str
    address: str


class Spares:
    """`count` of them wait on this node when it is at rest."""

    def __init__(
        self,
        runtime: Runtime,
        addresses: Addresses,
        count: int,
        *,
        pod_cidr: str,
        new_key: Callable[[], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Those outside of `pod_cidr` are from before the node got another range, and are removed."""
        self._runtime, self._addresses, self._count = runtime, addresses, count
        self._range, self._new_key = IPv4Network(pod_cidr), new_key
        self._sleep, self._clock = sleep, clock
        self._waiting: dict[str, Spare] = {}
        self._taken: dict[str, float] = {}  # Id -> when, by the clock.
        self._last_use = clock()
        self._used = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, pod: Pod) -> Spare | None:
        """One for a pod that starts now, its address with it; None: there is none that does for it.

        A pod that has an address has had its first try: whatever came of that bears its name.
        """
        self.postpone()
        self._used.set()
        if not self._waiting or self._addresses.has(uid(pod)) or not may_be_spare(pod):
            return None
        spare = self._waiting.pop(next(iter(self._waiting)))
        self._taken[spare.id] = self._clock()
        self._addresses.release(_holder(spare.id))
        self._addresses.known(uid(pod), spare.address)
        return spare

    def postpone(self) -> None:
        """A pod starts or ends, which is not to wait for what nobody waits for."""
        self._last_use = self._clock()

    async def look(self) -> None:
        """Compare with what the engine has: what ended, is too much or was never used goes. Raises Unavailable."""
        found = {state.id: state for state in await self._runtime.spares()}
        for spare_id in self._waiting.keys() - found.keys():
            self._forget(spare_id)
        self._taken = {spare_id: at for spare_id, at in self._taken.items() if spare_id in found}
        for state in found.values():
            taken_at = self._taken.get(state.id)
            if taken_at is not None:
                if self._clock() - taken_at > HAND_OVER_SECONDS:
                    await self._runtime.remove(state.id)
            elif not self._does(state):
                self._forget(state.id)
                await self._runtime.remove(state.id)
            else:
                self._keep(state)

    async def run(self) -> None:
        """For ever: as many as wanted, whenever nothing else is being started."""
        while True:
            try:
                await self._fill()
            except GitwardError as error:
                log.debug("no spare sandbox", extra={"fields": {"error": str(error)}})
            self._used.clear()
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._used.wait()
            except TimeoutError:
                continue

    async def _fill(self) -> None:
        await self.look()
        while self.waiting < self._count:
            quiet = self._clock() - self._last_use
            if quiet < QUIET_SECONDS:
                await self._sleep(QUIET_SECONDS - quiet)
                continue
            await self._make()

    async def _make(self) -> None:
        key = self._new_key()
        address = self._addresses.take(_holder(key))
        try:
            self._keep(await self._runtime.make_spare(key, address))
        finally:
            self._addresses.release(_holder(key))

    def _does(self, state: ContainerState) -> bool:
        """Whether it runs and is wanted. One that is new to us may bear the address of a pod that did not take it."""
        address = state.labels.get(LABEL_ADDRESS, "")
        if state.phase is not Phase.RUNNING or not address or IPv4Address(address) not in self._range:
            return False
        if state.id in self._waiting:
            return True
        return self.waiting < self._count and not self._addresses.is_used(address)

    def _keep(self, state: ContainerState) -> None:
        spare = Spare(state.id, state.labels[LABEL_ADDRESS])
        self._waiting[spare.id] = spare
        self._addresses.known(_holder(spare.id), spare.address)

    def _forget(self, spare_id: str) -> None:
        self._waiting.pop(spare_id, None)
        self._addresses.release(_holder(spare_id))


def may_be_spare(pod: Pod) -> bool:
    """Whether a sandbox that was made without knowing the pod does for it.

    Not one that needs other namespaces, sysctls, a runtime or ports of its own; nor one whose name others rely on: a
    container of a spare sandbox gets its hostname a moment before its program runs, not at its making.
    """
    spec, meta = pod["spec"], pod["metadata"]
    if any(spec.get(name) for name in NEEDS_ITS_OWN) or "hostUsers" in spec:
        return False
    if spec.get("securityContext", {}).get("sysctls"):
        return False
    if any(one["kind"] == "StatefulSet" for one in meta.get("ownerReferences", ())):
        return False
    containers = (*spec.get("initContainers", ()), *spec["containers"])
    return not any(port.get("hostPort") for one in containers for port in one.get("ports", ()))


NEEDS_ITS_OWN: Final = (
    "hostNetwork",
    "hostIPC",
    "hostPID",
    "shareProcessNamespace",
    "runtimeClassName",
    "hostname",
    "hostnameOverride",
    "subdomain",
    "setHostnameAsFQDN",
)


def _holder(key: str) -> str:
    """In the list of who has which address: never a pod's uid."""
    return f"spare/{key}"
