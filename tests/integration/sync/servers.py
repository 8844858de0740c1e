"""Servers of git on loopback: smart HTTP by git's own CGI program, with TLS or without; ssh by OpenSSH; a proxy."""

import datetime
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.sync.repository import Repository

BACKEND: Final = "/usr/lib/git-core/git-http-backend"
WAIT_SECONDS: Final = 10.0


class HttpServer(NamedTuple):
    """`url`: of the folder whose repositories it serves. `asked`: the Authorization headers that came, '' for none."""

    url: str
    asked: list[str]


@contextmanager
def http_server(folder: Path, *, user: str = "", tls: Path | None = None) -> Iterator[HttpServer]:
    """Serves the repositories in `folder`. `user`: `name:password` that is asked for. `tls`: a folder of `make_tls`."""
    asked: list[str] = []
    wanted = f"Basic {b64encode(user.encode()).decode()}" if user else ""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def log_message(self, *args: object) -> None:
            """Nothing: what matters is in `asked`."""

        def _answer(self, body: bytes) -> None:
            given = self.headers.get("Authorization", "")
            asked.append(given)
            if given != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run([BACKEND], input=body, capture_output=True, env=environment, check=False)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [line.decode().partition(": ") for line in head.split(b"\r\n") if line]
            status = next((value for name, _, value in headers if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, _, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    scheme = "https" if tls else "http"
    try:
        yield HttpServer(f"{scheme}://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT_SECONDS)


def make_tls(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and git.example.invalid, and its key; the folder."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("git.example.invalid")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


class SshServer(NamedTuple):
    """`url` with the folder's path at its end. The key files are those of a client that is let in."""

    url: str
    key_file: Path
    known_hosts: Path


@contextmanager
def ssh_server(folder: Path, repositories: Path) -> Iterator[SshServer]:
    """An sshd of our own for the user that runs the tests; `folder`: for its files."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None:
        pytest.skip("sshd is not installed (openssh-server)")
    folder.mkdir(mode=0o700)
    for name in ("host", "client"):
        keygen(folder / name)
    port = _free_port()
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sshd, "-D", "-e", "-f", str(folder / "config")], stderr=(folder / "log").open("w")
    )
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    try:
        _wait_for(port)
        user = os.environ.get("USER") or "root"
        url = f"ssh://{user}@127.0.0.1:{port}{repositories}"
        yield SshServer(url, folder / "client", folder / "known_hosts")
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def keygen(file: Path) -> str:
    """An ed25519 key without a passphrase; its public line."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", str(file)]
    subprocess.run(command, check=True)
    return file.with_name(f"{file.name}.pub").read_text().strip()


@contextmanager
def proxy(target: str) -> Iterator[tuple[str, list[str]]]:
    """An HTTP proxy that sends everything to `target` (host:port); its URL and the first lines of what came."""
    asked: list[str] = []
    host, _, port = target.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection((host, int(port)), WAIT_SECONDS) as server:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65_536)
            asked.append(head.split(b"\r\n")[0].decode())
            method, url, version = head.split(b"\r\n")[0].split(b" ")
            path = b"/" + url.split(b"/", 3)[3]
            rest = head.split(b"\r\n", 1)[1]
            server.sendall(b" ".join((method, path, version)) + b"\r\nConnection: close\r\n" + rest)
            threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            _copy(server, client)
            client.shutdown(socket.SHUT_RDWR)  # The other direction still reads from it.

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(WAIT_SECONDS)


def bare(repository: Repository, folder: Path, name: str) -> Path:
    """A bare copy of a repository that is pushed to from it; its path."""
    folder.mkdir(exist_ok=True)
    repository.git("clone", "--quiet", "--bare", str(repository.folder), str(folder / name))
    return folder / name


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            to.sendall(part)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    event = threading.Event()
    for _ in range(int(WAIT_SECONDS * 100)):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        event.wait(0.01)
    raise AssertionError("sshd does not listen")
