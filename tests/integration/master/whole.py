"""A whole master for tests: a real repository, data directory, age key, API over TLS on a free port, and an operator.

Nothing in it is a fake but the nodes' agents, which tests play by a node's own certificate. Logs go to stderr as `up`
writes them, at the level debug, so that a test sees everything that is ever said.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from shutil import copytree
from time import monotonic
from typing import Any, Final, TypeVar, cast

import pytest
import uvloop

from gitops.client import Client, logs
from gitops.kinds import registry
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.pod_security import Level
from gitops.kinds.core.service_account import comes_by_itself
from gitops.kinds.gitward import DECLARED, GIT_SOURCE, GitSource, GitSourceSpec, GitSourceStatus, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of
from gitops.master import Master, MasterSettings, running
from gitops.store.contract import Delete, Put, Txn
from gitops.store.sqlite import SqliteStore
from gitops.sync.operators import OperatorSource
from gitops.sync.secrets.keys import keygen
from gitops.sync.secrets.writer import encrypt_file
from gitops.sync.syncer import SyncSettings
from gitops.sync.zygote import Parser
from tests.integration.api.builders import a_node
from tests.integration.sync.repository import Repository

R = TypeVar("R")

SOURCE: Final = "shop"
PATIENCE_SECONDS: Final = 20.0  # Of a wait that should take milliseconds: the machine may be busy.
NEVER_SECONDS: Final = 86_400.0  # The timer's interval: tests say themselves when to look.
SHOP: Final = Path(__file__).parents[3] / "examples-repo" / "shop"


class Whole:
    """A running master and what tests ask of it. `admin` is the operator's client."""

    def __init__(self, site: "Site", master: Master, admin: Client) -> None:
        self.repository, self.data = site.repository, site.data
        self.master, self.admin = master, admin

    @property
    def store(self) -> SqliteStore:
        return self.master._store

    def source(self) -> GitSource:
        found = self.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", SOURCE))
        assert found is not None
        return found

    def status(self) -> GitSourceStatus:
        return self.source().get("status") or GitSourceStatus()

    def live_commit(self) -> str:
        return (self.status().get("commit") or {}).get("live", "")

    def problems(self) -> list[str]:
        return self.status().get("problems") or []

    def found(self, kind: Kind[Any], namespace: str, name: str) -> Any:  # Any object; None: there is none.
        return self.store.view().object(kind.key(namespace, name))

    def names(self, kind: Kind[Any], namespace: str) -> list[str]:
        """Without what every namespace has by itself."""
        found = self.store.view().list(kind, namespace)
        return [one["metadata"]["name"] for one in found if not comes_by_itself(one)]

    def declared_names(self, kind: Kind[Any]) -> list[str]:
        """Of the live objects that the source declares or declared, in the namespace `default`."""
        return [name for name in self.names(kind, "default") if self.claimed(kind, "default", name)]

    def on_node(self, node: str) -> int:
        """How many pods are bound to a node."""
        return sum(1 for pod in self.store.view().list(POD) if pod["spec"].get("nodeName") == node)

    def everything(self) -> dict[str, object]:
        """Every object by its key, but for what tells of time: sources, events, and this start's own."""
        listed = (obj for kind in registry.ALL for obj in self.store.view().list(kind))
        return {str(key_of(obj)): obj for obj in listed if obj["kind"] not in ("GitSource", "Event")}

    def claimed(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        """The first claim on an object; None if there is none."""
        record = self.store.view().get(DECLARED, declared_key(kind.key(namespace, name)))
        return record["claims"][0] if record else None

    async def look(self) -> None:
        """Have the source looked at, as `gitward sync` does, and wait for the end of that look."""
        await self.admin.request("POST", f"/apis/gitward.io/v1alpha1/gitsources/{SOURCE}/sync")

    async def goes_live(self, files: dict[str, str | None], message: str = "a change") -> str:
        """Commit files (None: remove) and wait until everything of that commit is applied; the commit's id."""
        commit = self.repository.commit(files, message)
        await self.is_live(commit)
        return commit

    async def is_live(self, commit: str) -> None:
        await self.look()
        await self.until(lambda: self.live_commit() == commit)

    async def is_refused(self, files: dict[str, str | None], message: str = "a change") -> list[str]:
        """Commit files that hold the commit back; the problems that the source's status tells."""
        commit = self.repository.commit(files, message)
        await self.look()
        assert (self.status().get("commit") or {}).get("declared") != commit, "the commit was declared"
        return self.problems()

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait for something that will be so. The message of a failure shows how the source stands."""
        end = monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert monotonic() < end, f"not within {PATIENCE_SECONDS:.0f} s; the source: {self.status()}"
            await asyncio.sleep(0.005)

    async def settled(self) -> int:
        """Wait until nothing was written for a moment; the revision."""
        revision = -1
        while revision != self.store.view().revision:
            revision = self.store.view().revision
            await asyncio.sleep(0.1)
        return revision

    async def write(self, obj: object, actor: str = "someone") -> None:
        """Straight into the store, past every rule: what a bug, or a hand in the database, would do."""
        await self.store.commit(Txn((Put(cast(KubeObject, obj)),), actor=actor, cause="test"))

    async def follow(self, name: str, url: str, **spec: Any) -> None:
        """Another source of the operator's, as `gitward.yaml` would name it; or one that says something else now."""
        stated = cast(GitSourceSpec, {"url": url, **spec})
        cast(dict[str, OperatorSource], self.master.syncer._settings.sources)[name] = OperatorSource(stated)
        known = self.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
        source = {"apiVersion": GIT_SOURCE.api_version, "kind": "GitSource", "metadata": {"name": name}}
        await self.write({**(known or source), "spec": stated})

    async def remove(self, key: Key) -> None:
        await self.store.commit(Txn((Delete(key),), actor="someone", cause="test"))

    @asynccontextmanager
    async def node(self, name: str) -> AsyncIterator[Client]:
        """A node that is Ready, and the client that its agent would have."""
        async with Client(self.master.node_credentials(name)) as client:
            await client.create(NODE, a_node(name))
            yield client


class Site:
    """Where a master lives: a repository, a data directory with an age key in it, and a parser that tests share."""

    def __init__(self, folder: Path, parser: Parser) -> None:
        self.folder, self.parser = folder, parser
        self.repository = Repository(folder / "repository")
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        identity, self.recipient = keygen()
        (self.data / "age.key").write_text(identity)
        self.service_cidr = IPv4Network("10.78.0.0/16")
        self.pod_security = Level.PRIVILEGED
        self.git_credentials_file: Path | None = None
        self.networks = (ip_network("127.0.0.0/8"),)  # Where tests have their servers.

    def add_shop(self) -> str:
        """The example shop with its encrypted secret and configmap as the first commit; its id."""
        copytree(SHOP, self.repository.folder, dirs_exist_ok=True)
        return self.repository.commit(
            {
                "database.yaml": self.encrypted(manifest("Secret", "database", "shop", password="hunter2")),
                "prices.yaml": self.encrypted(manifest("ConfigMap", "prices", "shop", tea="4")),
            },
            "the shop opens",
        )

    def another_repository(self, name: str, files: dict[str, str | None]) -> Path:
        """A second repository with one commit; its folder."""
        repository = Repository(self.folder / name)
        repository.commit(files)
        return repository.folder

    def encrypted(self, text: str) -> str:
        """A manifest for this site's key."""
        return encrypt_file(text, [self.recipient], datetime(2026, 1, 1, tzinfo=UTC))

    def run(self, story: Callable[[Whole], Awaitable[R]], **spec: Any) -> R:
        """A master from start to end of `story`. `spec`: fields of the source, beside the URL of the repository."""

        async def main() -> R:
            async with self.master(**spec) as whole:
                return await story(whole)

        return run(main())

    @asynccontextmanager
    async def master(self, **spec: Any) -> AsyncIterator[Whole]:
        source = cast(GitSourceSpec, {"url": f"file://{self.repository.folder}", **spec})
        settings = MasterSettings(
            data_dir=self.data,
            listen=("127.0.0.1", 0),
            pod_cidr=IPv4Network("10.77.0.0/16"),
            service_cidr=self.service_cidr,
            interval_seconds=NEVER_SECONDS,
            sync=SyncSettings(
                sources={SOURCE: OperatorSource(source, credentials_file=self.git_credentials_file)},
                networks=self.networks,
                awaits_hooks=True,
            ),
            source_name=SOURCE,
            pod_security=self.pod_security,
        )
        async with (
            running(settings, self.parser) as master,
            Client.from_kubeconfig(self.data / "admin.kubeconfig") as admin,
        ):
            yield Whole(self, master, admin)


@pytest.fixture(scope="session")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    """One parser for all tests: its start takes longer than a master's."""
    parser = Parser(tmp_path_factory.mktemp("parser") / "empty")
    parser.start()
    yield parser
    parser.close()


@pytest.fixture
def site(tmp_path: Path, parser: Parser) -> Site:
    return Site(tmp_path, parser)


def run(work: Awaitable[R]) -> R:
    """On a loop as `up` has it."""

    async def main() -> R:
        return await work

    with _logging_as_up():
        return uvloop.run(main())


@contextmanager
def _logging_as_up() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    logs.configure("debug")
    try:
        yield
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]


def manifest(kind: str, name: str, namespace: str = "default", **data: str) -> str:
    """A ConfigMap with `data`, or a Secret with it as stringData."""
    field = "stringData" if kind == "Secret" else "data"
    lines = [f"  {key}: '{value}'\n" for key, value in data.items()]
    head = f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
    return head + f"{field}:\n{''.join(lines)}"


def config_map(name: str, value: str = "one", namespace: str = "default") -> str:
    """Whose only key is `a`."""
    return manifest("ConfigMap", name, namespace, a=value)


def deployment(name: str, *, replicas: int = 1, image: str = "shop/web:1") -> str:
    """Of one container, in the namespace `default`."""
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: default
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: main
          image: {image}
"""
