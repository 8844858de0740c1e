"""Asks a host for its facts: the only module of this room that reads, runs or connects to anything. Blocks.

Nothing here raises: what cannot be found out is a fact too.
"""

import asyncio
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Final

import dns.message
import docker
import docker.errors
import requests

from agent.dns import upstream
from agent.network.bridge import occupied
from agent.network.netlink import IPRoute, NetlinkError
from agent.network.overlap import check_overlap
from agent.network.settings import BRIDGE
from agent.runtime.docker import unanswered
from agent.services import backend
from agent.settings import RUN_DIR
from agent.teardown import bridge_owner
from gitops.cli import pidfile
from gitops.cli.doctor import parsing
from gitops.cli.doctor.facts import (
    Clock,
    Engine,
    Facts,
    Firewall,
    Kernel,
    Listener,
    Resolvers,
    Space,
    Wanted,
)
from gitops.cli.down import clusters_of
from gitops.kinds.errors import Forbidden, Invalid, Unavailable
from gitops.sync.zygote import Parser

COMMAND_SECONDS_MAX: Final = 10
TRIAL_SECONDS_MAX: Final = 60
ENGINE_SECONDS_MAX: Final = 10
TIME_ERROR: Final = 5  # Of adjtimex(2): nobody keeps the clock.
TIMEX_BYTES: Final = 512  # More than any architecture's `struct timex` has; all zero: only reading.
PROC: Final = Path("/proc")
DOCKER_HOST: Final = "unix:///var/run/docker.sock"
RESOLV_CONF: Final = Path("/etc/resolv.conf")
VERSIONS: Final = {
    "git": ("git", "--version"),
    "haproxy": ("haproxy", "-v"),
    "conntrack": ("conntrack", "-V"),
    "iptables": ("iptables", "-V"),
}
SYSCTLS: Final = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables")


def collect(wanted: Wanted, *, thorough: bool) -> Facts:
    """`thorough`: also what only ever warns and takes its time (the sandbox, whether a resolver answers)."""
    is_node, is_root = wanted.is_node, os.geteuid() == 0
    programs = {name: _said(command) for name, command in VERSIONS.items()}
    mounts = parsing.mounts(_text(PROC / "self/mountinfo"))
    host = os.environ.get("DOCKER_HOST") or DOCKER_HOST
    engine = _engine(host) if is_node else None
    firewall = _firewall(programs["iptables"]) if is_node and is_root else None
    folders = [wanted.data_dir, *([Path(engine.root_dir)] if engine is not None and engine.root_dir else [])]
    return Facts(
        wanted=wanted,
        is_root=is_root,
        kernel=_kernel(with_trial=is_node and is_root, has_iptables=bool(programs["iptables"])),
        clock=_clock(),
        programs=programs,
        listeners=tuple(_listeners(wanted)),
        spaces=tuple(_space(folder, mounts) for folder in folders if folder.anchor and _exists(folder)),
        isolation=_isolation() if wanted.is_master and thorough else None,
        engine=engine,
        firewall=firewall,
        cgroups=parsing.cgroups(mounts, _text(Path("/sys/fs/cgroup/cgroup.controllers")))
        if is_node
        else None,
        resolvers=_resolvers(wanted, ask=thorough) if is_node else None,
        range_problem=_range_problem(wanted) if is_node and wanted.pod_cidr else "",
        mount_problem=_mount_problem(wanted.data_dir, host, mounts) if is_node else "",
    )


def _said(command: tuple[str, ...]) -> str:
    """The first line that a program prints; '' if there is none."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _kernel(*, with_trial: bool, has_iptables: bool) -> Kernel:
    release = os.uname().release
    sysctls = {name: _sysctl(name) for name in SYSCTLS}
    return Kernel(
        release=release,
        version=parsing.version_in(release) or (0, 0),
        trial=_trial(has_iptables=has_iptables) if with_trial else None,
        sysctls={name: value for name, value in sysctls.items() if value is not None},
        is_sysctl_writable=os.access(PROC / "sys/net/ipv4/ip_forward", os.W_OK),
    )


def _sysctl(name: str) -> str | None:
    head, _, last = name.rpartition(".")
    path = PROC / "sys" / head.replace(".", "/") / last
    return _text(path).strip() if path.exists() else None


def _trial(*, has_iptables: bool) -> dict[str, str]:
    program = []
    if has_iptables:
        with suppress(Unavailable):
            program = [backend.find().program]
    command = (sys.executable, "-P", "-m", "gitops.cli.doctor.trial", *program)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TRIAL_SECONDS_MAX, check=False, env=env
        )
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"namespaces": f"the trial of the kernel's features failed: {error}"}
    return {str(name): str(why) for name, why in told.items()}


def _clock() -> Clock:
    buffer = ctypes.create_string_buffer(TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    return Clock(unix_seconds=time(), is_synchronized=state not in (TIME_ERROR, -1))


def _space(folder: Path, mounts: list[parsing.Mount]) -> Space:
    there = folder
    while not there.exists():  # The data directory is made at the first start.
        there = there.parent
    disk, mount = os.statvfs(there), parsing.mount_of(str(there.resolve()), mounts)
    return Space(
        path=str(folder),
        free_bytes=disk.f_bavail * disk.f_frsize,
        size_bytes=disk.f_blocks * disk.f_frsize,
        free_inodes=disk.f_favail,
        inodes=disk.f_files,
        kind=mount.kind if mount is not None else "",
    )


def _exists(folder: Path) -> bool:
    """A folder of an engine elsewhere, or one that we may not look at, tells nothing."""
    try:
        return any(one.exists() for one in (folder, *folder.parents))
    except OSError:
        return False


def _engine(host: str) -> Engine:
    try:
        api = docker.APIClient(base_url=host, version="auto", timeout=ENGINE_SECONDS_MAX)
        try:
            return parsing.engine(host, api.version(), api.info())
        finally:
            api.close()
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        return Engine(host, problem=str(unanswered(error, host)))


def _firewall(version: str) -> Firewall:
    """Asking the legacy program would load its modules where nobody uses them: the kernel's list is looked at first."""
    legacy = _rules("iptables-legacy-save") if _text(backend.LEGACY_TABLES).strip() else 0
    return Firewall(version, legacy_rules=legacy, nft_rules=_rules("iptables-nft-save"))


def _rules(program: str) -> int:
    try:
        return sum(line.startswith("-A ") for line in backend.run((program,)).splitlines())
    except Unavailable:
        return 0  # Not installed, or not in this kernel: so it holds no rules.


def _listeners(wanted: Wanted) -> Iterator[Listener]:
    """On the ports that are asked for alone, with the process behind each where it may be seen."""
    addresses = (wanted.listen, wanted.webhook_listen, wanted.ingress_http, wanted.ingress_https)
    ports = {53, *(int(one.rpartition(":")[2]) for one in addresses if one)}
    found = [
        (protocol, one)
        for protocol in ("tcp", "udp")
        for file in (protocol, f"{protocol}6")
        for one in parsing.sockets(_text(PROC / "net" / file), protocol)
        if one.port in ports
    ]
    owners = _owners({one.inode for _, one in found}) if found else {}
    known = {pidfile.running(wanted.data_dir, name) for name in (pidfile.UP, pidfile.AGENT)}
    for protocol, one in found:
        pid = owners.get(one.inode, 0)
        words = _text(PROC / str(pid) / "cmdline").split("\0") if pid else []
        is_ours = pid in known or any(word.startswith(f"{RUN_DIR}/") for word in words)
        name = _text(PROC / str(pid) / "comm").strip() if pid else ""
        yield Listener(protocol, one.address, one.port, f"{name} (process {pid})" if name else "", is_ours)


def _owners(inodes: set[str]) -> dict[str, int]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # It ended, or is not ours to look at.
                for descriptor in (entry / "fd").iterdir():
                    with suppress(OSError):
                        if (inode := wanted.get(str(descriptor.readlink()))) is not None:
                            found.setdefault(inode, int(entry.name))
    return found


def _isolation() -> str:
    with tempfile.TemporaryDirectory() as folder:
        parser = Parser(Path(folder) / "empty")
        try:
            parser.start()
            return parser.isolation
        except Unavailable as error:
            return f"none ({error})"
        finally:
            parser.close()


def _resolvers(wanted: Wanted, *, ask: bool) -> Resolvers:
    addresses = upstream.of_host(RESOLV_CONF, except_for=(wanted.dns_address,))
    if not (ask and addresses):
        return Resolvers(tuple(addresses), None)
    try:
        asyncio.run(upstream.ask(addresses, dns.message.make_query(".", "NS").to_wire(), tcp=False))
    except Unavailable:
        return Resolvers(tuple(addresses), answers=False)
    return Resolvers(tuple(addresses), answers=True)


def _range_problem(wanted: Wanted) -> str:
    try:
        owner = bridge_owner()
        with suppress(Forbidden):
            if owner is not None and owner not in clusters_of(wanted.data_dir):
                return (
                    f"the link {BRIDGE} of this host belongs to cluster {owner}: one host is a node of one cluster; "
                    "run `gitward down` with the other's data directory first"
                )
        with IPRoute() as ipr:
            taken = occupied(ipr) if owner is None else []
        check_overlap((("--pod-cidr", wanted.pod_cidr), ("--service-cidr", wanted.service_cidr)), taken)
    except Invalid as error:
        return str(error)
    except NetlinkError as error:
        return f"the host's routes cannot be read: {error}"
    return ""


def _mount_problem(data_dir: Path, host: str, mounts: list[parsing.Mount]) -> str:
    """Where the engine has other mounts than we (in a container, say), what we mount must reach it all the same."""
    pid = _peer(host)
    if pid is None:
        return ""
    try:
        same = pid != 0 and (PROC / str(pid) / "ns/mnt").readlink() == (PROC / "self/ns/mnt").readlink()
    except OSError:
        return ""  # Without root that is not ours to know.
    if pid == 0:
        return "the engine's processes are not seen from here: start the container with --pid host"
    mount = None if same else parsing.mount_of(str(data_dir), mounts)
    if mount is None or mount.is_shared:
        return ""
    if mount.point == "/":
        return f"{data_dir} is this container's own, and the engine sees nothing of it"
    return f"{mount.point} is no shared mount, so the engine does not see what is mounted in it"


def _peer(host: str) -> int | None:
    """The pid behind a unix socket, as this process sees it: 0 if it does not. None: not known."""
    if not host.startswith("unix://"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(COMMAND_SECONDS_MAX)
        try:
            connection.connect(host.removeprefix("unix://"))
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
    return int(struct.unpack("3i", told)[0])
