"""From commits to live objects and back: the whole master between a real repository and its API."""

import pytest

from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.errors import Forbidden
from gitops.kinds.gitward import DECLARED, declared_key
from gitops.kinds.networking import INGRESS
from tests.integration.master.whole import Site, Whole, config_map, deployment


def test_a_first_commit_goes_live_whole_and_its_objects_make_theirs(site: Site) -> None:
    commit = site.add_shop()

    async def story(whole: Whole) -> None:
        await whole.is_live(commit)

        assert whole.names(DEPLOYMENT, "shop") == ["api", "web"]
        assert whole.names(SERVICE, "shop") == ["api", "web"]
        assert whole.names(INGRESS, "shop") == ["shop"]
        assert whole.names(SECRET, "shop") == ["database"]
        assert whole.status().get("commit") == {"fetched": commit, "declared": commit, "live": commit}
        assert whole.problems() == []
        assert [one.commit for one in await whole.store.commits("shop")] == [commit]
        await whole.until(lambda: len(whole.names(POD, "shop")) == 12)
        assert len(whole.names(REPLICA_SET, "shop")) == 2
        assert len(whole.names(ENDPOINT_SLICE, "shop")) == 2
        secret = await whole.admin.get(SECRET, "shop", "database")
        assert secret["data"]["password"].reveal() == b"aHVudGVyMg=="

    site.run(story)


def test_a_second_commit_changes_what_it_states_and_nothing_else(site: Site) -> None:
    site.repository.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

    async def story(whole: Whole) -> None:
        await whole.is_live(whole.repository.git("rev-parse", "HEAD"))
        a, b = whole.found(CONFIG_MAP, "default", "a"), whole.found(CONFIG_MAP, "default", "b")

        await whole.goes_live({"b.yaml": config_map("b", "two")})

        assert whole.found(CONFIG_MAP, "default", "a") == a
        changed = whole.found(CONFIG_MAP, "default", "b")
        assert changed["data"] == {"a": "two"}
        assert changed["metadata"]["uid"] == b["metadata"]["uid"]

    site.run(story)


def test_a_revert_brings_the_first_state_back(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        await whole.goes_live({"a.yaml": config_map("a", "two"), "b.yaml": None, "c.yaml": config_map("c")})
        assert whole.declared_names(CONFIG_MAP) == ["a", "c"]

        whole.repository.git("revert", "--no-edit", "HEAD")
        await whole.is_live(whole.repository.git("rev-parse", "HEAD"))

        assert whole.declared_names(CONFIG_MAP) == ["a", "b"]
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "one"}

    site.run(story)


def test_a_removed_deployment_takes_its_pods_along(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web", replicas=2), "a.yaml": config_map("a")})
        await whole.until(lambda: len(whole.names(POD, "default")) == 2)

        await whole.goes_live({"web.yaml": None})

        assert whole.names(DEPLOYMENT, "default") == []
        assert whole.store.view().get(DECLARED, declared_key(DEPLOYMENT.key("default", "web"))) is None
        await whole.until(lambda: whole.names(POD, "default") == [])
        await whole.until(lambda: whole.names(REPLICA_SET, "default") == [])

    site.run(story)


def test_an_emptied_repository_is_held_until_a_commit_allows_it(site: Site) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

        emptied = whole.repository.commit({"a.yaml": None, "b.yaml": None, "README.md": "nothing here"})
        await whole.look()

        await whole.settled()
        assert whole.declared_names(CONFIG_MAP) == ["a", "b"]
        assert whole.status().get("held") == [
            "ConfigMap default/a (was in a.yaml:1)",
            "ConfigMap default/b (was in b.yaml:1)",
        ]
        assert emptied != first
        await whole.goes_live({}, "yes, all of it\n\nGitward-Allow-Prune: 2")
        assert whole.declared_names(CONFIG_MAP) == []
        assert whole.status().get("held") == []

    site.run(story)


def test_most_of_a_large_app_is_held_and_the_rest_of_the_commit_goes_live(site: Site) -> None:
    many = {f"{number}.yaml": config_map(f"c{number:02}") for number in range(15)}

    async def story(whole: Whole) -> None:
        await whole.goes_live({**many, "kept.yaml": config_map("kept")})

        commit = whole.repository.commit({**dict.fromkeys(many), "kept.yaml": config_map("kept", "two")})
        await whole.look()

        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "kept")["data"] == {"a": "two"})
        await whole.settled()
        assert len(whole.declared_names(CONFIG_MAP)) == 16
        assert len(whole.status().get("held") or []) == 15
        whole.repository.commit({}, "too few\n\nGitward-Allow-Prune: 14")
        await whole.look()
        assert len(whole.status().get("held") or []) == 15
        assert commit
        await whole.goes_live({}, "enough\n\nGitward-Allow-Prune: all")
        assert whole.declared_names(CONFIG_MAP) == ["kept"]

    site.run(story)


def test_a_namespace_that_holds_what_others_made_is_held(site: Site) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team\n"

    async def story(whole: Whole) -> None:
        await whole.goes_live({"team.yaml": namespace, "a.yaml": config_map("a", namespace="team"),
                               "b.yaml": config_map("b")})  # fmt: skip
        theirs = {**whole.found(CONFIG_MAP, "team", "a"), "metadata": {"name": "theirs", "namespace": "team"}}
        await whole.write(theirs)

        whole.repository.commit({"team.yaml": None, "a.yaml": None})
        await whole.look()

        await whole.until(lambda: whole.found(CONFIG_MAP, "team", "a") is None)
        assert whole.status().get("held") == ["Namespace team (was in team.yaml:1)"]
        assert "deletionTimestamp" not in whole.found(NAMESPACE, "", "team")["metadata"]
        await whole.remove(CONFIG_MAP.key("team", "theirs"))
        await whole.look()
        await whole.until(lambda: whole.found(NAMESPACE, "", "team") is None)

    site.run(story)


def test_moving_a_manifest_is_no_change(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web"), "a.yaml": config_map("a")})
        await whole.until(lambda: len(whole.names(POD, "default")) == 1)
        await whole.settled()
        before = [whole.found(DEPLOYMENT, "default", "web"), *whole.store.view().list(POD, "default")]

        moved = "# A comment first.\n" + deployment("web") + "---\n" + config_map("a")
        await whole.goes_live({"web.yaml": None, "a.yaml": None, "apps/all.yml": moved})

        await whole.settled()
        assert [whole.found(DEPLOYMENT, "default", "web"), *whole.store.view().list(POD, "default")] == before
        claim = whole.claimed(DEPLOYMENT, "default", "web")
        assert (claim["file"], claim["line"]) == ("apps/all.yml", 2)

    site.run(story)


def test_two_commits_between_two_looks_become_one_step(site: Site) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        whole.repository.commit({"a.yaml": config_map("a", "two"), "passing.yaml": config_map("passing")})
        newest = await whole.goes_live({"a.yaml": config_map("a", "three"), "passing.yaml": None})

        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "three"}
        assert whole.found(CONFIG_MAP, "default", "passing") is None
        assert [one.commit for one in await whole.store.commits("shop")] == [newest, first]

    site.run(story)


def test_a_restart_is_not_an_event(site: Site) -> None:
    site.add_shop()

    async def first(whole: Whole) -> tuple[int, dict[str, object]]:
        await whole.is_live(whole.repository.git("rev-parse", "HEAD"))
        await whole.until(lambda: len(whole.names(POD, "shop")) == 12)
        revision = await whole.settled()
        return revision, whole.everything()

    async def second(whole: Whole) -> tuple[int, dict[str, object]]:
        opened_at = whole.store.view().revision
        await whole.look()
        await whole.settled()
        return opened_at, whole.everything()

    revision, before = site.run(first)
    opened_at, after = site.run(second)

    assert opened_at >= revision
    assert after == before
    assert site.run(second)[1] == before


def test_a_commit_made_while_the_master_was_away_goes_live_after_it_is_back(site: Site) -> None:
    async def first(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

    async def second(whole: Whole) -> None:
        await whole.until(lambda: whole.live_commit() == away)  # The first tick of the timer comes at once.
        assert whole.declared_names(CONFIG_MAP) == ["a"]

    site.run(first)
    away = site.repository.commit({"b.yaml": None})
    site.run(second)


def test_drift_of_a_stated_field_is_put_back_and_what_git_leaves_out_stays(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        live = whole.found(CONFIG_MAP, "default", "a")
        meta = {**live["metadata"], "annotations": {"note": "mine"}}

        await whole.write({**live, "data": {"a": "drifted", "b": "added"}, "metadata": meta})
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "a")["data"]["a"] == "one")

        back = whole.found(CONFIG_MAP, "default", "a")
        assert back["data"] == {"a": "one", "b": "added"}
        assert back["metadata"]["annotations"] == {"note": "mine"}
        assert back["metadata"]["uid"] == live["metadata"]["uid"]
        await whole.remove(CONFIG_MAP.key("default", "a"))
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "a") is not None)

    site.run(story)


def test_a_pod_that_someone_deletes_is_made_again(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web", replicas=2)})
        await whole.until(lambda: len(whole.names(POD, "default")) == 2)
        gone, kept = whole.names(POD, "default")

        await whole.admin.delete(POD, "default", gone)

        await whole.until(lambda: len(set(whole.names(POD, "default")) - {gone}) == 2)
        assert kept in whole.names(POD, "default")
        assert gone not in whole.names(POD, "default")

    site.run(story)


def test_what_git_declares_is_not_deleted_by_hand(site: Site) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: alone}\nspec: {containers: [{name: c, image: a/b}]}\n"

    async def story(whole: Whole) -> None:
        await whole.goes_live({"apps/web.yaml": "\n" + deployment("web"), "alone.yaml": pod})

        with pytest.raises(Forbidden, match=r"source shop declares it at apps/web.yaml:2: change it there"):
            await whole.admin.delete(DEPLOYMENT, "default", "web")
        with pytest.raises(Forbidden, match=r"source shop declares it at alone.yaml:1: change it there"):
            await whole.admin.delete(POD, "default", "alone")
        assert whole.found(DEPLOYMENT, "default", "web") is not None
        assert whole.found(POD, "default", "alone") is not None

    site.run(story)


def test_a_pod_that_no_node_can_take_says_so_in_kubernetes_words(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web")})
        words = "no nodes available to schedule pods"
        await whole.until(
            lambda: any(words in event.get("message", "") for event in whole.store.view().list(EVENT))
        )

        async with whole.node("n1"):
            await whole.until(lambda: whole.on_node("n1") == 1)

    site.run(story)
