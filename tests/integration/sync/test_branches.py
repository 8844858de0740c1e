"""A branch or a remote that is not as it was: what becomes of the source. Each is told, the last good state stays."""

import asyncio
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from gitops.kinds.objects import moment_of
from gitops.sync import source as source_module
from tests.integration.sync.repository import Followed, Repository, config_map, following


def test_a_rewritten_branch_is_followed_with_an_event(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": config_map("a")})
    second = repository.commit({"b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.git("reset", "--quiet", "--hard", first)
        third = repository.commit({"c.yaml": config_map("c")})

        assert (await followed.look()).commit == third
        await followed.look()

        assert followed.states() == {"a": "declared", "b": "withdrawn", "c": "declared"}
        told = f"the branch was rewritten: {second[:7]} is not in the history of {third[:7]}; it is followed"
        assert ("BranchRewritten", told, 1) in followed.events()

    following(tmp_path, str(repository.folder), story)


def test_a_branch_that_moves_back_is_followed_with_an_event(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": config_map("a")})
    repository.commit({"a.yaml": config_map("a", "two")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.git("reset", "--quiet", "--hard", first)

        assert (await followed.look()).commit == first

        assert followed.record("ConfigMap", "a")["claims"][0]["object"]["data"] == {"a": "one"}
        assert [reason for reason, _, _ in followed.events()].count("BranchRewritten") == 1

    following(tmp_path, str(repository.folder), story)


def test_where_only_what_follows_is_taken_a_rewritten_branch_is_refused_until_it_follows_again(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": config_map("a")})
    second = repository.commit({"b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.git("reset", "--quiet", "--hard", first)
        third = repository.commit({"c.yaml": config_map("c")})
        told = (
            f"source shop: the branch was rewritten: {second[:7]} is not in the history of {third[:7]}, "
            "which this source refuses"
        )

        assert (await followed.look()).problems == (told,)
        assert (await followed.look()).problems == (told,)

        assert followed.lines == [told]
        assert ("CommitRefused", told, 2) in followed.events()
        status = followed.source().get("status", {})
        assert status.get("commit") == {"fetched": second, "declared": second}
        assert status.get("failures") == 0
        assert followed.states() == {"a": "declared", "b": "declared"}

        repository.git("reset", "--quiet", "--hard", second)
        fourth = repository.commit({"d.yaml": config_map("d")})
        outcome = await followed.look()
        assert (outcome.commit, outcome.problems) == (fourth, ())

    following(tmp_path, str(repository.folder), story, requireFastForward=True)


def test_another_branch_is_no_rewritten_one(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": config_map("a")})
    repository.git("checkout", "--quiet", "-b", "other")
    other = repository.commit({"b.yaml": config_map("b")})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"c.yaml": config_map("c")})
    url = str(repository.folder)

    async def story(followed: Followed) -> None:
        await followed.look()
        await followed.follow("shop", url=url, branch="other", requireFastForward=True)

        outcome = await followed.look()

        assert (outcome.commit, outcome.problems) == (other, ())
        assert outcome.held == ("ConfigMap default/c (was in c.yaml:1)",)
        assert followed.states() == {"a": "declared", "b": "declared", "c": "held"}
        assert "BranchRewritten" not in [reason for reason, _, _ in followed.events()]
        assert first

    following(tmp_path, url, story, branch="main", requireFastForward=True)


def test_a_changed_url_adopts_and_holds_what_is_not_there_until_a_commit_says_so(tmp_path: Path) -> None:
    ours, theirs = Repository(tmp_path / "ours"), Repository(tmp_path / "theirs")
    first = ours.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
    theirs.commit({"sub/a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        await followed.follow("shop", url=str(theirs.folder))
        assert (await followed.look()).held == ("ConfigMap default/b (was in b.yaml:1)",)
        assert followed.record("ConfigMap", "a")["claims"][0]["commit"] == first

        theirs.commit({"c.yaml": config_map("c")}, "more")
        assert len((await followed.look()).held) == 1
        theirs.commit({}, "let it go\n\nGitward-Allow-Prune: 1")
        assert (await followed.look()).held == ()
        assert followed.states() == {"a": "declared", "b": "withdrawn", "c": "declared"}

    following(tmp_path, str(ours.folder), story)


def test_a_deleted_branch_keeps_the_last_good_state_and_is_followed_when_it_comes_back(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "repo")
    good = repository.commit({"a.yaml": config_map("a")})
    repository.git("checkout", "--quiet", "-b", "other")

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.git("branch", "--quiet", "-D", "main")
        await followed.look()
        where = f"source shop: file://{repository.folder}"
        assert followed.lines == [f"{where}: there is no branch 'main'; it has: other"]
        assert followed.states() == {"a": "declared"}
        assert followed.source().get("status", {}).get("commit") == {"fetched": good, "declared": good}

        repository.git("branch", "main")
        assert (await followed.look()).commit == good
        assert followed.source().get("status", {}).get("problems") == []

    following(tmp_path, str(repository.folder), story, branch="main")


def test_an_empty_repository_waits_for_its_first_commit(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")

    async def story(followed: Followed) -> None:
        await followed.look()
        assert followed.lines == [
            f"source shop: file://{repository.folder}: the repository has no commit yet"
        ]

        repository.commit({"a.yaml": config_map("a")})
        assert (await followed.look()).declared

    following(tmp_path, str(repository.folder), story)


@pytest.mark.parametrize(
    "strict", [False, True], ids=["followed", "refused where only what follows is taken"]
)
def test_a_server_whose_history_is_shallow_is_followed(tmp_path: Path, strict: bool) -> None:
    whole = Repository(tmp_path / "whole")
    for number in range(3):
        whole.commit({"a.yaml": config_map("a", f"v{number}")})
    shallow = tmp_path / "shallow"
    whole.git("clone", "--quiet", "--bare", "--depth=1", f"file://{whole.folder}", str(shallow))

    async def story(followed: Followed) -> None:
        assert (await followed.look()).problems == ()
        for number in range(3, 6):
            newest = whole.commit({"a.yaml": config_map("a", f"v{number}")})
        shutil.rmtree(shallow)
        whole.git("clone", "--quiet", "--bare", "--depth=1", f"file://{whole.folder}", str(shallow))

        outcome = await followed.look()

        if strict:
            assert "the server's history is shallow" in outcome.problems[0]
        else:
            assert (outcome.commit, outcome.problems) == (newest, ())
            assert "BranchRewritten" not in [reason for reason, _, _ in followed.events()]

    following(tmp_path, f"file://{shallow}", story, requireFastForward=strict)


def test_a_remote_that_cannot_be_reached_is_tried_less_often_and_tells_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})

    def waits(followed: Followed) -> float:
        status = followed.source().get("status", {})
        now = datetime.fromisoformat(status.get("lastLook", ""))
        return (moment_of(status.get("nextLook", "")) - now).total_seconds()

    async def story(followed: Followed) -> None:
        await followed.look()
        assert waits(followed) == 60
        repository.folder.rename(tmp_path / "away")
        found = []
        for _ in range(6):
            await followed.look()
            found.append(waits(followed))
        assert found == [120, 240, 480, 600, 600, 600]
        assert followed.source().get("status", {}).get("failures") == 6
        (event,) = [event for event in followed.events() if event[0] == "FetchFailed"]
        assert event[2] == 6

        (tmp_path / "away").rename(repository.folder)
        assert (await followed.look()).declared
        assert waits(followed) == 60
        assert followed.source().get("status", {}).get("failures") == 0

    following(tmp_path, str(repository.folder), story, intervalSeconds=60)


def test_the_timer_looks_again_by_itself_and_at_what_is_new_at_once(tmp_path: Path) -> None:
    ours, theirs = Repository(tmp_path / "ours"), Repository(tmp_path / "theirs")
    ours.commit({"a.yaml": config_map("a")})
    theirs.commit({"b.yaml": config_map("b")})

    async def until(followed: Followed, wanted: set[str]) -> None:
        async with asyncio.timeout(10):
            while set(followed.names()) != wanted:
                await asyncio.sleep(0.01)

    async def story(followed: Followed) -> None:
        followed.syncer.start()
        await until(followed, {"a"})
        await followed.follow("other", url=str(theirs.folder))
        await until(followed, {"a", "b"})

    following(tmp_path, str(ours.folder), story)


def test_many_fetches_leave_few_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PACKS_MAX", 3)  # A bound of ours, made short: nothing is replaced.
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        for number in range(12):
            repository.commit({"a.yaml": config_map("a", f"v{number}")})
            assert (await followed.look()).declared
        packs = list((tmp_path / "data/sources/shop/mirror.git/objects/pack").glob("*.pack"))
        assert len(packs) <= 4

    following(tmp_path, str(repository.folder), story)


def test_a_deleted_source_prunes_nothing_and_others_may_have_what_it_kept(tmp_path: Path) -> None:
    ours, theirs = Repository(tmp_path / "ours"), Repository(tmp_path / "theirs")
    ours.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
    theirs.commit({"a.yaml": config_map("a", "two")})

    async def story(followed: Followed) -> None:
        followed.syncer.start()
        await followed.look()
        await followed.follow("other", url=str(theirs.folder))
        await followed.syncer.look("other", "test")
        assert followed.claims("a") == ["shop declared", "other declared"]

        await followed.delete("shop")
        await followed.syncer.look("other", "test")

        assert followed.claims("a") == ["other declared"]
        assert followed.claims("b") == ["shop declared"]

        await followed.follow("shop", url=str(ours.folder))
        await followed.look()
        assert followed.claims("b") == ["shop declared"]
        assert followed.claims("a") == ["other declared", "shop declared"]

    following(tmp_path, str(ours.folder), story)
