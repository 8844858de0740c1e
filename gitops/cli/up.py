"""`gitward up`: the master, its webhooks and one agent, until SIGTERM; the pods run on.

The agent is a child process that holds a certificate and never the store; simulated nodes run in the master's loop.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from ipaddress import IPv4Network, ip_network
from typing import Any, Final

import uvloop

from agent.settings import NodeSettings, write_config
from gitops.cli import pidfile
from gitops.cli.doctor.facts import Role, Wanted
from gitops.cli.doctor.report import refuse_if_unfit
from gitops.cli.hooks import serving_webhooks
from gitops.cli.node_limits import limits_of
from gitops.cli.settings import UpSettings, age_key_file_of
from gitops.cli.sources import spec_of
from gitops.cli.usage import WrongUsage
from gitops.client import Client, logs
from gitops.kinds.core.pod_security import Level
from gitops.kinds.source_spec import check_spec
from gitops.master import Master, MasterSettings, running
from gitops.store.sqlite_compact import Retention
from gitops.sync.operators import OperatorSource
from gitops.sync.syncer import SyncSettings
from gitops.sync.zygote import Parser

log = logging.getLogger(__name__)

AGENT_STOP_SECONDS: Final = 20.0
AGENT_PAUSE_SECONDS: Final = 1.0
AGENT_PAUSE_SECONDS_MAX: Final = 30.0


def run_up(settings: UpSettings) -> None:
    """Until SIGTERM or SIGINT. Raises WrongUsage and Unavailable before it is ready."""
    if settings.node == "docker" and os.geteuid() != 0:
        raise WrongUsage(
            "--node docker needs root (network, mounts, iptables): use sudo, or --node simulated"
        )
    logs.configure()
    refuse_if_unfit(
        Wanted(
            role=Role.UP if settings.node == "docker" else Role.MASTER,
            data_dir=settings.data_dir,
            listen=settings.listen,
            webhook_listen=settings.webhook_listen,
            ingress_http=settings.ingress_http,
            ingress_https=settings.ingress_https,
            pod_cidr=settings.pod_cidr,
            service_cidr=settings.service_cidr,
        )
    )
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The parser's zygote is forked before there is any thread, loop or secret in this process.
    parser = Parser(settings.data_dir / "empty")
    parser.start()
    try:
        uvloop.run(_up(settings, parser))
    finally:
        parser.close()


async def _up(settings: UpSettings, parser: Parser) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(running(_master_settings(settings), parser))
        pidfile.write(settings.data_dir)
        stack.callback(pidfile.remove, settings.data_dir)
        if settings.webhook_listen:
            hooks = serving_webhooks(
                master,
                _address(settings.webhook_listen),
                settings.webhook_secret_file,
                settings.webhook_secrets_dir,
            )
            stack.enter_context(hooks)
        agents = [asyncio.create_task(agent) for agent in _agents(settings, master)]
        stack.push_async_callback(_end, agents)
        print(f"ready {master.url} cluster {master.cluster}", flush=True)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((stopping, master.broken), return_when=asyncio.FIRST_COMPLETED)
        if master.broken.done():
            master.broken.result()
        log.info("stopping: pods run on")


def _master_settings(settings: UpSettings) -> MasterSettings:
    spec = spec_of(
        settings.repo,
        branch=settings.branch,
        path=settings.path,
        apps=list(settings.apps),
        interval_seconds=settings.interval_seconds,
        require_fast_forward=settings.require_fast_forward,
        allow_mac_only_encrypted=settings.allow_mac_only_encrypted,
        forge=settings.forge,
        forge_url=settings.forge_url,
    )
    if problems := list(check_spec(spec)) if settings.repo else []:
        raise WrongUsage(f"--app: {problems[0].message}")
    flags = OperatorSource(
        spec,
        settings.ssh_key_file,
        settings.known_hosts,
        settings.git_credentials_file,
        settings.allowed_signers_file,
        settings.gpg_keys_file,
    )
    sources = {source.name: source.operator_source(flags) for source in settings.sources}
    if settings.repo:
        if settings.source_name in sources:
            raise WrongUsage(
                f"--source-name {settings.source_name}: gitward.yaml has a source of this name too"
            )
        sources[settings.source_name] = flags
    return MasterSettings(
        data_dir=settings.data_dir,
        listen=_address(settings.listen),
        pod_cidr=IPv4Network(settings.pod_cidr),
        service_cidr=IPv4Network(settings.service_cidr),
        interval_seconds=settings.interval_seconds,
        sync=SyncSettings(
            age_key_file=age_key_file_of(settings.age_key_file, settings.data_dir),
            sources=sources,
            render_bin_dir=settings.render_bin_dir,
            networks=tuple(ip_network(one) for one in settings.allow_source_networks),
            awaits_hooks=bool(settings.webhook_listen),
        ),
        source_name=settings.source_name,
        forge_token_file=settings.forge_token_file,
        retention=Retention(
            history_seconds=settings.history_seconds, history_revisions_max=settings.history_revisions
        ),
        tls_sans=settings.tls_sans,
        pod_security=Level(settings.pod_security),
        node_ports=settings.node_ports,
        external_ips=tuple(IPv4Network(one) for one in settings.allow_external_ips),
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _agents(settings: UpSettings, master: Master) -> Iterator[Coroutine[Any, Any, None]]:
    """One coroutine for each node that this process is to run."""
    if settings.node == "docker":
        name = settings.node_name or socket.gethostname().lower()
        yield _docker_agent(settings, master, name)
    for number in range(1, settings.simulated_nodes + 1):
        yield _simulated_agent(settings, master, f"simulated-{number}")


def _node_settings(settings: UpSettings, master: Master, name: str, *, simulated: bool) -> NodeSettings:
    return NodeSettings(
        name=name,
        cluster=master.cluster,
        data_dir=settings.data_dir,
        pod_cidr=settings.pod_cidr,
        service_cidr=settings.service_cidr,
        ingress_http=settings.ingress_http,
        ingress_https=settings.ingress_https,
        docker_host=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        simulated=simulated,
        node_ip=settings.node_ip,
        overlay=settings.overlay,
        static_pods=None if simulated else settings.static_pods,
        service_proxy=settings.service_proxy,
        spare_sandboxes=settings.spare_sandboxes,
        unsafe_sysctls=settings.allowed_unsafe_sysctls,
        limits=limits_of(settings),
    )


async def _simulated_agent(settings: UpSettings, master: Master, name: str) -> None:
    from agent.node import run_node  # 22 MB, which a master whose agent is another process does without.

    async with Client(master.node_credentials(name)) as client:
        await run_node(_node_settings(settings, master, name, simulated=True), client)


async def _docker_agent(settings: UpSettings, master: Master, name: str) -> None:
    """The agent's process, started again when it dies: what runs on the node goes on meanwhile."""
    config = write_config(
        _node_settings(settings, master, name, simulated=False), master.node_credentials(name)
    )
    pause_seconds = AGENT_PAUSE_SECONDS
    while True:
        command = (sys.executable, "-m", "agent.node", "--config", str(config), "--parent", str(os.getpid()))
        process = await asyncio.create_subprocess_exec(*command)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        log.error("the agent ended", extra={"fields": {"exit_code": code, "again_in_seconds": pause_seconds}})
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, AGENT_PAUSE_SECONDS_MAX)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), AGENT_STOP_SECONDS)
        except TimeoutError:
            process.kill()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
