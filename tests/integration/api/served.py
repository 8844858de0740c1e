"""A real API server on a TLS socket in a thread, over a memory store, and what tests do with it from outside."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar, cast
from uuid import uuid4

from gitops.admission import admit_create, admit_update
from gitops.api import (
    AgentHub,
    Authority,
    Settings,
    kubeconfig,
    load_or_make_authority,
    make_app,
    serve,
    server_certificate,
    server_tls,
    write_kubeconfig,
)
from gitops.api.joining import Doorkeeper
from gitops.api.jwt import load_or_make_token_keys
from gitops.kinds import registry
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.gitward import declared_key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, ObjectMeta, group_of, key_of, with_meta
from gitops.store.contract import Delete, Put, Txn
from gitops.store.memory import MemoryStore
from tests.tools.kubectl import kubectl

R = TypeVar("R")
ANSWER_SECONDS: Final = 30.0


class Counted:
    """Ids in order of their making."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def uid(self) -> str:
        return str(uuid4())

    def suffix(self) -> str:
        return f"{next(self._numbers):05d}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Served:
    """A running server; every method may be called from the test's thread."""

    folder: Path
    loop: asyncio.AbstractEventLoop
    store: MemoryStore
    hub: AgentHub
    authority: Authority
    url: str = ""
    synced: list[str] = field(default_factory=list)  # The sources that someone asked to look at.
    mint: Counted = field(default_factory=Counted)

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(ANSWER_SECONDS)

    def create(self, *objects: object) -> None:
        """Through admission, as the master's controllers would; a status may be given along."""
        for obj in objects:
            self.run(self.created(obj))

    def update(self, obj: object, subresource: str | None = None) -> None:
        """Replace an object or its status, as a controller would."""
        self.run(self._update(cast(KubeObject, obj), subresource))

    def remove(self, kind: Kind[Any], namespace: str, name: str) -> None:
        self.run(self.removed(kind, namespace, name))

    def found(self, kind: Kind[Any], namespace: str, name: str) -> Any:  # Any object.
        """As the store has it, None if it is gone."""
        return self.store.view().object(kind.key(namespace, name))

    def declare(self, obj: object, claim: Mapping[str, object]) -> None:
        """Record that a source states an object."""
        key = declared_key(key_of(cast(KubeObject, obj)))
        meta: ObjectMeta = {"name": key.name, "namespace": key.namespace}
        record = {
            "apiVersion": f"{key.group}/v1",
            "kind": key.kind,
            "metadata": meta,
            "claims": [{**claim, "object": obj}],
        }
        self.run(self._commit(Txn((Put(cast(KubeObject, record)),), "test", "test")))

    def config_of(self, node: str = "") -> Path:
        """A kubeconfig for the operator, or for a node."""
        path = self.folder / f"{node or 'admin'}.kubeconfig"
        if not path.exists():
            issued = self.authority.node(node, now=now()) if node else self.authority.admin(now=now())
            write_kubeconfig(path, kubeconfig(self.url, self.authority.cert, node or "admin", issued))
        return path

    def kubectl(
        self, *arguments: str, node: str = "", fails: bool = False, both: bool = False, **environment: str
    ) -> str:
        """Run kubectl; its output, or what it says on stderr where it is to fail; `both` of them, warnings included."""
        done = subprocess.run(
            self.command(*arguments, node=node),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr if both else done.stderr if fails else done.stdout

    def wait_for_watch(self) -> None:
        """Until a client's watch is open: what changes from now on reaches it as a change."""
        wanted = 'apiserver_longrunning_requests{resource="watched",verb="WATCH"} 1.0'
        end = monotonic() + ANSWER_SECONDS
        while wanted not in self.kubectl("get", "--raw", "/metrics"):
            assert monotonic() < end

    def command(self, *arguments: str, node: str = "") -> list[str]:
        """kubectl with its own cache, so that no run sees another's."""
        own = (f"--kubeconfig={self.config_of(node)}", f"--cache-dir={self.folder / 'cache'}")
        return [str(kubectl()), *own, *arguments]

    # The same for code that runs on the server's loop.

    async def created(self, given: object) -> None:
        obj = cast(KubeObject, given)
        kind = registry.find(group_of(obj["apiVersion"]), obj["kind"])
        assert kind is not None
        status = cast(dict[str, Any], obj).get("status")
        made = admit_create(self.store.view(), kind, obj, now=now(), mint=self.mint, manager="test")
        if status is not None:
            made = {**made, "status": status}
        await self._commit(Txn((Put(made),), "test", "test"))

    async def removed(self, kind: Kind[Any], namespace: str, name: str) -> None:
        await self._commit(Txn((Delete(kind.key(namespace, name)),), "test", "test"))

    async def changed(self, kind: Kind[Any], namespace: str, name: str, *, times: int = 1) -> None:
        """Write an object again and again; many times: past what the store remembers."""
        for number in range(times):
            obj = with_meta(self.found(kind, namespace, name), annotations={"number": str(number)})
            await self._commit(Txn((Put(obj),), "test", "test"))

    async def _update(self, obj: KubeObject, subresource: str | None) -> None:
        kind = registry.find(group_of(obj["apiVersion"]), obj["kind"])
        assert kind is not None
        old = self.store.view().object(key_of(obj))
        assert old is not None
        new = admit_update(
            self.store.view(), kind, old, obj, now=now(), manager="test", subresource=subresource
        )
        await self._commit(Txn((Put(new),), "test", "test"))

    async def _commit(self, txn: Txn) -> None:
        await self.store.commit(txn)


@contextmanager
def serving(folder: Path, settings: Settings | None = None) -> Iterator[Served]:
    """A server with the four namespaces that every cluster has."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    authority = load_or_make_authority(folder / "pki", now=now())
    served = Served(folder, loop, MemoryStore(now), AgentHub(), authority)
    stack = AsyncExitStack()
    try:
        served.run(_start(served, stack, settings))
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            served.create(
                {"apiVersion": NAMESPACE.api_version, "kind": "Namespace", "metadata": {"name": name}}
            )
        yield served
    finally:
        served.run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(served: Served, stack: AsyncExitStack, settings: Settings | None) -> None:
    app = make_app(
        served.store,
        clock=now,
        mint=served.mint,
        version="v1.35.0-gitward",
        hub=served.hub,
        trigger=served.synced.append,
        settings=settings,
        doorkeeper=Doorkeeper(served.authority, "10.77.0.0/16", "10.78.0.0/16"),
        token_keys=load_or_make_token_keys(served.folder / "pki"),
    )
    cert, key = server_certificate(served.authority, served.folder / "pki", ("127.0.0.1",), now=now())
    tls = server_tls(cert, key, served.authority.cert)
    port = await stack.enter_async_context(serve(app, ("127.0.0.1", 0), tls))
    served.url = f"https://127.0.0.1:{port}"
