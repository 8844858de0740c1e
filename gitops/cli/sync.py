"""`gitward sync`: look at the repository now; with `--wait`, until the commit is live and healthy, or failed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import typer

from gitops.cli.status import HELD
from gitops.cli.usage import DeletionsHeld
from gitops.cli.workloads import explained
from gitops.client import Client
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment, ReplicaSet
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import GitwardError, NotFound
from gitops.kinds.gitward import GIT_SOURCE, MANAGER, CommitState, GitSource
from gitops.kinds.health import health
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject
from gitops.kinds.printable import shown

POLL_SECONDS: Final = 0.25
LOOK_SECONDS_MAX: Final = (
    900.0  # A first fetch may take five minutes; one that is on when we ask goes before ours.
)
LASTS_SECONDS: Final = 5.0  # What passes sooner is not worth a line in a pipeline's log.
WAITED_FOR: Final = (DEPLOYMENT, REPLICA_SET, POD)


class NotSynced(GitwardError):
    """The commit cannot go live, is not healthy, or time is up; the message says what is missing."""


def run_sync(kubeconfig: Path, source: str, *, wait: bool, timeout_seconds: float) -> None:
    """Raises NotFound for an unknown source, NotSynced if it fails, DeletionsHeld if it waited and some are."""
    asyncio.run(_sync(kubeconfig, source, wait=wait, timeout_seconds=timeout_seconds))


async def _sync(kubeconfig: Path, name: str, *, wait: bool, timeout_seconds: float) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        is_held = False
        for source in await _sources(client, name):
            looked = str(source["metadata"].get("name"))
            path = f"/apis/gitward.io/v1alpha1/gitsources/{looked}/sync"
            await client.request("POST", path, patience_seconds=LOOK_SECONDS_MAX)
            is_held |= await _report(client, looked, wait=wait, timeout_seconds=timeout_seconds)
        if is_held:
            raise DeletionsHeld(HELD)


async def _sources(client: Client, name: str) -> tuple[GitSource, ...]:
    if name:
        return (await client.get(GIT_SOURCE, "", name),)
    found = (await client.list(GIT_SOURCE)).items
    if not found:
        raise NotFound("no source is followed: start `gitward up` with --repo")
    return found


async def _report(client: Client, name: str, *, wait: bool, timeout_seconds: float) -> bool:
    """Tell what the look found; with `wait`, follow it to its end, and say whether deletions are held then."""
    source = await client.get(GIT_SOURCE, "", name)
    if problems := (source.get("status") or {}).get("problems"):
        raise NotSynced("\n".join(shown(line) for line in problems))
    if not wait:
        typer.echo(f"{name}: {_commit(source).get('declared', '')[:7] or 'nothing'} declared")
        return False
    missing = "it is looked at"
    progress = _Progress(name)
    try:
        async with asyncio.timeout(timeout_seconds):
            async for missing in _missing(client, name):
                progress.tell(missing, asyncio.get_running_loop().time())
    except TimeoutError as error:
        raise NotSynced(f"{name}: not live and healthy after {timeout_seconds:g} s: {missing}") from error
    if sys.stderr.isatty():
        typer.echo("\r\x1b[K", nl=False, err=True)
    return _told_live(name, await client.get(GIT_SOURCE, "", name))


class _Progress:
    """On a terminal one line that changes; elsewhere, as in a pipeline's log, a line for each reason that lasts."""

    def __init__(self, name: str) -> None:
        self._name, self._missing, self._since, self._is_told = name, "", 0.0, False

    def tell(self, missing: str, now: float) -> None:
        """`now`: seconds of any clock that only goes forward."""
        if sys.stderr.isatty():
            typer.echo(f"\r\x1b[K{self._name}: {shown(missing)}", nl=False, err=True)
            return
        if missing != self._missing:
            self._missing, self._since, self._is_told = missing, now, False
        if not self._is_told and now - self._since >= LASTS_SECONDS:
            self._is_told = True
            typer.echo(f"{self._name}: waits: {shown(missing)}", err=True)


def _told_live(name: str, source: GitSource) -> bool:
    """The rest of a commit goes live beside deletions that are held: they are told, and whether there are any. What it
    states and nobody acts on (a HelmRelease, say) is no failure, but whoever waited must hear of it."""
    status = source.get("status") or {}
    held, warned = status.get("held") or [], status.get("warnings") or []
    number = f", but {_counted(held, 'deletion')} held" if held else ""
    warnings = f", with {_counted(warned, 'warning')}: see `gitward status`" if warned else ""
    typer.echo(f"{name}: {_commit(source).get('live', '')[:7]} live and healthy{number}{warnings}")
    for line in held:
        typer.echo(f"held: {shown(line)}", err=True)
    return bool(held)


def _counted(lines: Sequence[str], noun: str) -> str:
    return f"{len(lines)} {noun}{'s' if len(lines) != 1 else ''}"


async def _missing(client: Client, name: str) -> AsyncIterator[str]:
    """What is still missing, again and again, until nothing is. NotSynced: it will never be there."""
    while True:
        source = await client.get(GIT_SOURCE, "", name)
        if problems := (source.get("status") or {}).get("problems"):
            raise NotSynced("\n".join(shown(line) for line in problems))
        if unapplied := (source.get("status") or {}).get("unapplied"):
            raise NotSynced("\n".join(shown(line) for line in unapplied))
        commit = _commit(source)
        if not commit.get("fetched") or commit.get("live") != commit["fetched"]:
            waiting = (source.get("status") or {}).get("waiting") or ["it is being applied"]
            yield f"commit {commit.get('fetched', '?')[:7]} is not live yet: {waiting[0]}"
        elif unwell := await _unwell(client):
            yield unwell
        else:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _unwell(client: Client) -> str:
    """The first object of git's that is not healthy, and why; '' if all are. Degraded is an end: NotSynced."""
    for kind in WAITED_FOR:
        for obj in await _of_git(client, kind):
            state, why = health(obj)
            if state != "Healthy" and kind is not POD:
                state, why = await explained(client, cast(Deployment | ReplicaSet, obj))
            place = f"{kind.kind} {obj['metadata'].get('namespace')}/{obj['metadata'].get('name')}"
            if state == "Degraded":
                raise NotSynced(f"{place} is degraded: {shown(why)}")
            if state != "Healthy":
                return f"{place}: {why}"
    return ""


async def _of_git(client: Client, kind: Kind[Any]) -> list[KubeObject]:
    found = (await client.list(kind)).items
    return [
        obj
        for obj in found
        if any(entry["manager"] == MANAGER for entry in obj["metadata"].get("managedFields", []))
    ]


def _commit(source: GitSource) -> CommitState:
    return (source.get("status") or {}).get("commit") or {}
