"""Brings HAProxy to a plan: endpoints by its run-time socket, everything else by a checked file and a lossless reload.

The file is written on every change, so that a proxy that died starts with the truth. What cannot be loaded is found
before it replaces what runs.
"""

import asyncio
import logging
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from agent.helpers import Greeting, Helper, HelperSpec, Spawn, spawn_process
from agent.ingress import certificates, haproxy
from agent.ingress.haproxy import Certificate, ProxySettings, Rendered
from agent.ingress.routes import Plan, TlsUse, Trouble
from agent.ingress.runtime import HaproxySocket
from agent.ingress.slots import Slots, assign, commands
from agent.taken import refuse_taken
from agent.volumes.mounts import mount_tmpfs
from gitops.kinds.core.config import Secret
from gitops.kinds.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

VERSION: Final = (
    "haproxy"  # Its own version does not matter: a reload runs the program that is installed now.
)
CHECK_SECONDS_MAX: Final = 30
RELOAD_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.02
CERTIFICATES_BYTES_MAX: Final = 32 << 20
NOBODY: Final = 65_534
DEFAULT_CERTIFICATE: Final = "default.pem"  # No secret's file is called so: those have an underscore.

Secrets = Mapping[tuple[str, str], Secret]


@dataclass(frozen=True, slots=True)
class IngressSettings:
    """`http`, `https`: ADDRESS:PORT; '': nowhere, and without both there is no proxy.

    `directory`: files and certificates; `run_dir`: socket and pid.
    """

    http: str
    https: str
    directory: Path
    run_dir: Path
    spawn: Spawn = spawn_process


class IngressDriver:
    """`applied`: the plan that the proxy follows; None before the first. `troubles`: what users must know.
    `is_on`: whether this node serves ingress at all."""

    def __init__(self, settings: IngressSettings) -> None:
        self.is_on = bool(settings.http or settings.https)
        self.applied: Plan | None = None
        self.troubles: tuple[Trouble, ...] = ()
        user_id, group_id = _unprivileged()
        self._settings = ProxySettings(settings.http, settings.https, settings.directory, user_id, group_id)
        socket_file = settings.run_dir / "haproxy.sock"
        self._socket = HaproxySocket(socket_file)
        command = ("haproxy", "-W", "-S", f"{socket_file},mode,600", "-f", str(self._settings.config_file))
        # SIGUSR1: it listens no more and ends when its requests have.
        spec = HelperSpec("haproxy", command, settings.run_dir, VERSION, gentle=signal.SIGUSR1)
        self.helper = Helper(spec, self._hello, settings.spawn)

    async def start(self) -> bool:
        """Take over the proxy of an earlier agent, or start it from its last file. False: there is none yet."""
        if not (self.is_on and self._settings.config_file.exists()):
            return False
        try:
            await self._ensure()
        except (
            Unavailable
        ) as error:  # Its file names what is gone, as after a reboot: the first plan writes it anew.
            log.info("the proxy waits for its first plan", extra={"fields": {"error": str(error)}})
        return self.helper.is_running()

    async def apply(self, plan: Plan, secrets: Secrets) -> None:
        """The proxy follows `plan` when this returns. Raises Unavailable; then it still follows the last one."""
        if not self.is_on:
            await self.helper.stop()  # An earlier agent may have been told otherwise.
            self.applied, self.troubles = Plan(), ()
            return
        await asyncio.to_thread(self._prepare)
        running, now = await self._present()
        slots = {each.name: assign(now.get(each.name, ()), each.endpoints) for each in plan.backends}
        usable, troubles = await asyncio.to_thread(self._write_certificates, plan.tls, secrets)
        rendered = haproxy.render(plan, slots, usable, self._settings)
        if rendered.structure == running:
            await asyncio.to_thread(self._write_config, rendered)
        else:
            await asyncio.to_thread(self._check_and_write, rendered)
            await self._load(rendered.structure, is_running=running != "")
            await asyncio.to_thread(self._tidy, rendered.structure, usable)
        await self._lead(plan)
        self.applied, self.troubles = plan, (*plan.troubles, *troubles)

    async def _lead(self, plan: Plan) -> None:
        """Every worker sends to the plan's endpoints only: those of earlier files still end kept-alive connections."""
        endpoints = {each.name: each.endpoints for each in plan.backends}
        for worker in await self._socket.workers():
            now = await self._socket.slots(worker)
            wanted = {
                name: assign(now[name], endpoints[name], grow=False) for name in endpoints if name in now
            }
            await self._socket.tell(worker, commands(now, wanted))

    async def open_flows(self, pod_ip: str) -> int:
        """Requests that the proxy has open at this pod. 0 where no proxy runs. Raises Unavailable."""
        return await self._socket.open_flows(pod_ip) if self.helper.is_running() else 0

    async def _hello(self) -> Greeting:
        await self._socket.structure()
        return Greeting(VERSION, await self._socket.master())

    async def _present(self) -> tuple[str, dict[str, Slots]]:
        """What the proxy itself says, so that nothing has to be remembered. ('', {}): none runs. Raises Unavailable.

        One that is slow is waited for: taken for none it would be replaced, and its clients refused meanwhile.
        """
        if not self.helper.is_running():
            return "", {}
        try:
            return await self._told()
        except Unavailable:
            await self.helper.ensure()
            return await self._told()

    async def _told(self) -> tuple[str, dict[str, Slots]]:
        return await self._socket.structure(), await self._socket.slots((await self._socket.workers())[0])

    async def _ensure(self) -> bool:
        """As the helper's. Raises Unavailable, also where another program has one of the addresses."""
        if not self.helper.is_running():
            for flag, listen in (
                ("--ingress-http", self._settings.http),
                ("--ingress-https", self._settings.https),
            ):
                advice = f"stop it, or choose another address by {flag} ADDRESS:PORT, or nowhere: {flag} ''"
                refuse_taken(listen, advice)
        return await self.helper.ensure()

    async def _structure(self) -> str:
        """Of the file that it has loaded; '' while it does not say."""
        try:
            return await self._socket.structure()
        except Unavailable:
            return ""

    async def _load(self, structure: str, *, is_running: bool) -> None:
        # One that somebody else has started meanwhile may have read the file of before.
        if is_running or not await self._ensure():
            with suppress(Unavailable):  # The master answers by starting itself anew.
                await self._socket.ask("reload")
        try:
            async with asyncio.timeout(RELOAD_SECONDS_MAX):
                while await self._structure() != structure:
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                "HAProxy did not load its new configuration; the old one still works"
            ) from error

    def _prepare(self) -> None:
        folder = self._settings.certificates
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.path.ismount(folder):
            mount_tmpfs(folder, size_bytes=CERTIFICATES_BYTES_MAX, mode=0o700, executable=False)
        default = folder / DEFAULT_CERTIFICATE
        if not default.exists():
            _write(default, certificates.default_pem(datetime.now(UTC)).reveal())

    def _write_certificates(
        self, uses: Iterable[TlsUse], secrets: Secrets
    ) -> tuple[tuple[Certificate, ...], tuple[Trouble, ...]]:
        """The usable ones, each in a file that is named by its content; what is wrong with the others."""
        usable, troubles = [Certificate(DEFAULT_CERTIFICATE, ())], []
        for use in uses:
            namespace, name = use.secret
            try:
                if (secret := secrets.get(use.secret)) is None:
                    raise Invalid("does not exist")
                pem = certificates.pem_of(secret).reveal()
                path = self._settings.certificates / f"{namespace}_{name}_{sha256(pem).hexdigest()[:16]}.pem"
                if not path.exists():
                    self._write_checked(path, pem)
            except Invalid as error:
                troubles.append(Trouble(use.ingress, f"spec.tls: Secret {namespace}/{name}: {error}"))
            else:
                usable.append(Certificate(path.name, use.hosts))
        return tuple(usable), tuple(troubles)

    def _write_checked(self, path: Path, pem: bytes) -> None:
        """Only what HAProxy takes too: OpenSSL refuses keys that are too short. Raises Invalid."""
        draft, config = path.with_suffix(".new"), self._settings.directory / "certificate.cfg"
        _write(draft, pem)
        text = f"defaults\n    timeout client 1s\nfrontend check\n    mode http\n    bind 127.0.0.1:1 ssl crt {draft}\n"
        _write(config, text.encode())
        if self._haproxy_says(config):
            draft.unlink()
            raise Invalid("HAProxy does not take this certificate or key")
        draft.replace(path)

    def _check_and_write(self, rendered: Rendered) -> None:
        folder = self._settings.directory / rendered.structure
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, text in rendered.files.items():
            _write(folder / name, text.encode())
        draft = self._settings.config_file.with_suffix(".new")
        _write(draft, rendered.config.encode())
        if problem := self._haproxy_says(draft):
            raise Unavailable(f"HAProxy refuses the configuration that was made for it: {problem}")
        draft.replace(self._settings.config_file)

    def _write_config(self, rendered: Rendered) -> None:
        _write(self._settings.config_file, rendered.config.encode())

    def _haproxy_says(self, config: Path) -> str:
        """'' if it would load this file."""
        command = ("haproxy", "-c", "-f", str(config))
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=CHECK_SECONDS_MAX, check=False
            )
        except FileNotFoundError as error:
            raise Unavailable("haproxy is not installed on this node: no ingress") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{' '.join(command)}: {error}") from error
        return "" if done.returncode == 0 else (done.stderr.strip()[-1000:] or "it does not say why")

    def _tidy(self, structure: str, usable: Iterable[Certificate]) -> None:
        """Remove what no configuration names any more; old workers have read theirs."""
        for folder in self._settings.directory.iterdir():
            if folder.is_dir() and folder != self._settings.certificates and folder.name != structure:
                shutil.rmtree(folder)
        wanted = {each.file for each in usable}
        for path in self._settings.certificates.glob("*.pem"):
            if path.name not in wanted:
                path.unlink()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


def _unprivileged() -> tuple[int, int]:
    """Whom the workers run as: they parse what strangers send."""
    try:
        user = pwd.getpwnam("haproxy")
    except KeyError:
        return NOBODY, NOBODY
    return user.pw_uid, user.pw_gid
