"""`gitward bench sync`: a commit costs what it changes, and a thousand apps at first.

Ours and the floor in turn, in one run: a commit of one file in a repository of many manifests beside the same commit in
one of few, both fetched, read, checked and declared into a durable store; and `gitward up` that meets a commit of many
apps, all of them good, beside one with a tenth of them broken.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, cast

from gitops.cli.bench.cluster import Cluster, git, running_cluster
from gitops.cli.bench.sync_files import FEW, app_files, broken, changed_manifest, manifests
from gitops.client import Client
from gitops.client.follow import follow
from gitops.kinds.errors import GitwardError, Unavailable
from gitops.kinds.gitward import GIT_SOURCE, CommitState, GitSource, GitSourceSpec, GitSourceStatus
from gitops.kinds.networking import INGRESS
from gitops.store.contract import Put, Txn
from gitops.store.sqlite import SqliteStore
from gitops.sync.operators import OperatorSource
from gitops.sync.syncer import Outcome, Syncer, SyncSettings
from gitops.sync.zygote import Parser

GOAL_ONE_SECONDS: Final = 1.0
GOAL_ONE_RATIO: Final = 2.0
GOAL_APPS_SECONDS: Final = 12.0
GOAL_APPS_MEGABYTES: Final = 150
GOAL_BROKEN_RATIO: Final = 1.1
LIVE_SECONDS_MAX: Final = 300.0
SETTLE_SECONDS: Final = 3.0  # What controllers make of it is in memory too.


def run_bench(*, manifests_total: int, apps: int, runs: int) -> None:
    """Print the figures. GitwardError: something did not become declared or live."""
    asyncio.run(_one_file(manifests_total, runs * 5))
    # In turn: what else the machine does slows both alike.
    pairs = [(_first_sync(apps, 0), _first_sync(apps, apps // 10)) for _ in range(runs)]
    whole = [one for one, _ in pairs]
    seconds, megabytes = median(one.live for one in whole), median(one.megabytes for one in whole)
    declared = median(one.declared for one in whole)
    print(
        f"sync: first sync of {apps} apps ({4 * apps} objects): declared after {declared:.2f} s, all live after "
        f"{seconds:.2f} s (goal <= {GOAL_APPS_SECONDS:.0f}), {megabytes:.0f} MB at its peak "
        f"(goal <= {GOAL_APPS_MEGABYTES})"
    )
    held = median(one.live for _, one in pairs)
    ratio = median(partly.live / one.live for one, partly in pairs)
    cpu = median(partly.cpu_seconds / one.cpu_seconds for one, partly in pairs)
    print(
        f"sync: the {apps - apps // 10} healthy ones beside {apps // 10} broken: live after {held:.2f} s, "
        f"all {apps} healthy {seconds:.2f} s, ratio {ratio:.2f} (goal <= {GOAL_BROKEN_RATIO}), of the "
        f"master's CPU time {cpu:.2f}"
    )


async def _one_file(total: int, runs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="gitward-bench.") as folder:
        parser = Parser(Path(folder) / "empty")
        parser.start()
        try:
            few = await _Followed.open(Path(folder) / "few", parser, FEW)
            many = await _Followed.open(Path(folder) / "many", parser, total)
            pairs = [(await many.one(number), await few.one(number)) for number in range(runs)]
            await many.close()
            await few.close()
        finally:
            await asyncio.to_thread(parser.close)
    ours, floor = median(pair[0].seconds for pair in pairs), median(pair[1].seconds for pair in pairs)
    worst = max(pair[0].outcome.parsed_files for pair in pairs)
    checked = max(pair[0].outcome.checked_objects for pair in pairs)
    print(
        f"sync: {total} manifests at first: {many.first.seconds:.2f} s, "
        f"{many.first.outcome.parsed_files} files parsed, {many.first.outcome.checked_objects} objects checked"
    )
    print(
        f"sync: a commit of one file among {total} manifests, fetch to declared: {ours:.3f} s "
        f"(goal < {GOAL_ONE_SECONDS:.0f}), among {FEW} {floor:.3f} s, ratio {ours / floor:.2f} "
        f"(goal <= {GOAL_ONE_RATIO}); {worst} file parsed, {checked} object checked"
    )


class _Look(NamedTuple):
    seconds: float
    outcome: Outcome


class _Followed:
    """A repository, and a durable store in which a syncer declares it."""

    def __init__(self, store: SqliteStore, syncer: Syncer, repo: Path, first: _Look) -> None:
        self._store, self._syncer, self._repo, self.first = store, syncer, repo, first

    @classmethod
    async def open(cls, folder: Path, parser: Parser, total: int) -> "_Followed":
        repo = folder / "repo"
        _commit(repo, manifests(total), "all")
        spec = cast(GitSourceSpec, {"url": f"file://{repo}"})
        meta = {"name": "bench"}
        source = {"apiVersion": GIT_SOURCE.api_version, "kind": "GitSource", "metadata": meta, "spec": spec}
        store = await SqliteStore.open(folder / "state.db", folder / "store.key", _now)
        await store.commit(Txn((Put(cast(GitSource, source)),), actor="bench", cause="start"))
        settings = SyncSettings(sources={"bench": OperatorSource(spec)})
        syncer = Syncer(store, folder, parser, settings, clock=_now)
        return cls(store, syncer, repo, await _look(syncer))

    async def one(self, number: int) -> _Look:
        """A commit of one changed file, looked at."""
        _commit(self._repo, changed_manifest(number), f"change {number}")
        return await _look(self._syncer)

    async def close(self) -> None:
        await self._syncer.close()
        await self._store.close()


async def _look(syncer: Syncer) -> _Look:
    begin = time.monotonic()
    outcome = await syncer.look("bench", "bench")
    seconds = time.monotonic() - begin
    if not outcome.declared:
        raise GitwardError(outcome.problems[0])
    return _Look(seconds, outcome)


def _now() -> datetime:
    return datetime.now(UTC)


def _commit(repo: Path, files: Mapping[str, str], message: str) -> str:
    """Write files into a work tree, made if need be, and commit; the id."""
    if not repo.exists():
        repo.mkdir(parents=True)
        git(repo, "init", "--quiet", "--initial-branch", "main")
        git(repo, "config", "user.name", "Gitward")
        git(repo, "config", "user.email", "gitward@example.com")
    for path, text in files.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", message)
    return git(repo, "rev-parse", "HEAD").strip()


class _First(NamedTuple):
    """Seconds from the hook until all healthy apps were declared, and until all their objects were live.

    `cpu_seconds`: what the master itself computed until then, which other processes do not stretch.
    """

    declared: float
    live: float
    megabytes: float
    cpu_seconds: float


def _first_sync(apps: int, broken_apps: int) -> _First:
    flags = {
        "node": "none",
        "app": "apps/*",
        "listen": "127.0.0.1:17443",
        "webhook-listen": "127.0.0.1:17180",
    }
    with running_cluster(flags) as cluster:
        files = app_files(apps)
        for number in range(broken_apps):
            files |= broken(number * 10)
        commit = _commit(cluster.repo, files, "all apps")
        return asyncio.run(_measured(cluster, commit, healthy=apps - broken_apps))


async def _measured(cluster: Cluster, commit: str, *, healthy: int) -> _First:
    seen: set[str] = set()
    moments: dict[str, float] = {}
    async with Client.from_kubeconfig(cluster.kubeconfig) as client:
        assert cluster.process is not None
        begin, cpu = time.monotonic(), _cpu_seconds(cluster.process)
        tasks = [
            asyncio.create_task(_count_ingresses(client, seen)),
            asyncio.create_task(_note_declared(client, commit, moments)),
        ]
        cluster.hook()
        try:
            await _until(lambda: len(seen) >= healthy and "declared" in moments)
        finally:
            live, cpu = time.monotonic() - begin, _cpu_seconds(cluster.process) - cpu
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
    await asyncio.sleep(SETTLE_SECONDS)
    return _First(moments["declared"] - begin, live, _peak_megabytes(cluster.process), cpu)


async def _count_ingresses(client: Client, seen: set[str]) -> None:
    """An Ingress is the last object of each app in its file, and of the kinds the one that is applied last."""
    async for event in follow(client, INGRESS):
        if event.object is not None:
            seen.add(f"{event.object['metadata'].get('namespace')}/{event.object['metadata'].get('name')}")


async def _note_declared(client: Client, commit: str, moments: dict[str, float]) -> None:
    async for event in follow(client, GIT_SOURCE):
        if event.object is None:
            continue
        state = (event.object.get("status") or GitSourceStatus()).get("commit") or CommitState()
        if state.get("fetched") == commit:
            moments.setdefault("declared", time.monotonic())


async def _until(is_so: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(LIVE_SECONDS_MAX):
            while not is_so():
                await asyncio.sleep(0.005)
    except TimeoutError as error:
        raise Unavailable(f"not all was live within {LIVE_SECONDS_MAX:.0f} s") from error


def _cpu_seconds(process: "subprocess.Popen[str]") -> float:
    """Of the master alone: user and system time."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_megabytes(process: "subprocess.Popen[str]") -> float:
    """The most that the master itself ever had in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
