"""Webhooks against a whole master: only a genuine one leads to a look, and a look is all that ever comes of one."""

import asyncio
import hmac
import json

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.gitward import GIT_SOURCE
from gitops.store.contract import Batch
from tests.integration.master.whole import Site, Whole, config_map
from webhooks import Source, make_app
from webhooks.app import BODY_BYTES_MAX

SECRET = b"canary-hook-secret"
URL = "https://forge.example.com/acme/shop.git"


class Looks:
    """Counts the looks that a master finishes."""

    def __init__(self, whole: Whole) -> None:
        self.moments: set[str] = set()
        whole.store.subscribe(self._published)

    def _published(self, batch: Batch) -> None:
        for change in batch.changes:
            if change.key.kind == GIT_SOURCE.kind and change.after is not None:
                source: dict[str, dict[str, str]] = dict(change.after)  # type: ignore[arg-type] # A GitSource.
                self.moments.add(source["status"]["lastLook"])


def hooks_of(whole: Whole) -> Flask:
    followed = (Source("shop", URL, "main"),)
    return make_app(whole.master.syncer.hint, lambda: followed, (SECRET,))


def github(body: bytes, *, secret: bytes = SECRET, delivery: str = "") -> dict[str, str]:
    digest = hmac.new(secret, body, "sha256").hexdigest()
    headers = {
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
    }
    return {**headers, "Content-Type": "application/json"}


def push(branch: str = "main", url: str = URL) -> bytes:
    return json.dumps({"ref": f"refs/heads/{branch}", "repository": {"clone_url": url}}).encode()


async def post(app: Flask, body: bytes, headers: dict[str, str]) -> TestResponse:
    """From a thread, as the server's threads do."""
    return await asyncio.to_thread(
        lambda: app.test_client().post("/hooks/github", data=body, headers=headers)
    )


def test_a_genuine_hook_brings_a_commit_live(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        commit = site.repository.commit({"a.yaml": config_map("a", "two")})

        answer = await post(hooks_of(whole), push(), github(push(), delivery="1"))

        assert answer.status_code == 202
        await whole.until(lambda: whole.live_commit() == commit)
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "two"}

    site.run(story)


def test_forged_replayed_oversized_and_foreign_hooks_cause_no_look(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        app, looks, good = hooks_of(whole), Looks(whole), push()
        first = await post(app, good, github(good, delivery="1"))
        await whole.until(lambda: len(looks.moments) == 1)
        huge = good + b" " * BODY_BYTES_MAX
        wild = push(branch="wip")
        foreign = push(url="https://forge.example.com/acme/other.git")
        odd = push(url="https://forge.example.com/acme/" + ".*+?()[]{}|^$\\" * 200)

        codes = [
            (await post(app, good, {})).status_code,
            (await post(app, good, github(good, secret=b"guess", delivery="2"))).status_code,
            (await post(app, good + b" ", github(good, delivery="3"))).status_code,
            (await post(app, huge, github(huge, delivery="4"))).status_code,
            (await post(app, good, github(good, delivery="1"))).status_code,
            *[
                (await post(app, body, github(body))).status_code
                for body in (wild, foreign, odd, b"[]", b"{")
            ],
        ]

        assert first.status_code == 202
        assert app.extensions["refusals"].count == 3
        assert codes == [401, 401, 401, 413, 202, 202, 202, 202, 202, 202]
        await post(
            app, good, github(good, delivery="5")
        )  # The last of all: those before would have come first.
        await whole.until(lambda: len(looks.moments) == 2)
        await whole.settled()
        assert len(looks.moments) == 2

    site.run(story)
    said = capsys.readouterr().err
    assert said.count("webhooks refused: no or a bad signature") == 1  # Told once a minute, with their count.
    assert "canary" not in said


def test_a_flood_of_genuine_hooks_costs_few_looks_and_ends_at_the_newest_commit(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        app, looks, body = hooks_of(whole), Looks(whole), push()
        sent = [post(app, body, github(body, delivery=str(number))) for number in range(200)]
        commit = site.repository.commit({"a.yaml": config_map("a", "two")})

        answers = await asyncio.gather(*sent)

        assert {answer.status_code for answer in answers} == {202}
        await whole.until(lambda: whole.live_commit() == commit)
        await whole.settled()
        assert len(looks.moments) < 100

    site.run(story)
