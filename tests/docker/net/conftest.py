"""A node's network without Docker: each test in a network namespace of its own, pods as processes in theirs."""

import asyncio
import ctypes
import os
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent import teardown
from agent.network import NetworkSettings
from agent.proxies import NodeNetworkSettings
from gitops.kinds.sensitive import Sensitive
from tests.docker.net.cluster import HTTP, HTTPS, running
from tests.docker.net.traffic import Node

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
NEEDED = ("ip", "iptables", "conntrack", "haproxy", "busybox", "nsenter")
COMMAND_SECONDS_MAX = 20


@dataclass
class Host:
    """Somebody with a network namespace of their own: a pod, or a machine outside."""

    pid: int
    address: str

    def run(self, *command: str) -> str:
        """Its output; '' if it failed or took too long."""
        inside = ("nsenter", "-n", "-t", str(self.pid), "timeout", "2", *command)
        done = subprocess.run(
            inside, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def get(self, url: str) -> str:
        return self.run("busybox", "wget", "-q", "-O", "-", url)


@pytest.fixture
def namespace() -> Iterator[None]:
    """The test, and all it starts, in an empty network namespace with lo up."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if missing := [program for program in NEEDED if shutil.which(program) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    assert LIBC.unshare(CLONE_NEWNET) == 0
    try:
        subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
        yield
    finally:
        assert LIBC.setns(before, CLONE_NEWNET) == 0
        os.close(before)


@pytest.fixture
def settings(namespace: None, tmp_path: Path) -> NetworkSettings:
    return NetworkSettings("c1", "n1", "10.77.3.0/24", "10.77.0.0/16", "10.78.0.0/16", tmp_path / "network")


@pytest.fixture
def start(namespace: None) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process that ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def new_host(start: Callable[..., subprocess.Popen[bytes]]) -> Callable[[str], Host]:
    """A process in a namespace of its own, not wired yet."""

    def make(address: str) -> Host:
        here = Path("/proc/self/ns/net").readlink()
        pid = start("unshare", "-n", "sleep", "300").pid
        wait_until(lambda: Path(f"/proc/{pid}/ns/net").readlink() != here)
        return Host(pid, address)

    return make


@pytest.fixture
def serve(start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> Callable[[Host, int, str], None]:
    """Let a host answer HTTP on a port with its name."""

    def begin(host: Host, port: int, name: str) -> None:
        root = tmp_path / f"www-{name}"
        root.mkdir()
        (root / "index.html").write_text(name)
        start(
            "nsenter", "-n", "-t", str(host.pid), "busybox", "httpd", "-f", "-p", str(port), "-h", str(root)
        )
        wait_until(lambda: f":{port:04X}" in Path(f"/proc/{host.pid}/net/tcp6").read_text())

    return begin


@pytest.fixture
def outside(new_host: Callable[[str], Host]) -> Host:
    """A machine on the node's only real network: it routes our ranges to the node, as an attacker would."""
    host = new_host("192.168.50.2")
    inside = ("nsenter", "-n", "-t", str(host.pid))
    for command in (
        ("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", str(host.pid)),
        ("ip", "addr", "add", "192.168.50.1/24", "dev", "uplink"),
        ("ip", "link", "set", "uplink", "up"),
        ("ip", "route", "add", "default", "via", "192.168.50.2"),
        (*inside, "ip", "link", "set", "lo", "up"),
        (*inside, "ip", "addr", "add", "192.168.50.2/24", "dev", "uplink"),
        (*inside, "ip", "link", "set", "uplink", "up"),
        (*inside, "ip", "route", "add", "10.76.0.0/14", "via", "192.168.50.1"),
    ):
        subprocess.run(command, check=True)
    return host


@pytest.fixture
def wait() -> Callable[[Callable[[], bool]], None]:
    return wait_until


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def tls_secret() -> Callable[..., dict[str, object]]:
    """A TLS secret whose certificate bears a common name."""

    def make(name: str, common_name: str, bits: int = 2048) -> dict[str, object]:
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        data = {"tls.crt": b64encode(certificate.public_bytes(Encoding.PEM)), "tls.key": b64encode(pem)}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": "shop", "name": name},
            "type": "kubernetes.io/tls",
            "data": {field: Sensitive(value) for field, value in data.items()},
        }

    return make


@pytest.fixture
def node(settings: NetworkSettings, tmp_path: Path) -> Iterator[NodeNetworkSettings]:
    run_dir = Path(f"/run/gitward-test-{os.getpid()}")
    yield NodeNetworkSettings(settings, run_dir, HTTP, HTTPS)
    teardown.remove(cluster="c1", network_state_dir=settings.state_dir, run_dir=run_dir, data_dir=tmp_path)


@pytest.fixture(params=["iptables-nft", "iptables-legacy", "nftables"])
def traffic(
    settings: NetworkSettings, new_host: Callable[[str], Any], serve: Any, request: pytest.FixtureRequest
) -> Node:
    return Node(settings, new_host, serve, request.param)


@pytest.fixture
def pods(new_host: Callable[[str], Any], serve: Any, node: NodeNetworkSettings) -> tuple[Any, Any]:
    """Two wired pods that answer with their names."""
    a, b = new_host("10.77.3.2"), new_host("10.77.3.3")

    async def wire() -> None:
        async with running(node) as network:
            for uid, pod in (("uid-a", a), ("uid-b", b)):
                await network.attach(pod.pid, pod.address, uid)

    asyncio.run(wire())
    serve(a, 8080, "a")
    serve(b, 8080, "b")
    return a, b
