"""Commit statuses at a real HTTP server: pending, then how it ended; whatever the forge does, the master goes on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from gitops.client import Client
from gitops.kinds.gitward import GIT_SOURCE, GitSourceSpec, GitSourceStatus
from gitops.master import MasterSettings, running
from gitops.sync.operators import OperatorSource
from gitops.sync.statuses.poster import Poster
from gitops.sync.statuses.tokens import TokenFile
from gitops.sync.syncer import SyncSettings
from tests.integration.master.whole import SOURCE, Site, Whole, config_map, run
from tests.integration.statuses.forge import Answer, ForgeServer, forge

TOKEN = "canary-token"


@pytest.fixture
def server() -> Iterator[ForgeServer]:
    with forge() as served:
        yield served


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n")
    return TokenFile(file, SOURCE)


def at(server: ForgeServer) -> Any:
    """What a source says of its forge."""
    return {"type": "gitea", "url": server.url}


@asynccontextmanager
async def posting(whole: Whole, tokens: TokenFile) -> AsyncIterator[Poster]:
    """A poster beside a master; its pauses are short."""
    poster = Poster(
        whole.store, tokens, lambda one: one["metadata"].get("name") != "theirs", pause_seconds=0.01
    )
    unsubscribe = whole.store.subscribe(poster.noted)
    task = asyncio.create_task(poster.run())
    try:
        yield poster
        assert not task.done(), "the poster ended"
    finally:
        unsubscribe()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _posted_state(whole: Whole) -> str:
    posted = whole.status().get("posted")
    return posted["state"] if posted else ""


def test_a_commit_is_pending_until_it_is_live(site: Site, tokens: TokenFile, server: ForgeServer) -> None:
    async def story() -> None:
        first = site.repository.commit({"a.yaml": config_map("a")})
        async with site.master(forge=at(server)) as whole, posting(whole, tokens):
            await whole.is_live(first)
            await whole.until(lambda: (first, "success") in server.states())
            second = await whole.goes_live({"a.yaml": config_map("a", "two")})
            await whole.until(lambda: (second, "success") in server.states())

            assert [state for commit, state in server.states() if commit == second][-1] == "success"
            assert server.told[-1].path == f"/api/v1/repos/acme/shop/statuses/{second}"
            assert server.told[-1].headers["Authorization"] == f"token {TOKEN}"
            assert server.told[-1].body["context"] == "gitward/shop"
            await whole.until(lambda: whole.status().get("posted") == {"commit": second, "state": "success"})

    run(story())


def test_pending_is_told_when_going_live_takes_its_time(
    site: Site, tokens: TokenFile, server: ForgeServer
) -> None:
    """An object that waits for its namespace keeps its commit from being live."""
    waits = config_map("a", namespace="not-there-yet")

    async def story() -> None:
        commit = site.repository.commit({"a.yaml": waits})
        async with site.master(forge=at(server)) as whole, posting(whole, tokens):
            await whole.look()
            await whole.until(lambda: server.states() == [(commit, "pending")])
            namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: not-there-yet}\n"
            fixed = await whole.goes_live({"n.yaml": namespace})
            await whole.until(lambda: server.states()[-1] == (fixed, "success"))

    run(story())


def test_a_commit_that_is_held_back_fails_with_its_first_problem(
    site: Site, tokens: TokenFile, server: ForgeServer
) -> None:
    async def story() -> None:
        site.repository.commit({"a.yaml": config_map("a")})
        async with site.master(forge=at(server)) as whole, posting(whole, tokens):
            await whole.look()
            await whole.is_refused({"b.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: 3}\n"})
            await whole.until(lambda: server.told[-1].state == "failure")

            assert server.told[-1].body["description"].startswith("b.yaml:3: metadata.name")

    run(story())


def test_nothing_is_told_twice_not_even_after_a_restart(
    site: Site, tokens: TokenFile, server: ForgeServer
) -> None:
    async def story() -> None:
        commit = site.repository.commit({"a.yaml": config_map("a")})
        for _ in range(2):
            async with site.master(forge=at(server)) as whole, posting(whole, tokens):
                await whole.is_live(commit)
                await whole.until(lambda: _posted_state(whole) == "success")
                await whole.settled()
                await whole.look()

        assert server.states().count((commit, "success")) == 1

    run(story())


def test_a_forge_that_fails_is_asked_again_and_told_the_newest_only(
    site: Site, tokens: TokenFile, server: ForgeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [
        Answer(503, body=f"no {TOKEN}"),
        Answer(500),
        Answer(429, (("Retry-After", "0"),)),
        Answer(),
    ]

    async def story() -> None:
        commit = site.repository.commit({"a.yaml": config_map("a")})
        async with site.master(forge=at(server)) as whole, posting(whole, tokens):
            await whole.is_live(commit)
            await whole.until(lambda: whole.status().get("posted") == {"commit": commit, "state": "success"})

            assert len(server.told) >= 4

    run(story())
    said = capsys.readouterr().err
    assert "commit status not posted: it will be tried again" in said
    assert TOKEN not in said


def test_a_forge_that_hangs_holds_up_nothing(site: Site, tokens: TokenFile, server: ForgeServer) -> None:
    released = threading.Event()
    server.answers = [Answer(wait=released), Answer()]

    async def story() -> None:
        first = site.repository.commit({"a.yaml": config_map("a")})
        async with site.master(forge=at(server)) as whole, posting(whole, tokens):
            await whole.is_live(first)
            await whole.until(lambda: len(server.told) == 1)
            last = ""
            for number in range(3):
                last = await whole.goes_live({"a.yaml": config_map("a", str(number))})
            assert len(server.told) == 1
            released.set()
            await whole.until(lambda: server.states()[-1] == (last, "success"))

            assert len({commit for commit, _ in server.states()}) == 2

    run(story())


def test_a_redirect_is_not_followed_and_a_refusal_is_not_repeated_at_once(
    site: Site, tokens: TokenFile, server: ForgeServer
) -> None:
    with forge() as elsewhere:
        server.answers = [Answer(307, (("Location", elsewhere.url),))]

        async def story() -> None:
            commit = site.repository.commit({"a.yaml": config_map("a")})
            async with site.master(forge=at(server)) as whole, posting(whole, tokens):
                await whole.is_live(commit)
                await whole.until(lambda: server.told)
                await asyncio.sleep(0.3)

                assert len(server.told) == 1

        run(story())
        assert elsewhere.told == []


def test_only_the_source_that_the_flags_name_is_told_by_a_token_without_a_host(
    site: Site, tokens: TokenFile, server: ForgeServer
) -> None:
    async def story() -> None:
        commit = site.repository.commit({"a.yaml": config_map("a")})
        other = site.another_repository("o", {"b.yaml": config_map("b")})
        async with site.master(forge=at(server)) as whole, posting(whole, tokens):
            for name in ("other", "theirs"):
                await whole.follow(name, f"file://{other}")
                found = whole.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
                assert found is not None
                status: GitSourceStatus = {"commit": {"fetched": "b" * 40}}
                spec: GitSourceSpec = {**found["spec"], "forge": at(server)}
                await whole.write({**found, "spec": spec, "status": status})
            await whole.is_live(commit)
            await whole.until(lambda: (commit, "success") in server.states())
            await whole.settled()

            assert {told.body["context"] for told in server.told} == {"gitward/shop"}

    run(story())


def test_a_master_tells_the_forge_of_its_flags(site: Site, server: ForgeServer, tmp_path: Path) -> None:
    """As `up` puts it together: the source states the forge, a file holds the token."""
    file = tmp_path / "tokens"
    file.write_text(TOKEN)
    commit = site.repository.commit({"a.yaml": config_map("a")})

    async def story() -> None:
        source: GitSourceSpec = {
            "url": f"file://{site.repository.folder}",
            "forge": {"type": "gitea", "url": server.url},
        }
        settings = MasterSettings(
            data_dir=site.data,
            listen=("127.0.0.1", 0),
            pod_cidr=IPv4Network("10.77.0.0/16"),
            service_cidr=IPv4Network("10.78.0.0/16"),
            interval_seconds=86_400,
            sync=SyncSettings(sources={SOURCE: OperatorSource(source)}),
            source_name=SOURCE,
            forge_token_file=file,
        )
        async with (
            running(settings, site.parser) as master,
            Client.from_kubeconfig(site.data / "admin.kubeconfig") as admin,
        ):
            await Whole(site, master, admin).until(lambda: (commit, "success") in server.states())

    run(story())
