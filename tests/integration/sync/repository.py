"""A real git repository for tests, driven by the git on this machine; and a source that follows it."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar, cast

from gitops.kinds.core.event import EVENT
from gitops.kinds.gitward import (
    DECLARED_GROUP,
    GIT_SOURCE,
    Declared,
    GitSource,
    GitSourceSpec,
    declared_key,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Delete, Put, Txn
from gitops.store.memory import MemoryStore
from gitops.sync.operators import OperatorSource
from gitops.sync.syncer import Outcome, Syncer, SyncSettings
from gitops.sync.zygote import Parser

R = TypeVar("R")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

CONFIG_MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
data:
  a: {value}
"""


def config_map(name: str, value: str = "one") -> str:
    return CONFIG_MAP.format(name=name, value=value)


class Repository:
    """A work tree with a `main` branch."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes | None = None) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ann",
            "GIT_AUTHOR_EMAIL": "ann@example.com",
            "GIT_COMMITTER_NAME": "Ann",
            "GIT_COMMITTER_EMAIL": "ann@example.com",
        }
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            check=True,
            capture_output=True,
            env=environment,
            input=stdin,
        )
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str | None], message: str = "a change") -> str:
        """Write files (None: remove), commit them; the commit's id."""
        for path, content in files.items():
            file = self.folder / path
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")


class Followed:
    """A store with one source `shop` and a syncer that looks at it. Made by `following`."""

    def __init__(
        self, store: MemoryStore, syncer: Syncer, lines: list[str], operators: dict[str, OperatorSource]
    ) -> None:
        self.store, self.syncer, self.lines, self.operators = store, syncer, lines, operators

    async def look(self) -> Outcome:
        return await self.syncer.look("shop", "test")

    def source(self) -> GitSource:
        found = self.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", "shop"))
        assert found is not None
        return found

    async def follow(self, name: str, *, declared_by_an_object: bool = False, **spec: Any) -> None:
        """Another source, or the same with another spec; the operator's own unless it is `declared_by_an_object`."""
        known: Any = self.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name)) or a_source(name, spec)
        if not declared_by_an_object:
            self.operators[name] = OperatorSource(cast(GitSourceSpec, spec))
        await self.put({**known, "spec": spec})

    def restart(self) -> None:
        """The syncer knows nothing any more, as after a start."""
        self.syncer._doubted.add("shop")

    async def delete(self, name: str) -> None:
        key = GIT_SOURCE.key("", name)
        await self.store.commit(Txn((Delete(key),), actor="test", cause="test"))

    def names(self) -> list[str]:
        """Of all records."""
        return [one["metadata"]["name"] for one in self.store.view().list_group(DECLARED_GROUP)]

    def claims(self, name: str) -> list[str]:
        """`source state` of each claim on a ConfigMap, the first that counts first."""
        record = self.record("ConfigMap", name)
        return [f"{claim['source']} {claim['state']}" for claim in record["claims"]] if record else []

    async def put(self, obj: Any) -> None:
        await self.store.commit(Txn((Put(obj),), actor="test", cause="test"))

    def events(self) -> list[tuple[str, str, int]]:
        """Reason, message and count of those about the source, by reason."""
        found = self.store.view().list(EVENT)
        return sorted((one.get("reason", ""), one.get("message", ""), one.get("count", 0)) for one in found)

    def record(self, kind: str, name: str, namespace: str = "default", group: str = "") -> Any:
        return self.store.view().object(declared_key(Key(group, kind, namespace, name)))

    def states(self) -> dict[str, str]:
        """Name -> state of this source's claims."""
        records: Any = self.store.view().list_group(DECLARED_GROUP)
        return {record["metadata"]["name"]: _state(record) for record in records}

    async def set_live(self, commit: str) -> None:
        source: Any = self.source()
        status = {**source["status"], "commit": {**source["status"]["commit"], "live": commit}}
        told: Any = {**source, "status": status}
        await self.store.commit(Txn((Put(told),), actor="test", cause="live"))


def _state(record: Declared) -> str:
    return next(claim["state"] for claim in record["claims"] if claim["source"] == "shop")


def a_source(name: str, spec: dict[str, Any]) -> Any:
    meta = {"name": name}
    return {"apiVersion": GIT_SOURCE.api_version, "kind": "GitSource", "metadata": meta, "spec": spec}


def following(
    tmp_path: Path,
    url: str,
    story: Callable[[Followed], Awaitable[R]],
    *,
    key: str = "",
    render_bin_dir: Path | None = None,
    declared_by_an_object: bool = False,
    files: dict[str, Path] | None = None,
    networks: tuple[str, ...] = ("127.0.0.0/8",),
    **spec: Any,
) -> R:
    """Run `story` with a syncer whose clock moves a second at each reading. The source is the operator's own, unless
    it is `declared_by_an_object`; `files`: keys and tokens that the operator gives it;
    `networks`: what objects' sources may reach of this host, where the tests' servers are."""

    async def main() -> R:
        moments = iter(START + timedelta(seconds=number) for number in range(100_000))
        store = MemoryStore(lambda: START)
        source = a_source("shop", {"url": url, **spec})
        namespace: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
        await store.commit(Txn((Put(source), Put(namespace)), actor="test", cause="start"))
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        if key:
            (data / "age.key").write_text(key)
        parser = Parser(data / "empty")
        lines: list[str] = []
        operators: dict[str, OperatorSource] = {}
        if not declared_by_an_object:
            operators["shop"] = OperatorSource(source["spec"], **(files or {}))
        settings = SyncSettings(
            sources=operators,
            render_bin_dir=render_bin_dir,
            networks=tuple(ip_network(one) for one in networks),
        )
        syncer = Syncer(store, data, parser, settings, clock=lambda: next(moments), tell=lines.append)
        try:
            return await story(Followed(store, syncer, lines, operators))
        finally:
            await syncer.close()
            await asyncio.to_thread(parser.close)

    return asyncio.run(main())


def objects(followed: Followed) -> list[KubeObject]:
    return list(followed.store.view().list_group(DECLARED_GROUP))
