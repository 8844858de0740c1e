"""`make demo`: a commit becomes running pods, a second one rolls out without a lost request, a revert takes it back.

Runs beside a Docker engine of its own in a network namespace without a way out (tests/tools/isolated), with a git
repository, keys and certificates made here and gone afterwards.
"""

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import images

HOST: Final = "shop.example.com"
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
SHOP: Final = Path(__file__).parent / "shop"
GITWARD: Final = (sys.executable, "-m", "gitops.cli.main")
STARTED: Final = time.monotonic()

SECRET: Final = """\
apiVersion: v1
kind: Secret
metadata:
  name: database
  namespace: shop
stringData:
  password: correct-horse-battery-staple
"""
PRICES: Final = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: prices
  namespace: shop
data:
  tea: "4"
  cups: "12"
"""


def say(text: str) -> None:
    """A step of the story, with the seconds since the start."""
    print(f"\n\033[1m[{time.monotonic() - STARTED:5.1f} s] {text}\033[0m", flush=True)


def run(*command: str, cwd: Path | None = None, show: bool = True) -> str:
    """A command as a user would type it: shown, and its output too."""
    if show:
        name = "gitward" if command[:3] == GITWARD else command[0]
        rest = command[3:] if command[:3] == GITWARD else command[1:]
        print(f"$ {name} {' '.join(rest)}", flush=True)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if show or done.returncode:
        print(done.stdout + done.stderr, end="", flush=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed with exit code {done.returncode}")
    return done.stdout


class Demo:
    """The repository, the data directory and the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = folder / "shop.git-clone"
        self.data = folder / "data"

    def gitward(self, *arguments: str, show: bool = True) -> str:
        return run(*GITWARD, *arguments, "--data-dir", str(self.data), show=show)

    def git(self, *arguments: str, show: bool = True) -> str:
        return run("git", *arguments, cwd=self.repo, show=show)

    def make_repository(self) -> None:
        """The shop, an age key, two encrypted files, and a TLS secret, encrypted too."""
        shutil.copytree(SHOP, self.repo / "shop")
        self.git("init", "--quiet", "--initial-branch", "main", show=False)
        self.git("config", "user.name", "Demo", show=False)
        self.git("config", "user.email", "demo@example.com", show=False)
        self.data.mkdir(mode=0o700)
        key = run(*GITWARD, "secret", "keygen", show=False)
        (self.data / "age.key").write_text(key)
        (self.data / "age.key").chmod(0o600)
        recipient = next(word for word in key.split() if word.startswith("age1"))
        self.encrypt(recipient, "shop/api/secret.enc.yaml", SECRET)
        self.encrypt(recipient, "shop/api/prices.enc.yaml", PRICES)
        self.encrypt(recipient, "shop/web/tls.enc.yaml", tls_secret(self.folder / "shop.pem"))
        self.commit("The shop opens")

    def encrypt(self, recipient: str, path: str, text: str) -> None:
        clear = self.folder / "clear.yaml"
        clear.write_text(text)
        (self.repo / path).write_text(
            run(*GITWARD, "secret", "encrypt", "--age", recipient, str(clear), show=False)
        )
        clear.unlink()

    def commit(self, message: str) -> None:
        self.git("add", "--all", show=False)
        self.git("commit", "--quiet", "--message", message)

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.repo / path
        text = file.read_text()
        assert old in text, f"{path} holds no {old!r}"
        file.write_text(text.replace(old, new))
        self.git("diff", "--unified=0", "--no-prefix")

    @contextmanager
    def master(self) -> Iterator[None]:
        """`gitward up` until it says ready, and its end by SIGTERM."""
        ingress = ("--ingress-http", f"127.0.0.1:{HTTP_PORT}", "--ingress-https", f"127.0.0.1:{HTTPS_PORT}")
        followed = ("--repo", f"file://{self.repo}", "--interval", "2s", "--data-dir", str(self.data))
        command = (*GITWARD, "up", *followed, *ingress)
        print(f"$ gitward {' '.join(command[3:])} &", flush=True)
        with (self.folder / "up.log").open("w") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line.startswith("ready"):
                    print((self.folder / "up.log").read_text())
                    sys.exit("gitward up did not become ready")
                print(line, end="", flush=True)
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)

    def service_address(self, name: str) -> str:
        """The ClusterIP of a Service of the shop."""
        import asyncio

        from gitops.client import Client
        from gitops.kinds.core.service import SERVICE

        async def ask() -> str:
            async with Client.from_kubeconfig(self.data / "admin.kubeconfig") as client:
                return str((await client.get(SERVICE, "shop", name))["spec"].get("clusterIP"))

        return asyncio.run(ask())


class Load:
    """A customer of each road: a new connection for every request, about 50 a second, until told to stop."""

    def __init__(self, roads: dict[str, tuple[str, int]]) -> None:
        self.counts = dict.fromkeys(roads, 0)
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._shop, args=(name, *road)) for name, road in roads.items()
        ]

    def _shop(self, name: str, host: str, port: int) -> None:
        while not self._stop.wait(0.02):
            try:
                get(host, port, "/version")
                self.counts[name] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{name}: {error!r}")

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def report(self) -> None:
        sent = ", ".join(f"{count} by {name}" for name, count in self.counts.items())
        print(f"requests answered meanwhile: {sent}; failed: {len(self.failures)}", flush=True)
        if self.failures:
            sys.exit("\n".join(self.failures[:10]))


def get(host: str, port: int, path: str, *, trusted: Path | None = None) -> str:
    """One request to the shop's host name at an address; with `trusted`, over TLS that this certificate proves."""
    if trusted is None:
        connection = http.client.HTTPConnection(host, port, timeout=10)
    else:
        context = ssl.create_default_context(cafile=str(trusted))
        raw = socket.create_connection((host, port), timeout=10)
        connection = http.client.HTTPSConnection(HOST, port, timeout=10)
        connection.sock = context.wrap_socket(raw, server_hostname=HOST)
    connection.request("GET", path, headers={"Host": HOST})
    answer = connection.getresponse()
    body = answer.read().decode().strip()
    connection.close()
    assert answer.status == 200, f"{path}: {answer.status} {body}"
    return body


def tls_secret(certificate_file: Path) -> str:
    """A self-signed certificate for the shop, as a Secret's manifest; the certificate itself goes to the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    certificate_file.write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def block(text: bytes) -> str:
        return "".join(f"    {line}\n" for line in text.decode().splitlines())

    return (
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop-tls\n  namespace: shop\ntype: kubernetes.io/tls\n"
        f"stringData:\n  tls.crt: |\n{block(pem)}  tls.key: |\n{block(private)}"
    )


def main() -> None:
    engine = docker.from_env()
    with tempfile.TemporaryDirectory(prefix="gitward-demo.") as folder:
        demo = Demo(Path(folder))
        say("Two images, a repository with encrypted secrets, a first commit")
        images.load(engine)
        demo.make_repository()
        try:
            story(demo)
        finally:
            say("gitward down: everything goes, as it came")
            demo.gitward("down")
        left = engine.containers.list(all=True)
        print(f"containers left on the engine: {len(left)}")
        if left:
            sys.exit("something was left behind")
    say("Done")


def story(demo: Demo) -> None:
    say("gitward up: master and agent in one command")
    with demo.master():
        demo.gitward("sync", "--wait")
        demo.gitward("status")
        run("docker", "ps", "--format", "table {{.Names}}\t{{.Status}}")

        say("The shop is open: by ClusterIP, by ingress, by TLS, and the API behind a path")
        web = demo.service_address("web")
        print(f"http://{web}/version        -> {get(web, 80, '/version')}")
        print(f"http://{HOST}/version   -> {get('127.0.0.1', HTTP_PORT, '/version')}")
        trusted = demo.folder / "shop.pem"
        print(f"https://{HOST}/version  -> {get('127.0.0.1', HTTPS_PORT, '/version', trusted=trusted)}")
        products = "/api/products.json"
        print(f"https://{HOST}{products} -> {get('127.0.0.1', HTTPS_PORT, products, trusted=trusted)}")

        roads = {"ClusterIP": (web, 80), "ingress": ("127.0.0.1", HTTP_PORT)}
        say("A second commit rolls ten pods while customers go on shopping")
        demo.edit("shop/web/deployment.yaml", 'value: "1.0"', 'value: "2.0"')
        with Load(roads) as load:
            demo.commit("Version 2.0")
            demo.gitward("sync", "--wait")
        print(f"http://{HOST}/version -> {get('127.0.0.1', HTTP_PORT, '/version')}")
        load.report()

        say("git revert takes it back")
        with Load(roads) as load:
            demo.git("revert", "--no-edit", "HEAD")
            demo.gitward("sync", "--wait")
        print(f"http://{HOST}/version -> {get('127.0.0.1', HTTP_PORT, '/version')}")
        load.report()


if __name__ == "__main__":
    os.environ.setdefault("DOCKER_HOST", "unix:///var/run/docker.sock")
    main()
