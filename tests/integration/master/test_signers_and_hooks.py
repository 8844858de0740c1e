"""What `why` and `history` of a whole master say of who signed a commit, and of hooks that were lost or late."""

import asyncio
import subprocess
from typing import Any

import pytest

from tests.integration.master.test_questions import ask, asked
from tests.integration.master.whole import Site, Whole, config_map
from tests.integration.sync.servers import keygen
from tests.unit.cli.running import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_why_and_history_name_the_signer(site: Site, shell: Shell) -> None:
    key = site.folder / "ann"
    line = f'ann@example.com namespaces="git" {keygen(key)}\n'
    listed = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], check=True, capture_output=True, text=True)
    signer = {"name": "ann@example.com", "key": listed.stdout.split()[1]}
    for name, value in (("commit.gpgSign", "true"), ("gpg.format", "ssh"), ("user.signingKey", str(key))):
        site.repository.git("config", name, value)

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})

        found = await asked(whole, shell, "why", "cm/a")
        (commit,) = (await asked(whole, shell, "history"))["commits"]
        (change,) = (await asked(whole, shell, "history", "cm/a"))["commits"]

        assert [one["signer"] for one in (found["declared"][0], commit, change)] == [signer] * 3
        assert (
            f", signed by ann@example.com ({signer['key']})" in (await ask(whole, shell, "why", "cm/a")).out
        )

    site.run(story, verify={"allowedSigners": line})


def test_a_hook_that_does_not_come_is_told_and_one_that_comes_late_too(site: Site, shell: Shell) -> None:
    async def newest(whole: Whole) -> Any:
        await whole.settled()
        return (await asked(whole, shell, "history"))["commits"][0]

    async def found_by_timer(whole: Whole, value: str) -> Any:
        commit = site.repository.commit({"a.yaml": config_map("a", value)})
        whole.master.syncer._hinted("shop", "timer")
        await whole.until(lambda: whole.live_commit() == commit)
        return await newest(whole)

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        never_heard_of = await found_by_timer(whole, "before any hook")
        commit = site.repository.commit({"a.yaml": config_map("a", "hooked")})
        whole.master.syncer.hint("shop")
        await whole.until(lambda: whole.live_commit() == commit)
        hooked = await newest(whole)
        lost = await found_by_timer(whole, "lost")
        whole.master.syncer.hint("shop")
        await whole.until(lambda: (whole.status().get("history") or [])[0].get("hook") == "late")
        late = await newest(whole)
        await asyncio.to_thread(whole.master.syncer.hint, "shop")
        again = await newest(whole)

        assert [(one["cause"], one.get("hook")) for one in (never_heard_of, hooked, lost, late)] == [
            ("timer", None),
            ("hook", None),
            ("timer", "lost"),
            ("timer", "late"),
        ]
        assert late["hooked"] > late["fetched"]
        assert again == late

    site.run(story)
