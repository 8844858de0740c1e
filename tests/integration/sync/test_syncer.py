"""From a push to the declared set: one transaction for a commit, nothing for a bad one, holds, and looks that join."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.objects import micro_timestamp
from gitops.kinds.sensitive import Sensitive
from gitops.sync.secrets.keys import keygen
from gitops.sync.secrets.writer import encrypt_file
from tests.integration.sync.repository import Followed, Repository, config_map, following, objects

SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: canary-7\n"


def test_a_commit_is_declared_with_its_provenance(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    commit = repository.commit({"apps/a.yaml": "# hello\n" + config_map("a"), "b.yaml": "x: 1\n"})

    async def story(followed: Followed) -> None:
        outcome = await followed.look()

        assert outcome.declared
        assert outcome.commit == commit
        (claim,) = followed.record("ConfigMap", "a")["claims"]
        assert (claim["file"], claim["line"], claim["commit"], claim["state"]) == (
            "apps/a.yaml",
            2,
            commit,
            "declared",
        )
        assert claim["object"]["metadata"] == {"name": "a", "namespace": "default"}
        status = followed.source().get("status", {})
        assert status.get("commit") == {"fetched": commit, "declared": commit}
        assert status.get("ignoredFiles") == 1
        assert [one.commit for one in await followed.store.commits("shop")] == [commit]

    following(tmp_path, str(repository.folder), story)


def test_one_bad_file_holds_the_commit_back_and_the_last_good_set_stays(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    good = repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        bad = repository.commit({"a.yaml": config_map("a", "two"), "b.yaml": config_map("b") + "extra: 1\n"})

        outcome = await followed.look()
        await followed.look()

        assert not outcome.declared
        assert followed.lines == ['b.yaml:7: ConfigMap default/b: unknown field "extra"']
        status = followed.source().get("status", {})
        assert status.get("commit") == {"fetched": bad, "declared": good}
        assert status.get("problems") == followed.lines
        assert followed.record("ConfigMap", "a")["claims"][0]["object"]["data"] == {"a": "one"}
        assert followed.record("ConfigMap", "b") is None

        repaired = repository.commit({"b.yaml": config_map("b")})
        assert (await followed.look()).declared
        status = followed.source().get("status", {})
        assert status.get("commit") == {"fetched": repaired, "declared": repaired}
        assert status.get("problems") == []

    following(tmp_path, str(repository.folder), story)


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        before = {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in objects(followed)}
        repository.commit({"b.yaml": config_map("b", "two")})
        await followed.look()
        await followed.look()

        after = {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in objects(followed)}
        assert after["a"] == before["a"]
        assert after["b"] != before["b"]

    following(tmp_path, str(repository.folder), story)


def test_a_moved_manifest_keeps_its_commit_and_gets_its_new_place(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"a.yaml": None, "moved/b.yaml": "\n" + config_map("a")})
        await followed.look()

        (claim,) = followed.record("ConfigMap", "a")["claims"]
        assert (claim["file"], claim["line"], claim["commit"]) == ("moved/b.yaml", 2, first)

    following(tmp_path, str(repository.folder), story)


def test_a_removed_object_is_withdrawn_and_a_revert_states_it_again(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"b.yaml": None})
        await followed.look()
        assert followed.states() == {"a": "declared", "b": "withdrawn"}

        repository.git("revert", "--no-edit", "HEAD")
        await followed.look()
        assert followed.states() == {"a": "declared", "b": "declared"}

    following(tmp_path, str(repository.folder), story)


def test_an_emptied_app_is_held_until_a_commit_allows_it(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        await followed.set_live(first)
        repository.commit({"a.yaml": None, "b.yaml": None, "c.txt": "x"})
        held = await followed.look()
        assert held.held == ("ConfigMap default/a (was in a.yaml:1)", "ConfigMap default/b (was in b.yaml:1)")
        assert followed.states() == {"a": "held", "b": "held"}

        repository.commit({}, "too few\n\nGitward-Allow-Prune: 1")
        assert len((await followed.look()).held) == 2
        repository.commit({}, "enough\n\nGitward-Allow-Prune: 2")
        repository.commit({}, "another one on top")
        assert (await followed.look()).held == ()
        assert followed.states() == {"a": "withdrawn", "b": "withdrawn"}

    following(tmp_path, str(repository.folder), story)


def test_an_encrypted_secret_is_declared_sealed(tmp_path: Path) -> None:
    identity, recipient = keygen()
    repository = Repository(tmp_path / "repo")
    sealed = encrypt_file(SECRET, [recipient], datetime(2026, 1, 1, tzinfo=UTC))
    repository.commit({"db.yaml": sealed})

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared

        value = followed.record("Secret", "db")["claims"][0]["object"]["data"]["password"]
        assert value == Sensitive("Y2FuYXJ5LTc=")
        assert followed.source().get("status", {}).get("warnings") == []

    following(tmp_path, str(repository.folder), story, key=identity)


def test_a_wrong_key_and_a_changed_secret_are_errors_that_show_nothing(tmp_path: Path) -> None:
    identity, recipient = keygen()
    other, _ = keygen()
    repository = Repository(tmp_path / "repo")
    sealed = encrypt_file(SECRET, [recipient], datetime(2026, 1, 1, tzinfo=UTC))
    repository.commit({"db.yaml": sealed})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        (tmp_path / "data" / "age.key").write_text(identity)
        assert (await followed.look()).declared
        repository.commit({"db.yaml": sealed.replace("name: db", "name: dc")})
        assert not (await followed.look()).declared

        assert followed.lines == [
            f"db.yaml:1: cannot decrypt: 1 key here, which does not match; the file's recipients are {recipient}",
            "db.yaml:1: the file was changed after it was encrypted: its MAC does not match",
        ]
        assert followed.record("Secret", "dc") is None
        assert "canary" not in repr(objects(followed)) + repr(followed.source())

    following(tmp_path, str(repository.folder), story, key=other)


def test_a_secret_in_clear_text_is_a_warning(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"db.yaml": SECRET})

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared

        warnings = followed.source().get("status", {}).get("warnings")
        assert warnings == [
            "db.yaml:1: Secret default/db: a secret in clear text; see `gitward secret encrypt`"
        ]
        assert "canary" not in repr(objects(followed))

    following(tmp_path, str(repository.folder), story)


def test_an_unreachable_source_keeps_what_was_declared(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    commit = repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.folder.rename(tmp_path / "away")
        outcome = await followed.look()
        await followed.look()
        assert not outcome.declared
        assert len(followed.lines) == 1
        assert "does not appear to be a git repository" in followed.lines[0]
        assert followed.source().get("status", {}).get("commit") == {"fetched": commit, "declared": commit}

        (tmp_path / "away").rename(repository.folder)
        await followed.look()
        assert followed.source().get("status", {}).get("problems") == []

    following(tmp_path, str(repository.folder), story)


def test_an_unknown_branch_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        where = f"source shop: file://{repository.folder}"
        assert followed.lines == [f"{where}: there is no branch 'mian'; it has: main"]

    following(tmp_path, str(repository.folder), story, branch="mian")


def test_hints_from_other_threads_join_one_waiting_look(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        first = asyncio.create_task(followed.look())
        await asyncio.sleep(0)
        newest = repository.commit({"b.yaml": config_map("b")})
        for _ in range(20):
            await asyncio.to_thread(followed.syncer.hint, "shop")
        await asyncio.to_thread(followed.syncer.hint, "unknown")
        joined = await asyncio.gather(*(followed.look() for _ in range(5)))

        assert (await first).declared
        assert {outcome.commit for outcome in joined} == {newest}
        assert followed.states() == {"a": "declared", "b": "declared"}
        assert len(await followed.store.commits("shop")) <= 2

    following(tmp_path, str(repository.folder), story)


def test_two_sources_that_state_one_object_the_first_keeps_it(tmp_path: Path) -> None:
    ours, theirs = Repository(tmp_path / "ours"), Repository(tmp_path / "theirs")
    ours.commit({"a.yaml": config_map("a")})
    theirs.commit({"x.yaml": config_map("a", "two"), "y.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.follow("other", url=str(theirs.folder))
        await followed.look()
        await followed.syncer.look("other", "test")

        claims = followed.record("ConfigMap", "a")["claims"]
        assert [(claim["source"], claim["state"]) for claim in claims] == [
            ("shop", "declared"),
            ("other", "declared"),
        ]

        ours.commit({"a.yaml": None, "c.yaml": config_map("c")})
        await followed.look()
        claims = followed.record("ConfigMap", "a")["claims"]
        assert [(claim["source"], claim["state"]) for claim in claims] == [("other", "declared")]

    following(tmp_path, str(ours.folder), story)


def test_a_path_is_followed_and_what_lies_beside_it_is_not_read(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(
        {
            "apps/web/a.yaml": config_map("a"),
            "apps/web/.github/x.yaml": "{{",
            "apps/web/skip/y.yaml": "{{",
            "apps/web/.gitwardignore": "skip/\n",
            "apps/website.yaml": "{{",
            "b.yaml": "{{",
        }
    )

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared
        assert followed.states() == {"a": "declared"}

    following(tmp_path, str(repository.folder), story, path="apps/web")


def test_looks_at_an_unchanged_source_write_nothing_until_the_last_one_told_is_old(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        await followed.look()
        before = followed.source()
        revision = followed.store.view().revision
        for _ in range(5):
            assert (await followed.look()).declared
        assert followed.store.view().revision == revision
        assert followed.source() == before

        long_ago = micro_timestamp(datetime.now(UTC) - timedelta(minutes=6))
        await followed.put({**before, "status": {**before.get("status", {}), "lastLook": long_ago}})
        revision = followed.store.view().revision
        await followed.look()
        status, old = followed.source().get("status", {}), before.get("status", {})
        assert followed.store.view().revision == revision + 1
        assert {**old, "lastLook": "", "nextLook": ""} == {**status, "lastLook": "", "nextLook": ""}
        assert status.get("lastLook", "") > old.get("lastLook", "")
        assert GIT_SOURCE.owns(followed.source())

    following(tmp_path, str(repository.folder), story)
