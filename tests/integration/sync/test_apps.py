"""Several apps of one source: each fails and succeeds alone; and a look costs what a commit changes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitops.sync.secrets.keys import keygen
from gitops.sync.secrets.writer import encrypt_file
from tests.integration.sync.repository import Followed, Repository, config_map, following

APPS = [{"path": "apps/*"}]


def apps_status(followed: Followed) -> dict[str, Any]:
    status: Any = followed.source().get("status", {})
    return {"count": status.get("appCount"), **{app["name"]: app for app in status.get("apps", ())}}


def test_a_broken_app_is_held_back_and_the_others_go_on(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit(
        {"apps/a/x.yaml": config_map("a"), "apps/b/x.yaml": config_map("b"), "other/c.yaml": "{{"}
    )

    async def story(followed: Followed) -> None:
        assert (await followed.look()).problems == ()
        assert followed.states() == {"a": "declared", "b": "declared"}
        assert apps_status(followed) == {"count": 2}

        second = repository.commit(
            {"apps/a/x.yaml": config_map("a", "two") + "extra: 1\n", "apps/b/x.yaml": config_map("b", "two")}
        )
        outcome = await followed.look()

        told = 'apps/a/x.yaml:7: ConfigMap default/a: unknown field "extra"'
        assert (outcome.declared, outcome.problems) == (False, (told,))
        assert followed.record("ConfigMap", "a")["claims"][0]["object"]["data"] == {"a": "one"}
        assert followed.record("ConfigMap", "b")["claims"][0]["object"]["data"] == {"a": "two"}
        assert followed.record("ConfigMap", "b")["claims"][0]["app"] == "b"
        assert apps_status(followed)["a"] == {
            "name": "a",
            "path": "apps/a",
            "declared": first,
            "problems": [told],
        }
        assert followed.source().get("status", {}).get("commit") == {"fetched": second, "declared": first}

        third = repository.commit({"apps/a/x.yaml": config_map("a", "three")})
        assert (await followed.look()).declared
        assert apps_status(followed) == {"count": 2}
        assert followed.record("ConfigMap", "a")["claims"][0]["object"]["data"] == {"a": "three"}
        assert followed.source().get("status", {}).get("commit") == {"fetched": third, "declared": third}

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_an_app_that_is_broken_from_the_start_is_declared_once_it_is_repaired(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(
        {"apps/a/x.yaml": "a: [", "apps/a/y.yaml": config_map("w"), "apps/b/x.yaml": config_map("b")}
    )
    repository.commit({"apps/a/x.yaml": config_map("a") + "extra: 1\n"})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        assert followed.states() == {"b": "declared"}
        assert not (await followed.look()).declared

        repository.commit({"apps/a/x.yaml": config_map("a")})
        assert (await followed.look()).declared
        assert followed.states() == {"a": "declared", "b": "declared", "w": "declared"}

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_an_app_that_breaks_beside_a_broken_one_stands_at_its_own_last_good_commit(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"apps/a/x.yaml": "a: [", "apps/b/x.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        good = repository.commit({"apps/b/x.yaml": config_map("b", "two")})
        await followed.look()
        repository.commit({"apps/b/x.yaml": "b: [", "apps/c/x.yaml": "c: ["})
        await followed.look()

        told = apps_status(followed)
        assert {name: told[name].get("declared") for name in "abc"} == {"a": None, "b": good, "c": None}

        followed.restart()
        repository.commit({"README.md": "changed"})
        await followed.look()
        told = apps_status(followed)
        assert {name: told[name].get("declared") for name in "abc"} == {"a": None, "b": good, "c": None}

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_a_new_folder_is_a_new_app_and_one_that_is_gone_is_held(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"apps/a/x.yaml": config_map("a"), "apps/b/x.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"apps/c/x.yaml": config_map("c"), "apps/a/x.yaml": None})

        outcome = await followed.look()
        assert outcome.held == ("ConfigMap default/a (was in apps/a/x.yaml:1)",)
        assert followed.states() == {"a": "held", "b": "declared", "c": "declared"}

        repository.commit({"apps/c/x.yaml": config_map("c", "two")})
        assert (await followed.look()).held == outcome.held
        repository.commit({}, "go\n\nGitward-Allow-Prune: 1")
        assert (await followed.look()).held == ()
        assert followed.states() == {"a": "withdrawn", "b": "declared", "c": "declared"}

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_an_app_that_went_while_nobody_looked_is_held_too(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"apps/a/x.yaml": config_map("a"), "apps/b/x.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        followed.restart()
        repository.commit({"apps/a/x.yaml": None})
        assert len((await followed.look()).held) == 1
        followed.restart()
        repository.commit({"apps/b/y.yaml": config_map("w")})
        assert len((await followed.look()).held) == 1
        repository.commit({"apps/a/x.yaml": config_map("a", "again")})
        assert (await followed.look()).held == ()
        assert followed.states() == {"a": "declared", "b": "declared", "w": "declared"}

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_an_object_that_moves_from_one_app_to_another_is_not_changed(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit(
        {"apps/a/x.yaml": config_map("x") + "---\n" + config_map("w"), "apps/b/z.yaml": config_map("z")}
    )

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"apps/a/x.yaml": config_map("w"), "apps/b/x.yaml": config_map("x")})
        await followed.look()

        (claim,) = followed.record("ConfigMap", "x")["claims"]
        assert (claim["app"], claim["commit"], claim["file"], claim["state"]) == (
            "b",
            first,
            "apps/b/x.yaml",
            "declared",
        )

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_two_apps_that_state_one_object_the_first_keeps_it(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"apps/b/x.yaml": config_map("x"), "apps/c/c.yaml": config_map("c")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"apps/a/x.yaml": config_map("x", "two"), "apps/b/z.yaml": config_map("z")})
        assert (await followed.look()).declared
        claims = followed.record("ConfigMap", "x")["claims"]
        assert [(claim["app"], claim["state"]) for claim in claims] == [("b", "declared"), ("a", "declared")]

        repository.commit({"apps/b/x.yaml": None})
        await followed.look()
        claims = followed.record("ConfigMap", "x")["claims"]
        assert [(claim["app"], claim["state"]) for claim in claims] == [("a", "declared")]

    following(tmp_path, str(repository.folder), story, apps=APPS)


def test_a_source_that_names_apps_later_adopts_what_it_declared_as_one(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"apps/a/x.yaml": config_map("a"), "b.yaml": config_map("b")})
    url = str(repository.folder)

    async def story(followed: Followed) -> None:
        await followed.look()
        await followed.follow("shop", url=url, apps=APPS)
        outcome = await followed.look()

        assert outcome.held == ("ConfigMap default/b (was in b.yaml:1)",)
        (claim,) = followed.record("ConfigMap", "a")["claims"]
        assert (claim["app"], claim["commit"]) == ("a", first)

        await followed.follow("shop", url=url)
        assert (await followed.look()).held == ()
        assert followed.states() == {"a": "declared", "b": "declared"}

    following(tmp_path, url, story)


def test_the_deepest_app_takes_a_file_and_a_named_one_must_be_there(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(
        {
            "clusters/a/apps/web/x.yaml": config_map("web"),
            "clusters/a/apps/web/deep/y.yaml": config_map("deep"),
            "clusters/a/apps/.hidden/z.yaml": "{{",
            "clusters/a/apps/loose.yaml": "{{",
            "clusters/b/apps/web/x.yaml": "{{",
        }
    )
    apps = [{"path": "apps/*"}, {"name": "inner", "path": "apps/web/deep"}, {"name": "none", "path": "base"}]

    async def story(followed: Followed) -> None:
        outcome = await followed.look()

        (problem,) = outcome.problems
        assert problem.endswith("there is no path 'clusters/a/base' in it")
        assert followed.record("ConfigMap", "web")["claims"][0]["app"] == "web"
        assert followed.record("ConfigMap", "deep")["claims"][0]["app"] == "inner"

    following(tmp_path, str(repository.folder), story, path="clusters/a", apps=apps)


def test_folders_of_one_name_are_told_and_the_first_goes_on(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(
        {
            "a/web/x.yaml": config_map("a"),
            "b/web/x.yaml": config_map("b"),
            "b/Bad_Name/x.yaml": config_map("c"),
        }
    )

    async def story(followed: Followed) -> None:
        assert (await followed.look()).problems == (
            "b/Bad_Name:1: 'Bad_Name' is no name of an app: lower case letters, digits and '-' only",
            "b/web:1: a/web is the app 'web' already: name one of them",
        )
        assert followed.states() == {"a": "declared"}

    following(tmp_path, str(repository.folder), story, apps=[{"path": "a/*"}, {"path": "b/*"}])


def test_a_trailer_that_one_app_used_does_not_count_again_while_another_is_broken(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit(
        {"apps/a/x.yaml": config_map("a"), "apps/b/x.yaml": config_map("b"), "apps/c/x.yaml": config_map("c")}
    )

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"apps/a/x.yaml": "a: ["})
        await followed.look()
        repository.commit({"apps/b/x.yaml": None}, "b goes\n\nGitward-Allow-Prune: all")
        assert (await followed.look()).held == ()

        repository.commit({"apps/c/x.yaml": None}, "c goes")
        assert (await followed.look()).held == ("ConfigMap default/c (was in apps/c/x.yaml:1)",)

    following(tmp_path, str(repository.folder), story, apps=APPS)


@pytest.mark.parametrize("total", [30, 300])
def test_a_commit_costs_what_it_changes(tmp_path: Path, total: int) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({f"{number}.yaml": config_map(f"c{number}") for number in range(total)})

    async def story(followed: Followed) -> None:
        first = await followed.look()
        assert (first.parsed_files, first.checked_objects) == (total, total)

        repository.commit({"7.yaml": config_map("c7", "two"), "README.md": "x"})
        one = await followed.look()
        assert (one.parsed_files, one.checked_objects) == (1, 1)

        repository.commit({"7.yaml": None, "moved/8.yaml": config_map("c7", "two")})
        moved = await followed.look()
        assert (moved.parsed_files, moved.checked_objects) == (0, 1)

        again = await followed.look()
        assert (again.parsed_files, again.checked_objects) == (0, 0)

    following(tmp_path, str(repository.folder), story)


def test_another_ignore_file_is_another_choice_of_all_files(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a"), "b/c.yaml": "{{", "b/d.yaml": config_map("d")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        repository.commit({".gitwardignore": "b/c.yaml\n"})
        assert (await followed.look()).declared
        assert followed.states() == {"a": "declared", "d": "declared"}
        repository.commit({".gitwardignore": "b/\n"})
        await followed.look()
        assert followed.states() == {"a": "declared", "d": "withdrawn"}
        repository.commit({".gitwardignore": None, "b/c.yaml": None})
        await followed.look()
        assert followed.states() == {"a": "declared", "d": "declared"}

    following(tmp_path, str(repository.folder), story)


def test_a_new_key_opens_what_was_closed_without_a_new_commit(tmp_path: Path) -> None:
    identity, recipient = keygen()
    other, _ = keygen()
    secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: canary-9\n"
    repository = Repository(tmp_path / "repo")
    sealed = encrypt_file(secret, [recipient], datetime(2026, 1, 1, tzinfo=UTC))
    repository.commit({"apps/a/db.yaml": sealed, "apps/b/b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        assert followed.states() == {"b": "declared"}
        (tmp_path / "data" / "age.key").write_text(identity)
        assert (await followed.look()).declared
        assert followed.states() == {"b": "declared", "db": "declared"}

    following(tmp_path, str(repository.folder), story, key=other, apps=APPS)


def test_an_object_in_two_files_is_told_until_one_lets_go(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("x"), "z.yaml": config_map("z")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"b.yaml": config_map("x", "two")})
        assert (await followed.look()).problems == (
            "b.yaml:1: ConfigMap default/x is also stated in a.yaml:1: which one counts?",
        )
        repository.commit({"a.yaml": None})
        assert (await followed.look()).declared
        (claim,) = followed.record("ConfigMap", "x")["claims"]
        assert (claim["file"], claim["object"]["data"]) == ("b.yaml", {"a": "two"})

    following(tmp_path, str(repository.folder), story)
