"""Remotes that are not as they should be: each says so in the source, the last good state stays, and it recovers."""

import shutil

import pytest

from gitops.kinds.core.config import CONFIG_MAP
from tests.integration.master.whole import Site, Whole, config_map

HOSTILE = (
    "--upload-pack=touch {trap}",
    "ext::sh -c touch% {trap}",
    "ssh://-oProxyCommand=touch${{IFS}}{trap}/x",
    "file://{trap}/nowhere\n--upload-pack=touch",
    "http://user:canary-password@127.0.0.1/x.git",
)


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_and_the_master_serves(
    site: Site, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    trap = site.folder / "trap"

    async def story(whole: Whole) -> None:
        await whole.look()

        assert len(whole.problems()) == 1
        words = ("no URL of a repository", "does not begin with '-'", "a password in the URL would show")
        assert any(one in whole.problems()[0] for one in words)
        assert (await whole.admin.request("GET", "/version"))["major"] == "1"

    site.run(story, url=url.format(trap=trap))
    assert not trap.exists()
    assert "canary-password" not in capsys.readouterr().err


def test_an_unknown_branch_is_told_with_those_there_are_and_followed_once_it_is_there(site: Site) -> None:
    site.repository.commit({"a.yaml": config_map("a")})

    async def story(whole: Whole) -> None:
        await whole.look()
        where = f"source shop: file://{site.repository.folder}"
        assert whole.problems() == [f"{where}: there is no branch 'mian'; it has: main"]
        assert whole.names(CONFIG_MAP, "default") == []

        site.repository.git("branch", "mian")
        await whole.is_live(site.repository.git("rev-parse", "mian"))
        assert whole.problems() == []

    site.run(story, branch="mian")


def test_a_repository_without_a_commit_waits_for_its_first(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.look()
        where = f"source shop: file://{site.repository.folder}"
        assert whole.problems() == [f"{where}: the repository has no commit yet"]

        await whole.goes_live({"a.yaml": config_map("a")})

    site.run(story)


def test_a_deleted_branch_and_a_deleted_repository_change_nothing_that_is_live(site: Site) -> None:
    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"a.yaml": config_map("a")})
        live = whole.found(CONFIG_MAP, "default", "a")
        site.repository.git("checkout", "--quiet", "-b", "other")
        site.repository.git("branch", "--quiet", "-D", "main")
        await whole.look()
        assert whole.problems()[0].endswith("there is no branch 'main'; it has: other")
        shutil.rmtree(site.repository.folder)
        await whole.look()
        assert "does not appear to be a git repository" in whole.problems()[0]

        await whole.settled()
        assert whole.found(CONFIG_MAP, "default", "a") == live
        assert whole.live_commit() == good

    site.run(story, branch="main")


def test_an_unreachable_server_is_an_error_of_its_source_alone(site: Site) -> None:
    other = site.another_repository("other", {"b.yaml": config_map("b")})

    async def story(whole: Whole) -> None:
        await whole.follow("other", f"file://{other}")
        await whole.look()

        assert whole.problems()[0].startswith("source shop: http://127.0.0.1:1/x.git: cannot fetch: ")
        assert (await whole.master.syncer.look("other", "test")).declared
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "b"))

    site.run(story, url="http://127.0.0.1:1/x.git")


def test_a_rewritten_branch_is_followed_to_where_it_points_now(site: Site) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a")})
        await whole.goes_live({"a.yaml": config_map("a", "two"), "b.yaml": config_map("b")})

        site.repository.git("reset", "--quiet", "--hard", first)
        newest = await whole.goes_live({"c.yaml": config_map("c")})

        assert whole.names(CONFIG_MAP, "default") == ["a", "c"]
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "one"}
        assert whole.live_commit() == newest

    site.run(story)


def test_a_changed_url_adopts_what_was_declared(site: Site) -> None:
    other = site.another_repository("other", {"a.yaml": config_map("a"), "c.yaml": config_map("c")})
    uids: list[str] = []

    async def first(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        uids.append(whole.found(CONFIG_MAP, "default", "a")["metadata"]["uid"])

    async def second(whole: Whole) -> None:
        await whole.look()
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "c"))
        await whole.settled()
        assert whole.found(CONFIG_MAP, "default", "a")["metadata"]["uid"] == uids[0]

    site.run(first)
    site.run(second, url=f"file://{other}")
