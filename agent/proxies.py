"""`NodeNetwork`: links, services, DNS and ingress of one node behind one door.

`sync` hands over what the API says; each part has a loop that brings it to the newest state, again and again until it
succeeds, so a part that fails holds up no other. `close` leaves it all at work: running pods need it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent import dns, ingress, services
from agent.api_door import ApiDoor
from agent.dns.driver import DnsDriver, DnsSettings
from agent.dns.table import DnsTable
from agent.dns.upstream import of_host
from agent.helpers import Spawn, spawn_process
from agent.ingress import IngressDriver, IngressSettings, Trouble
from agent.network import Network, NetworkSettings, Peer, peers_of
from agent.parts import Parts
from agent.services import PeerRange, RuleSettings, ServicesDriver, ServiceTable
from agent.services.health import HealthServer
from agent.services.strangers import has_stranger, without_strangers
from agent.services.table import HostPort, Slices, by_service, has_others
from agent.services.watch import RulesWatch
from agent.withdrawal import a_second
from gitops.kinds.core.config import Secret
from gitops.kinds.core.node import Node
from gitops.kinds.core.service import Service
from gitops.kinds.discovery import EndpointSlice
from gitops.kinds.errors import Unavailable
from gitops.kinds.networking import Ingress

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 3.0  # How soon what is flushed is put back where nobody tells of it.
PUBLISH_SECONDS_MAX: Final = 10.0
WITHOUT_SECONDS_MAX: Final = 2.0
FLOWS_POLL_SECONDS: Final = 0.1
INGRESS_PART: Final = "ingress"
API_PART: Final = "way to the API"
PEERS_PART: Final = "other nodes"
SERVICES_PART: Final = "services"
RESOLV_CONF: Final = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class NodeNetworkSettings:
    """`run_dir` is short (a socket's path has 107 bytes) and gone after a reboot.

    `ingress_…`: ADDRESS:PORT; '': nowhere.
    """

    network: NetworkSettings
    run_dir: Path
    ingress_http: str
    ingress_https: str
    api_url: str = ""  # Of the master, as this node reaches it; '': no way of pods to the API is kept.
    resolv_conf: Path = RESOLV_CONF
    service_proxy: str = "auto"  # auto, iptables or nftables.
    spawn: Spawn = spawn_process  # How DNS and proxy are started.


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What the API says now. `secrets`: at least those that an ingress names."""

    services: tuple[Service, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()
    ingresses: tuple[Ingress, ...] | None = ()  # None: not known yet; the proxy is left as it is.
    secrets: tuple[Secret, ...] = ()
    nodes: tuple[Node, ...] = ()


class NodeNetwork:
    def __init__(
        self,
        settings: NodeNetworkSettings,
        *,
        waits_for_pods: bool = False,
        left_out: Callable[[str], Awaitable[None]] = a_second,
    ) -> None:
        """`waits_for_pods`: an earlier agent's rules stay until `adopted`, since they publish ports of running pods.

        `left_out`: returns once other nodes send nothing new to a pod of this one.
        """
        network = settings.network
        self._host_ports: dict[str, tuple[HostPort, ...]] = {}  # By pod uid.
        self._owners: dict[str, str] = {}  # Address -> uid of the pod of this node that has it.
        self._adopted = asyncio.Event()
        if not waits_for_pods:
            self._adopted.set()
        self._settings, self._left_out = settings, left_out
        self._network = Network(network)
        self._services = ServicesDriver(
            RuleSettings(
                network.pod_cidr,
                network.cluster_pod_cidr,
                network.service_cidr,
                network.gateway,
                network.dns_address,
            ),
            settings.service_proxy,
        )
        self._dns = DnsDriver(
            DnsSettings(network.dns_address, network.state_dir / "dns.json", settings.run_dir, settings.spawn)
        )
        self._ingress = IngressDriver(
            IngressSettings(
                settings.ingress_http,
                settings.ingress_https,
                network.state_dir / "ingress",
                settings.run_dir,
                settings.spawn,
            )
        )
        self._health = HealthServer()
        self._parts = Parts(
            ClusterState(),
            {
                PEERS_PART: self._apply_peers,
                SERVICES_PART: self._apply_services,
                "health checks": self._apply_health_checks,
                "dns": self._apply_dns,
                INGRESS_PART: self._apply_ingress,
            },
        )
        self._door = ApiDoor(network.gateway, settings.api_url) if settings.api_url else None
        self._proxy_runs = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def dns_address(self) -> str:
        return self._settings.network.dns_address

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong with Ingress objects, as of the last plan that was applied."""
        return self._ingress.troubles

    @property
    def problems(self) -> Mapping[str, str]:
        """What pods need and this node cannot do now: part -> why. Not the proxy: a taken port 80 stops no pod."""
        return {part: why for part, why in self._parts.problems.items() if part != INGRESS_PART}

    @property
    def serves_ingress(self) -> bool | None:
        """Whether requests are answered here. None: not known yet. A proxy that is only being started again serves."""
        if not self._ingress.is_on:
            return False
        if self.ingress_problem:
            return self._ingress.helper.is_running()
        return True if self._ingress.applied is not None else None

    @property
    def ingress_problem(self) -> str:
        """Why this node's proxy does not follow the newest state; '' if it does."""
        return self._parts.problems.get(INGRESS_PART, "")

    async def setup(self) -> None:
        """Bridge, guards and DNS are there when it returns. Raises Invalid or Unavailable: no pod can run then."""
        await self._network.setup()
        self._owners |= {address: uid for uid, address in (await self._network.attached()).items()}
        # The guards stand before the first pod does; what an earlier agent left stays until the first state is known.
        if not await self._services.take_over():
            await self._services.apply(ServiceTable())
        await self._dns.start(self._dns_table((), {}))
        if await self._ingress.start():
            self._proxy_runs.set()
        await self._open_door()
        works = [self._keep_rules(), self._dns.helper.keep(), self._keep_proxy()]
        self._tasks += [asyncio.create_task(work) for work in (*works, *self._parts.loops())]

    async def sync(self, state: ClusterState) -> None:
        """Hand over the newest state; `problems` says what does not get there."""
        self._parts.hand_over(state)

    async def settled(self) -> None:
        """Returns once every part is at the newest state; the caller sets the bound."""
        await self._parts.settled()

    def pick_address(self, used: Iterable[str]) -> str:
        """A free pod address of this node. Raises Unavailable if there is none."""
        return self._network.pick_address(used)

    async def attach(self, pid: int, address: str, uid: str) -> None:
        """Wire the network namespace of `pid`. Repeatable; raises Unavailable.

        Nothing that is meant for a pod that had the address before gets there.
        """
        if self._owners.get(address) != uid:
            self._owners[address] = uid
            if self._parts.number and has_stranger(self._parts.state.slices, address, uid):
                await self._renew_services("the address of a pod that is gone is not free yet")
        await self._network.attach(pid, address, uid)

    async def publish(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        """These ports of the node lead to the pod, from now until it is detached. Raises Unavailable."""
        if self._host_ports.get(uid, ()) == ports:
            return
        self._host_ports[uid] = ports
        if not (self._parts.number and self._adopted.is_set()):
            return  # They come with the first state.
        await self._renew_services("ports of the node are not published")

    async def _renew_services(self, trouble: str) -> None:
        """The rules say what is known now when it returns. Raises Unavailable."""
        self._parts.hand_over(self._parts.state)
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await self._parts.reached(SERVICES_PART)
        except TimeoutError:
            why = self._parts.problems.get(SERVICES_PART, "the rules are not written yet")
            raise Unavailable(f"{trouble}: {why}") from None

    def adopted(self) -> None:
        """The ports of all pods that ran when the agent began are published."""
        self._adopted.set()

    async def detach(self, uid: str) -> None:
        await self._network.detach(uid)
        # The kernel is not asked who had it: mostly the link has gone with its sandbox by now.
        for address in [one for one, owner in self._owners.items() if owner == uid]:
            await self._services.forget(address)
            del self._owners[address]
        if self._host_ports.pop(uid, ()) and self._parts.number:
            self._parts.hand_over(self._parts.state)

    async def attached(self) -> dict[str, str]:
        """Pod uid -> address."""
        return await self._network.attached()

    async def without(self, pod_ip: str, timeout_seconds: float = WITHOUT_SECONDS_MAX) -> None:
        """Returns once this node's proxies send nothing new to the pod, others had time to do the same, and it has no
        open flow; or at the bound."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._parts.until(lambda: not self._offers(pod_ip))
                state = self._parts.state
                if self._peers(state) and has_others(self._slices(state), pod_ip):
                    await self._left_out(pod_ip)
                while await self._has_flows(pod_ip):
                    await asyncio.sleep(FLOWS_POLL_SECONDS)
        except TimeoutError:
            log.debug("a pod is still in use", extra={"fields": {"address": pod_ip}})

    async def unoffered(self, addresses: Collection[str]) -> None:
        """Returns once nothing of this node sends anything new to any of them; the caller sets the bound."""
        await self._parts.until(lambda: not any(map(self._offers, addresses)))

    async def is_out(self, pod_ip: str) -> bool:
        """Whether nothing on this node sends to the pod, and nobody's flow is open."""
        return not self._offers(pod_ip) and not await self._has_flows(pod_ip)

    async def close(self) -> None:
        """Stop watching. Links, rules, DNS and proxy stay at work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._door is not None:
            await self._door.close()
        self._health.close()
        await self._services.close()

    def _offers(self, pod_ip: str) -> bool:
        """Whether new requests come to the pod although others could take them: the last of its service does not count.

        Before the first state it is not known what an earlier agent's rules and proxy do: assume so.
        """
        table, plan = self._services.applied, self._ingress.applied
        services_offer = table.offers(pod_ip) if table is not None else True
        ingress_offers = plan.offers(pod_ip) if plan is not None else self._proxy_runs.is_set()
        return services_offer or ingress_offers

    async def _has_flows(self, pod_ip: str) -> bool:
        try:
            counts = await asyncio.gather(self._services.open_flows(pod_ip), self._ingress.open_flows(pod_ip))
        except Unavailable as error:
            log.warning("open flows are not known", extra={"fields": {"error": str(error)}})
            return True
        return sum(counts) > 0

    def _dns_table(self, of: Iterable[Service], slices: Slices) -> DnsTable:
        network = self._settings.network
        return dns.build(
            of,
            slices,
            pod_cidr=network.cluster_pod_cidr,
            service_cidr=network.service_cidr,
            upstreams=of_host(self._settings.resolv_conf, except_for=(network.dns_address,)),
        )

    def _peers(self, state: ClusterState) -> tuple[Peer, ...]:
        network = self._settings.network
        return peers_of(state.nodes, network.node, network.pod_cidr)

    async def _apply_peers(self, state: ClusterState) -> None:
        await self._network.connect(self._peers(state))

    def _slices(self, state: ClusterState) -> Slices:
        return by_service(without_strangers(state.slices, self._owners))

    def _service_table(self, state: ClusterState) -> ServiceTable:
        network, slices = self._settings.network, self._slices(state)
        return services.build(
            state.services,
            self._door.leads(slices) if self._door is not None else slices,
            node=network.node,
            service_cidr=network.service_cidr,
            reserved=frozenset({network.dns_address}),
        )

    async def _apply_health_checks(self, state: ClusterState) -> None:
        await self._health.apply(self._service_table(state).health_checks)

    async def _apply_services(self, state: ClusterState) -> None:
        self._services.let_in(tuple(PeerRange(one.pod_cidr, one.address) for one in self._peers(state)))
        table = self._service_table(state)
        await self._adopted.wait()
        host_ports = tuple(sorted(one for ports in self._host_ports.values() for one in ports))
        await self._services.apply(replace(table, host_ports=host_ports))

    async def _apply_dns(self, state: ClusterState) -> None:
        await self._dns.apply(self._dns_table(state.services, self._slices(state)))

    async def _apply_ingress(self, state: ClusterState) -> None:
        if state.ingresses is None:
            return
        secrets = {
            (each["metadata"].get("namespace", ""), each["metadata"].get("name", "")): each
            for each in state.secrets
        }
        await self._ingress.apply(ingress.plan(state.ingresses, state.services, self._slices(state)), secrets)
        if self._ingress.is_on:
            self._proxy_runs.set()

    async def _open_door(self) -> None:
        """Tried again and again: a port that is taken may be given back."""
        if self._door is None or self._door.is_open:
            return
        if await self._parts.attempt(API_PART, self._door.start()) and self._parts.number:
            self._parts.hand_over(self._parts.state)

    async def _keep_rules(self) -> None:
        """Rules that others changed are looked at at once: until they are back, strangers may reach pods."""
        watch = RulesWatch()
        watch.start()
        try:
            while True:
                changed = await watch.wait(CHECK_SECONDS)
                await self._parts.attempt("rules", self._services.check())
                if changed:
                    continue
                await self._open_door()
                await self._parts.attempt("network", self._network.setup())
                if self._parts.number:
                    await self._parts.attempt(PEERS_PART, self._apply_peers(self._parts.state))
        finally:
            watch.close()

    async def _keep_proxy(self) -> None:
        await self._proxy_runs.wait()
        await self._ingress.helper.keep()
