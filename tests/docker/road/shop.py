"""The example shop in a cluster of its own, and customers who never stop asking."""

import asyncio
import http.client
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import docker

import demo
from gitops.cli.bench.cluster import HTTP_PORT, HTTPS_PORT, Cluster
from gitops.client import Client
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.service import SERVICE
from gitops.kinds.objects import uid
from gitops.sync.secrets.keys import keygen
from gitops.sync.secrets.writer import encrypt_file

R = TypeVar("R")
SHOP: Final = Path(__file__).parents[3] / "examples-repo" / "shop"
HOST: Final = demo.HOST
WAIT_SECONDS: Final = 120.0


class Shop:
    """A running cluster that follows the shop."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.engine = docker.from_env(timeout=120)
        self.certificate = cluster.folder / "shop.pem"
        identity, self.recipient = keygen()
        self.key_file = cluster.data_dir / "age.key"
        self.key_file.write_text(identity + "\n")
        self.key_file.chmod(0o600)

    def open(self) -> str:
        """Commit the shop; the commit's id."""
        shutil.copytree(SHOP, self.cluster.repo / "shop")
        return self.cluster.commit(
            {
                "shop/api/secret.enc.yaml": self.encrypted(demo.SECRET),
                "shop/api/prices.enc.yaml": self.encrypted(demo.PRICES),
                "shop/web/tls.enc.yaml": self.encrypted(demo.tls_secret(self.certificate)),
            },
            "The shop opens",
        )

    def encrypted(self, text: str) -> str:
        return encrypt_file(text, (self.recipient,), now=datetime.now(UTC))

    def edit(self, path: str, old: str, new: str) -> dict[str, str | None]:
        """The file with one text replaced, to be committed."""
        text = (self.cluster.repo / path).read_text()
        assert old in text
        return {path: text.replace(old, new)}

    def ask(self, question: Callable[[Client], Coroutine[Any, Any, R]]) -> R:
        """Ask the API once."""

        async def asked() -> R:
            async with Client.from_kubeconfig(self.cluster.kubeconfig) as client:
                return await question(client)

        return asyncio.run(asked())

    def pods(self, app: str) -> list[Pod]:
        return list(self.ask(lambda client: client.list(POD, "shop", label_selector=f"app={app}")).items)

    def container_ids(self, app: str) -> set[str]:
        """The ids of the running containers of an app, sandboxes included, as the engine knows them."""
        uids = {uid(pod) for pod in self.pods(app)}
        return {
            str(container.id) for container in self.engine.containers.list(ignore_removed=True)
            if container.labels.get("io.gitward.pod-uid") in uids
        }  # fmt: skip

    def cluster_ip(self, name: str) -> str:
        return str(self.ask(lambda client: client.get(SERVICE, "shop", name))["spec"].get("clusterIP"))

    def in_pod(self, app: str, container: str, *command: str) -> str:
        """What a command prints inside a container of the app's first pod."""
        owner = uid(self.pods(app)[0])
        labels = [f"io.gitward.pod-uid={owner}", f"io.gitward.container={container}"]
        found = self.engine.containers.list(ignore_removed=True, filters={"label": labels})
        code, output = found[0].exec_run(list(command))
        assert code == 0, output
        assert isinstance(output, bytes)
        return output.decode().strip()


def by_address(host: str, path: str = "/version", *, port: int = 80, timeout: float = 10.0) -> str:
    """One request on a new connection."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": HOST})
        answer = connection.getresponse()
        body = answer.read().decode().strip()
    finally:
        connection.close()
    assert answer.status == 200, f"{host}:{port}{path}: {answer.status} {body}"
    return body


def by_ingress(path: str = "/version") -> str:
    return by_address("127.0.0.1", path, port=HTTP_PORT)


def by_tls(certificate: Path, path: str = "/version") -> str:
    """Over TLS that the shop's own certificate proves."""
    context = ssl.create_default_context(cafile=str(certificate))
    with socket.create_connection(("127.0.0.1", HTTPS_PORT), timeout=10) as raw:
        connection = http.client.HTTPSConnection(HOST, timeout=10)
        connection.sock = context.wrap_socket(raw, server_hostname=HOST)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode().strip()


def eventually(holds: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition with a generous limit; fails with what was waited for."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not after {seconds:g} s: {what}"
        time.sleep(0.1)


class Customers:
    """A customer of each road, about 30 requests a second each, until told to stop. Each failure is kept."""

    def __init__(self, roads: dict[str, Callable[[], str]]) -> None:
        self.answers: dict[str, int] = dict.fromkeys(roads, 0)
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._shop, args=road) for road in roads.items()]

    def _shop(self, name: str, request: Callable[[], str]) -> None:
        while not self._stop.wait(0.03):
            try:
                request()
                self.answers[name] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{datetime.now(UTC):%H:%M:%S.%f} {name}: {error!r}")

    def __enter__(self) -> "Customers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
