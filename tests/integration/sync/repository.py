"""A real git repository for tests, driven by the git on this machine; and a source that follows it."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from gitops.kinds.gitward import DECLARED_GROUP, GIT_SOURCE, Declared, GitSource, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Put, Txn
from gitops.store.memory import MemoryStore
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

    def __init__(self, store: MemoryStore, syncer: Syncer, lines: list[str]) -> None:
        self.store, self.syncer, self.lines = store, syncer, lines

    async def look(self) -> Outcome:
        return await self.syncer.look("shop", "test")

    def source(self) -> GitSource:
        found = self.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", "shop"))
        assert found is not None
        return found

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


def following(
    tmp_path: Path,
    url: str,
    story: Callable[[Followed], Awaitable[R]],
    *,
    key: str = "",
    render_bin_dir: Path | None = None,
    **spec: str,
) -> R:
    """Run `story` with a syncer whose clock moves a second at each reading."""

    async def main() -> R:
        moments = iter(START + timedelta(seconds=number) for number in range(100_000))
        store = MemoryStore(lambda: START)
        source: Any = {
            "apiVersion": GIT_SOURCE.api_version,
            "kind": "GitSource",
            "metadata": {"name": "shop"},
            "spec": {"url": url, **spec},
        }
        await store.commit(Txn((Put(source),), actor="test", cause="start"))
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        if key:
            (data / "age.key").write_text(key)
        parser = Parser(data / "empty")
        lines: list[str] = []
        syncer = Syncer(
            store,
            data,
            parser,
            SyncSettings(render_bin_dir=render_bin_dir),
            clock=lambda: next(moments),
            tell=lines.append,
        )
        try:
            return await story(Followed(store, syncer, lines))
        finally:
            await syncer.close()
            await asyncio.to_thread(parser.close)

    return asyncio.run(main())


def objects(followed: Followed) -> list[KubeObject]:
    return list(followed.store.view().list_group(DECLARED_GROUP))
