"""The composition root of the master: store, runner, sync, API and timer, made here and joined here only.

`cli/up.py` adds webhooks and starts the agent.
"""

import asyncio
import gc
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Final, cast

from gitops.admission import Settings as AdmissionSettings
from gitops.admission import admit_create
from gitops.admission.settings import NODE_PORTS
from gitops.api import AgentHub, make_app, serve
from gitops.api.certificates import (
    Authority,
    load_or_make_authority,
    server_certificate,
    server_tls,
)
from gitops.api.joining import Doorkeeper
from gitops.api.jwt import load_or_make_token_keys
from gitops.api.kubeconfig import kubeconfig, write_kubeconfig
from gitops.client import Credentials
from gitops.clock import RandomMint, SystemClock
from gitops.controllers.apply import APPLY
from gitops.controllers.bootstrap import bootstrap
from gitops.controllers.claims import CLAIMS
from gitops.controllers.deployment import DEPLOYMENT_CONTROLLER
from gitops.controllers.disruption import DISRUPTION
from gitops.controllers.endpoints import ENDPOINTS_CONTROLLER
from gitops.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER
from gitops.controllers.endpointslice_mirroring import MIRRORING_CONTROLLER
from gitops.controllers.event_ttl import EVENT_TTL
from gitops.controllers.garbage import GARBAGE_COLLECTOR
from gitops.controllers.ingress import INGRESS_CONTROLLER
from gitops.controllers.namespace import NAMESPACE_CONTROLLER
from gitops.controllers.node_cidr import node_cidr
from gitops.controllers.node_lifecycle import node_lifecycle
from gitops.controllers.pod_gc import pod_gc
from gitops.controllers.replicaset import REPLICASET_CONTROLLER
from gitops.controllers.service_accounts import service_accounts
from gitops.controllers.sources import SOURCES
from gitops.controllers.taint_eviction import taint_eviction
from gitops.controllers.timeline import TIMELINE
from gitops.controllers.volumes import VOLUMES
from gitops.kinds import registry
from gitops.kinds.core.pod_security import Level
from gitops.kinds.errors import Invalid, Unavailable
from gitops.kinds.gitward import GIT_SOURCE, GitSource, GitSourceSpec
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import Controller
from gitops.runner import Runner
from gitops.runner import Settings as RunnerSettings
from gitops.scheduler import SCHEDULER
from gitops.store.contract import ABSENT, Batch, Put, Txn
from gitops.store.sqlite import SqliteStore
from gitops.store.sqlite_compact import Retention
from gitops.sync.authors import Authors
from gitops.sync.operators import OperatorSource, is_operators, remember
from gitops.sync.secrets.sealed_keys import FOLDER, keep_fresh
from gitops.sync.statuses.poster import Poster
from gitops.sync.statuses.tokens import TokenFile
from gitops.sync.syncer import SOURCES as MIRRORS
from gitops.sync.syncer import Syncer, SyncSettings
from gitops.sync.zygote import Parser
from gitops.version import KUBERNETES_VERSION

log = logging.getLogger(__name__)

ACTOR: Final = "master"
GC_SECONDS: Final = 60.0
COMPACT_SECONDS: Final = 60.0
STORE_FILE: Final = "state.db"  # In the data directory.
KEY_FILE: Final = "keys/store.key"
RETENTION: Final = Retention()


@dataclass(frozen=True, slots=True)
class MasterSettings:
    """What the operator decided. No `sync.sources`: nothing new is followed; known sources go on."""

    data_dir: Path
    listen: tuple[str, int]
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    interval_seconds: float
    sync: SyncSettings
    source_name: str  # Of the source that the flags name: a forge's token without a host is for it.
    forge_token_file: Path | None = None  # None: no commit statuses are posted.
    retention: Retention = RETENTION
    tls_sans: tuple[str, ...] = ()  # Further names and addresses that the API's certificate bears.
    pod_security: Level = Level.PRIVILEGED
    node_ports: tuple[int, int] = NODE_PORTS
    external_ips: tuple[IPv4Network, ...] = ()  # What Services may claim.


class Master:
    """A running master. Made by `running`; only the event loop's thread may touch it, but for `hint`.

    Attributes:
        cluster: 8 hex digits, from the CA: names this cluster in labels, links and sockets.
        port: where the API listens.
        rules: what admission is told, by the API and the runner alike.
        followed: the sources, as `sources()` gave them last; may be read from any thread.
        broken: gets the exception that ended a part of the master; a process with half a master is of no use.
    """

    def __init__(
        self,
        settings: MasterSettings,
        store: SqliteStore,
        authority: Authority,
        syncer: Syncer,
        operators: Mapping[str, OperatorSource],
    ) -> None:
        self.settings, self.authority, self.syncer = settings, authority, syncer
        self.rules = AdmissionSettings(
            settings.service_cidr,
            settings.pod_security,
            {name: source.spec for name, source in operators.items()},
            settings.node_ports,
            settings.external_ips,
        )
        self.cluster = hashlib.sha256(authority.cert).hexdigest()[:8]
        self.port = settings.listen[1]
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._store = store
        self._clock = SystemClock()
        self.followed = self.sources()

    def noted(self, batch: Batch) -> None:
        """Keeps `followed` up to date."""
        if any(
            (change.key.group, change.key.kind) == (GIT_SOURCE.group, GIT_SOURCE.kind)
            for change in batch.changes
        ):
            self.followed = self.sources()

    def task_ended(self, task: asyncio.Task[None]) -> None:
        """No part of a master ends by itself: then something is wrong, and whoever runs it must hear of it."""
        if not task.cancelled() and not self.broken.done():
            self.broken.set_exception(
                task.exception() or Unavailable(f"the master's {task.get_name()} has ended")
            )

    def sources(self) -> tuple[GitSource, ...]:
        """The followed sources, by name."""
        return tuple(self._store.view().list(GIT_SOURCE))

    def node_credentials(self, node: str) -> Credentials:
        """A fresh client certificate `system:node:<node>` for an agent of this machine."""
        issued = self.authority.node(node, now=self._clock.now())
        return Credentials(self.url, self.authority.cert, issued.cert, issued.key)

    @property
    def url(self) -> str:
        host = self.settings.listen[0]
        reachable = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104 # Compared.
        return f"https://{reachable}:{self.port}"


@asynccontextmanager
async def running(settings: MasterSettings, parser: Parser) -> AsyncIterator[Master]:
    """A master that serves, until the block is left.

    Raises: Unavailable (disk, port, another master on the data directory) and what the store says of a wrong key.
    """
    clock, mint = SystemClock(), RandomMint()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(
            settings.data_dir / STORE_FILE, settings.data_dir / KEY_FILE, clock.now
        )
        stack.push_async_callback(store.close)
        stack.callback(store.subscribe(_tell_unapplied))
        authority = load_or_make_authority(settings.data_dir / "pki", now=clock.now())
        sync = replace(
            settings.sync,
            sources=remember(settings.data_dir / MIRRORS, settings.sync.sources),
            interval_seconds=settings.interval_seconds,
        )
        syncer = Syncer(store, settings.data_dir, parser, sync, clock=clock.now, epoch=store.epoch)
        stack.push_async_callback(syncer.close)
        master = Master(settings, store, authority, syncer, sync.sources)
        stack.callback(store.subscribe(master.noted))
        await _create_missing(store, settings, clock, mint)
        for name, source in settings.sync.sources.items():
            await _follow(store, name, source.spec, clock, mint)
        master.port = await stack.enter_async_context(_serving(master, store, clock, mint))
        _write_admin(master, clock)
        runs = RunnerSettings(cluster=master.rules, epoch=store.epoch)
        runner = Runner(store, _controllers(settings, clock, authority.cert.decode()), clock, mint, runs)
        tasks = [asyncio.create_task(runner.run(), name="runner"), asyncio.create_task(_collect(), name="gc"),
                 asyncio.create_task(_compact(store, settings.retention), name="compact"),
                 asyncio.create_task(keep_fresh(settings.data_dir / FOLDER), name="sealing keys")]  # fmt: skip
        if settings.forge_token_file is not None:
            tokens = TokenFile(settings.forge_token_file, settings.source_name)
            poster = Poster(store, tokens, partial(is_operators, named=sync.sources), epoch=store.epoch)
            stack.callback(store.subscribe(poster.noted))
            tasks.append(asyncio.create_task(poster.run(), name="statuses"))
        stack.push_async_callback(_end, tasks)
        for task in tasks:
            task.add_done_callback(master.task_ended)
        syncer.start()
        yield master


def _controllers(settings: MasterSettings, clock: SystemClock, ca: str) -> tuple[Controller, ...]:
    return (
        APPLY,
        SOURCES,
        TIMELINE,
        DEPLOYMENT_CONTROLLER,
        REPLICASET_CONTROLLER,
        DISRUPTION,
        SCHEDULER,
        CLAIMS,
        VOLUMES,
        ENDPOINT_SLICE_CONTROLLER,
        ENDPOINTS_CONTROLLER,
        MIRRORING_CONTROLLER,
        INGRESS_CONTROLLER,
        NAMESPACE_CONTROLLER,
        service_accounts(ca),
        GARBAGE_COLLECTOR,
        EVENT_TTL,
        node_cidr(settings.pod_cidr),
        node_lifecycle(clock.now()),
        taint_eviction(clock.now()),
        pod_gc(clock.now()),
    )


async def _create_missing(
    store: SqliteStore, settings: MasterSettings, clock: SystemClock, mint: RandomMint
) -> None:
    """The namespaces and the service `kubernetes`, each where it is not there yet."""
    address = ip_address(settings.listen[0])
    objects = bootstrap(settings.service_cidr, IPv4Address("127.0.0.1"), settings.listen[1])
    if not isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        # Nobody in a pod reaches a loopback address of the host: the service has no endpoint then.
        objects = objects[:-2]
    else:
        objects = bootstrap(settings.service_cidr, address, settings.listen[1])
    view = store.view()
    for obj in objects:
        kind = registry.find(*key_of(obj)[:2])
        assert kind is not None, f"{key_of(obj)} is of no served kind"
        if view.object(key_of(obj)) is None:
            admitted = admit_create(view, kind, obj, now=clock.now(), mint=mint, manager=ACTOR,
                                    settings=AdmissionSettings(settings.service_cidr))  # fmt: skip
            await store.commit(Txn((Put(admitted, expect=ABSENT),), actor=ACTOR, cause="start"))


async def _follow(
    store: SqliteStore, name: str, spec: GitSourceSpec, clock: SystemClock, mint: RandomMint
) -> None:
    """A source of the operator's. A changed URL, branch or path adopts what the source declared before."""
    known = store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
    if known is not None:
        wanted: GitSource = {**known, "spec": spec}
    else:
        stated: GitSource = {
            "apiVersion": GIT_SOURCE.api_version,
            "kind": GIT_SOURCE.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        wanted = admit_create(store.view(), GIT_SOURCE, stated, now=clock.now(), mint=mint, manager=ACTOR)
    await store.commit(Txn((Put(wanted),), actor=ACTOR, cause="flags"))


@asynccontextmanager
async def _serving(
    master: Master, store: SqliteStore, clock: SystemClock, mint: RandomMint
) -> AsyncIterator[int]:
    """The API over TLS. Raises Unavailable if its address cannot be listened on."""
    settings = master.settings
    hosts = ("localhost", "127.0.0.1", settings.listen[0], str(settings.service_cidr[1]), "kubernetes",
             "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
             *settings.tls_sans)  # fmt: skip
    files = server_certificate(
        master.authority, settings.data_dir / "pki", dict.fromkeys(hosts), now=clock.now()
    )
    door = Doorkeeper(master.authority, str(settings.pod_cidr), str(settings.service_cidr))
    app = make_app(store, clock=clock.now, mint=mint, version=KUBERNETES_VERSION, hub=AgentHub(),
                   trigger=master.syncer.look_now, facts=Authors(settings.data_dir),
                   stated_at=master.syncer.stated_at,
                   cluster=master.rules, doorkeeper=door,
                   token_keys=load_or_make_token_keys(settings.data_dir / "pki"))  # fmt: skip
    try:
        async with serve(app, settings.listen, server_tls(*files, master.authority.cert)) as port:
            yield port
    except OSError as error:
        host, port = settings.listen
        raise Unavailable(
            f"the API cannot listen on {host}:{port}: {error.strerror or error}; see --listen"
        ) from error


def _write_admin(master: Master, clock: SystemClock) -> None:
    issued = master.authority.admin(now=clock.now())
    text = kubeconfig(master.url, master.authority.cert, "admin", issued)
    write_kubeconfig(master.settings.data_dir / "admin.kubeconfig", text)


def _tell_unapplied(batch: Batch) -> None:
    """What cannot be applied is told on stderr as sync tells its own problems: a line each, once."""
    for change in batch.changes:
        if (change.key.group, change.key.kind) == (GIT_SOURCE.group, GIT_SOURCE.kind):
            known = frozenset(_unapplied(change.before))
            for line in _unapplied(change.after):
                if line not in known:
                    log.error(Invalid(line))


def _unapplied(obj: KubeObject | None) -> list[str]:
    return (cast(GitSource, obj).get("status") or {}).get("unapplied") or [] if obj is not None else []


async def _collect() -> None:
    """JSON holds no cycles: the collector's passes over a full store would only stop the loop."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while True:
            await asyncio.sleep(GC_SECONDS)
            gc.collect(1)
    finally:
        gc.enable()
        gc.unfreeze()


async def _compact(store: SqliteStore, retention: Retention) -> None:
    """Forget what is too old, a little at a time."""
    while True:
        await asyncio.sleep(COMPACT_SECONDS)
        try:
            await store.retain(retention)
        except Unavailable as error:
            log.warning("the history was not compacted", extra={"fields": {"error": str(error)}})


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
