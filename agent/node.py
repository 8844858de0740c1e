"""The composition root of the agent: engine, network, volumes, probes and the API, joined into one node.

`python -m agent.node --config FILE --parent PID` is the process that `gitward up` starts: it dies with its parent, and
whatever ends it leaves the pods running.
"""

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar

import uvloop

from agent import contained
from agent.claims import Claims
from agent.cluster import Cluster, follow_one
from agent.complaints import complain
from agent.contained import Contained
from agent.host import facts_of, host_file
from agent.logs import log_handler
from agent.memory import Memory, keep_pruned, remembering
from agent.pods.addresses import Addresses
from agent.pods.admission import Admission
from agent.pods.following import follow_pods
from agent.pods.means import Means, NodeFacts, PodApi
from agent.pods.names import Names
from agent.pods.pods import Pods
from agent.pods.security import confinement
from agent.pods.sources import Sources
from agent.pods.spares import Spares
from agent.pods.static_pods import StaticPods
from agent.pods.tokens import Tokens, asking
from agent.ports import dial_loopback, dial_simulated, port_handler
from agent.probes.checks import Checks, NetworkChecks, SimulatedChecks
from agent.proxies import NodeNetwork
from agent.registration import NodeFacts as RegisteredNode
from agent.registration import Registration
from agent.relief import readings_of
from agent.renewal import keep_certificate
from agent.reports import ApiReports
from agent.runtime.docker import DockerRuntime
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.runtime.protocol import Runtime
from agent.sessions import attach_handler, exec_handler
from agent.settings import CLUSTER_DOMAIN, NodeSettings, read_config, write_config
from agent.simulated import SimulatedNetwork, SimulatedVolumes
from agent.usage import CgroupReader, Idle, Sampler, usage_handler
from agent.volumes.persistent import Persistent
from agent.volumes.volumes import PodVolumes
from agent.wiring import network_settings, pulls_of, relief_of
from agent.withdrawal import OtherNodes, asking_master, withdrawn_handler
from gitops.client import Client, Credentials, Handler, logs, serve_reverse
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import GitwardError, Invalid, Unavailable

__all__ = ["NodeSettings", "run_node", "write_config"]

log = logging.getLogger(__name__)

R = TypeVar("R")

RETRY_SECONDS: Final = 2.0
EVERYWHERE: Final = ("", "*", "0.0.0.0", "::")  # noqa: S104 # What a listener says, not one of ours.
GRAVE_PARTS: Final = frozenset({"network", "rules", "services"})
PR_SET_PDEATHSIG: Final = 1
RESOLV_CONF: Final = Path("/etc/resolv.conf")
HOSTS: Final = Path("/etc/hosts")


def _now() -> datetime:
    return datetime.now(UTC)


async def run_node(settings: NodeSettings, client: Client) -> None:
    """The node, until cancelled; what runs on it is left running. Waits for whatever is not there yet."""
    async with AsyncExitStack() as stack:
        runtime = await _runtime(settings)
        stack.push_async_callback(runtime.close)
        container = None if settings.simulated else await _container(settings)
        await _Node(settings, client, runtime, stack, container).run()


async def _runtime(settings: NodeSettings) -> Runtime:
    if settings.simulated:
        settings.journal.parent.mkdir(parents=True, exist_ok=True)
        return FakeRuntime(_now, journal=settings.journal)
    return await _once_there(lambda: DockerRuntime.connect(settings.docker_host, cluster=settings.cluster))


async def _container(settings: NodeSettings) -> Contained | None:
    return await _once_there(lambda: asyncio.to_thread(contained.find, settings.docker_host))


async def _once_there(ask: Callable[[], Awaitable[R]]) -> R:
    """Asked until the engine answers."""
    told = ""
    while True:
        try:
            return await ask()
        except Unavailable as error:
            if str(error) != told:
                log.error("no engine yet: %s", error)
            told = str(error)
        await asyncio.sleep(RETRY_SECONDS)


class _Node:
    def __init__(
        self,
        settings: NodeSettings,
        client: Client,
        runtime: Runtime,
        stack: AsyncExitStack,
        container: Contained | None,
    ) -> None:
        self._settings, self._client, self._runtime, self._stack = settings, client, runtime, stack
        self._problem = "the agent is starting"
        self._memory = None if settings.simulated else Memory(settings.memory_dir)
        self._container = container
        self._persistent = Persistent(settings.persistent_dir, contained.same_of(container))
        self._pods: Pods | None = None
        self._relief = relief_of(settings)
        self._network: NodeNetwork | SimulatedNetwork | None = None

    async def run(self) -> None:
        settings, client = self._settings, self._client
        facts = await facts_of(settings, self._runtime)
        registration = Registration(
            client,
            facts,
            self._why_not_ready,
            lambda: self._ingress_address(facts.address),
            clock=_now,
            memory=self._memory,
            pressures=self._relief.conditions,
        )
        self._relief.changed = registration.look
        reports = ApiReports(client, settings.name, _now, lambda: token_hex(8))
        async with asyncio.TaskGroup() as group:
            group.create_task(registration.run())
            group.create_task(reports.run())
            if self._memory is not None:
                group.create_task(keep_pruned(self._memory))
            pod_cidr = await registration.pod_cidr()
            network = await self._ready_network(pod_cidr, facts.address)
            cluster = Cluster(client, network.sync, self._memory)
            group.create_task(cluster.run(group))
            await cluster.listed()
            claims = Claims(client, settings.name, self._persistent, lambda: self._pods, self._memory)
            group.create_task(claims.run())
            await claims.listed()
            static = StaticPods(settings.static_pods, settings.name, reports, lambda: registration.node)
            group.create_task(
                complain(
                    network,
                    lambda: registration.node,
                    cluster.ingresses,
                    lambda one: reports.event(one.about, "Warning", one.reason, one.message),
                    _now,
                )
            )
            pods = await self._make_pods(group, network, registration, static, cluster, pod_cidr)
            group.create_task(pods.run())
            group.create_task(self._follow_pods(pods, static))
            group.create_task(static.run(_now, asyncio.sleep))
            sampler = self._sampler(pods, facts)
            group.create_task(sampler.run())
            if not settings.simulated:
                root = Path(facts.engine.root_dir or settings.data_dir)
                read = readings_of(settings.data_dir, root)
                group.create_task(self._relief.run(pods, read, sampler.now, root))
            handlers = {**self._handlers(), "get": usage_handler(sampler)}
            group.create_task(serve_reverse(client, settings.name, handlers))
            self._problem = ""
            registration.look()
            log.info("node runs", extra={"fields": {"node": settings.name}})

    def _sampler(self, pods: Pods, facts: RegisteredNode) -> Sampler:
        settings = self._settings
        source = Idle() if settings.simulated else CgroupReader()
        return Sampler(
            settings.name,
            facts.engine.cpus,
            settings.data_dir,
            lambda: pods.states,
            pods.pods,
            _now,
            source,
            networks=not settings.simulated,
        )

    def _handlers(self) -> dict[str, Handler]:
        """What the master may ask of this node."""
        dial = dial_simulated if self._settings.simulated else dial_loopback
        return {
            "logs": log_handler(self._runtime, lambda: self._pods),
            "exec": exec_handler(self._runtime, lambda: self._pods),
            "attach": attach_handler(self._runtime, lambda: self._pods),
            "withdrawn": withdrawn_handler(lambda: self._network),
            "portforward": port_handler(self._runtime, lambda: self._pods, dial),
        }

    def _why_not_ready(self) -> str:
        """A proxy or DNS that fails is told by its own log: evicting the pods would not help them."""
        problems = self._network.problems if self._network is not None else {}
        engine = self._pods.engine_problem if self._pods is not None else ""
        grave = [f"{part}: {why}" for part, why in problems.items() if part in GRAVE_PARTS]
        return self._problem or engine or "; ".join(grave)

    def _ingress_address(self, own: str) -> str | None:
        """Where this node's ingress is reached: its own address, unless the proxy listens on another one alone."""
        serves = self._network.serves_ingress if self._network is not None else None
        if not serves:
            return None if serves is None else ""
        listens = (self._settings.ingress_http or self._settings.ingress_https).rpartition(":")[0].strip("[]")
        return own if listens in EVERYWHERE else listens

    async def _ready_network(self, pod_cidr: str, address: str) -> NodeNetwork | SimulatedNetwork:
        """Tried until it is there: a range or port that is taken may be given back."""
        settings = self._settings
        wanted = network_settings(settings, pod_cidr, address, self._container, self._client.credentials.url)
        others = OtherNodes(asking_master(self._client, settings.name))
        network = (
            SimulatedNetwork(pod_cidr)
            if settings.simulated
            else NodeNetwork(wanted, waits_for_pods=True, left_out=others.left_out)
        )
        told = ""
        while True:
            try:
                await network.setup()
            except (Invalid, Unavailable) as error:
                self._problem = f"network: {error}"
                if told != str(error):
                    log.error("no pod network yet: %s", error)
                told = str(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._stack.push_async_callback(network.close)
                self._network = network
                return network

    async def _make_pods(
        self,
        group: asyncio.TaskGroup,
        network: NodeNetwork | SimulatedNetwork,
        registration: Registration,
        api: PodApi,
        cluster: Cluster,
        pod_cidr: str,
    ) -> Pods:
        settings, facts = self._settings, registration.facts
        volumes = (
            SimulatedVolumes() if settings.simulated else PodVolumes(settings.volumes_dir, self._persistent)
        )
        ask = None if settings.simulated else asking(self._client)
        tokens = Tokens(ask, lambda pod_uid: pods.content_changed(pod_uid), _now)
        group.create_task(tokens.run())
        sources = Sources(
            lambda kind, namespace, name: follow_one(self._client, kind, namespace, name, self._memory),
            lambda pod_uid: pods.content_changed(pod_uid),
            tokens,
        )
        addresses = Addresses(network)
        spares = Spares(
            self._runtime,
            addresses,
            settings.spare_sandboxes,
            pod_cidr=pod_cidr,
            new_key=lambda: token_hex(6),
        )
        pulls = pulls_of(
            settings, self._runtime, facts.engine.root_dir, lambda: pods.images(), group, self._relief
        )
        means = Means(
            runtime=self._runtime,
            network=network,
            volumes=volumes,
            sources=sources,
            addresses=addresses,
            checks=self._checks(),
            api=api,
            node=NodeFacts(
                settings.name,
                facts.address,
                facts.allocatable,
                facts.engine.memory_bytes,
                Names(CLUSTER_DOMAIN, network.dns_address, host_file(RESOLV_CONF), host_file(HOSTS)),
                confinement(facts.engine, settings.seccomp_dir),
                settings.limits.pids_max,
                settings.unsafe_sysctls,
            ),
            services=cluster.services,
            clock=_now,
            group=group,
            pulls=pulls,
            simulated=settings.simulated,
            spares=None if settings.simulated else spares,
            admission=Admission(
                settings.name,
                facts.allocatable,
                lambda: registration.labels,
                self._relief.conditions,
                lambda: registration.taints,
            ),
        )
        left = await volumes.uids()
        pods = self._pods = Pods(means, lambda: left)
        while True:
            try:
                await pods.adopt()
            except Unavailable as error:
                log.warning("what runs here is not known yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return pods

    def _checks(self) -> Checks:
        if self._settings.simulated:
            return SimulatedChecks(_now, READY_AFTER)
        checks = NetworkChecks(self._runtime)
        self._stack.push_async_callback(checks.close)
        return checks

    async def _follow_pods(self, pods: Pods, static: StaticPods) -> None:
        selector = f"spec.nodeName={self._settings.name}"
        events = remembering(self._memory, self._client, POD, field_selector=selector)
        async with aclosing(events):
            await follow_pods(events, pods, static)


async def _renewing_node(settings: NodeSettings, client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(
            keep_certificate(client, settings.name, lambda renewed: write_config(settings, renewed), _now)
        )
        group.create_task(run_node(settings, client))


def main() -> None:
    """The agent's process."""
    parser = argparse.ArgumentParser(prog="python -m agent.node", description="Gitward's node agent.")
    parser.add_argument("--config", type=Path, required=True, help="written by `gitward up`")
    parser.add_argument("--parent", type=int, required=True, help="the process whose end is this one's too")
    told = parser.parse_args()
    config: Path = told.config
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != told.parent:
        return  # It died while we started: nobody would ever end us, and a second agent may come.
    logs.configure()
    try:
        run_process(*read_config(config))
    except GitwardError as error:
        log.error("%s", error)
        sys.exit(1)


def run_process(settings: NodeSettings, credentials: Credentials) -> None:
    """The agent of this host until SIGTERM; its certificate is renewed in time and kept where it came from."""
    uvloop.run(_until_stopped(settings, Client(credentials, user_agent="gitward-agent")))


async def _until_stopped(settings: NodeSettings, client: Client) -> None:
    async with client:
        node = asyncio.create_task(_renewing_node(settings, client))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, node.cancel)
        try:
            await node
        except asyncio.CancelledError:
            log.info("agent stops: pods run on")


if __name__ == "__main__":
    main()
