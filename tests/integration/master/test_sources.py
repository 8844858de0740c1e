"""Several sources and several apps in a whole master: named by the operator, or stated in git."""

import base64
from pathlib import Path
from typing import Any

import pytest

from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.event import EVENT
from gitops.kinds.errors import NotFound, Unavailable
from gitops.kinds.gitward import GIT_SOURCE, GitSourceStatus
from tests.integration.master.whole import Site, Whole, config_map, manifest
from tests.integration.sync.repository import Repository
from tests.integration.sync.servers import bare, http_server, make_tls

SOURCE = """apiVersion: gitward.io/v1alpha1
kind: GitSource
metadata:
  name: team
spec:
  url: {url}
  secretRef: {{name: team-git}}
"""


def status_of(whole: Whole, name: str) -> GitSourceStatus:
    found = whole.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
    assert found is not None
    return found.get("status") or GitSourceStatus()


def live_of(whole: Whole, name: str) -> str:
    return (status_of(whole, name).get("commit") or {}).get("live", "")


def test_a_source_that_git_states_is_followed_with_the_keys_that_git_states(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = Repository(tmp_path / "theirs")
    commit = theirs.commit({"t.yaml": config_map("theirs")})
    bare(theirs, tmp_path / "served", "team.git")
    tls = make_tls(tmp_path / "tls")

    async def story(whole: Whole) -> None:
        credentials = f"https://bot:canary-41@{server.url.removeprefix('https://')}"
        secret = manifest("Secret", "team-git", credentials=credentials)
        ca = "".join(f"    {line}\n" for line in (tls / "cert.pem").read_text().splitlines())
        await whole.goes_live(
            {
                "secret.yaml": site.encrypted(f"{secret}  ca.crt: |\n{ca}"),
                "team.yaml": SOURCE.format(url=f"{server.url}/team.git"),
            }
        )

        await whole.until(lambda: live_of(whole, "team") == commit)
        assert whole.claimed(CONFIG_MAP, "default", "theirs")["source"] == "team"

        # What states a source lets go of it: then it is not followed any more, and nothing of it is pruned.
        await whole.goes_live({"team.yaml": None})
        await whole.until(lambda: whole.found(GIT_SOURCE, "", "team") is None)
        await whole.settled()
        assert whole.found(CONFIG_MAP, "default", "theirs") is not None

        # And it adopts what it had when it comes back.
        uid = whole.found(CONFIG_MAP, "default", "theirs")["metadata"]["uid"]
        await whole.goes_live({"team.yaml": SOURCE.format(url=f"{server.url}/team.git")})
        await whole.until(lambda: live_of(whole, "team") == commit)
        assert whole.found(CONFIG_MAP, "default", "theirs")["metadata"]["uid"] == uid

    with http_server(tmp_path / "served", user="bot:canary-41", tls=tls) as server:
        site.run(story)
    assert "canary-41" not in capsys.readouterr().err


def test_an_object_that_two_sources_state_is_handed_over_without_being_made_anew(site: Site) -> None:
    other = Repository(site.folder / "other")
    other.commit({"x.yaml": config_map("shared", "theirs"), "y.yaml": config_map("own")})

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("shared", "ours"), "b.yaml": config_map("b")})
        uid = whole.found(CONFIG_MAP, "default", "shared")["metadata"]["uid"]
        await whole.follow("other", f"file://{other.folder}")
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "own"))
        await whole.until(lambda: status_of(whole, "other").get("waiting"))
        assert status_of(whole, "other").get("waiting") == [
            "x.yaml:1: ConfigMap default/shared: already declared at a.yaml:1 of source shop, which keeps it"
        ]
        assert whole.found(CONFIG_MAP, "default", "shared")["data"] == {"a": "ours"}

        await whole.goes_live({"a.yaml": None})

        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "shared")["data"] == {"a": "theirs"})
        assert whole.found(CONFIG_MAP, "default", "shared")["metadata"]["uid"] == uid
        await whole.until(lambda: status_of(whole, "other").get("waiting") == [])

    site.run(story)


def test_a_broken_app_keeps_its_last_good_state_live_while_others_go_on(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"apps/a/x.yaml": config_map("a"), "apps/b/x.yaml": config_map("b")})

        problems = await whole.is_refused(
            {"apps/a/x.yaml": config_map("a", "two") + "oops: 1\n", "apps/b/x.yaml": config_map("b", "two")}
        )

        assert problems == ['apps/a/x.yaml:8: ConfigMap default/a: unknown field "oops"']
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "b")["data"] == {"a": "two"})
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "one"}
        assert [app["name"] for app in whole.status().get("apps", [])] == ["a"]

        await whole.goes_live({"apps/a/x.yaml": config_map("a", "three")})
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "three"}
        assert whole.status().get("apps") == []

    site.run(story, apps=[{"path": "apps/*"}])


def test_what_happens_to_a_source_is_told_in_events(site: Site) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a")})
        await whole.goes_live({"a.yaml": config_map("a", "two")})
        site.repository.git("reset", "--quiet", "--hard", first)
        await whole.goes_live({"b.yaml": config_map("b")})
        await whole.is_refused({"b.yaml": "a: ["})
        await whole.look()

        events = [event for event in (await whole.admin.list(EVENT, "default")).items
                  if event["involvedObject"].get("kind") == "GitSource"]  # fmt: skip

        reasons = sorted(event.get("reason", "") for event in events)
        assert reasons == ["BranchRewritten", *["CommitDeclared"] * 3, "CommitHeldBack"]
        assert {event["involvedObject"].get("name") for event in events} == {"shop"}

    site.run(story)


def test_who_asks_for_a_look_is_answered_when_it_has_ended_with_what_it_found(site: Site) -> None:
    """Symptom: the answer was the source as it was before; and a first fetch of half a minute failed `gitward sync`."""
    site.repository.commit({"a.yaml": config_map("a")})

    async def story(whole: Whole) -> None:
        commit = site.repository.commit({"b.yaml": config_map("b")})
        path = "/apis/gitward.io/v1alpha1/gitsources/shop/sync"

        answer = await whole.admin.request("POST", path, patience_seconds=60)

        assert answer["status"]["commit"]["declared"] == commit
        with pytest.raises(Unavailable):
            await whole.admin.request("POST", path, patience_seconds=0.000_001)

    site.run(story)


def test_a_source_that_is_not_followed_cannot_be_looked_at(site: Site) -> None:
    site.repository.commit({"a.yaml": config_map("a")})

    async def story(whole: Whole) -> None:
        with pytest.raises(NotFound):
            await whole.admin.request("POST", "/apis/gitward.io/v1alpha1/gitsources/none/sync")

    site.run(story)


def test_a_source_that_the_operator_creates_by_the_api_is_followed_but_not_as_the_flags_are(
    site: Site, tmp_path: Path
) -> None:
    theirs = Repository(tmp_path / "theirs")
    commit = theirs.commit({"t.yaml": config_map("theirs")})
    bare(theirs, tmp_path / "served", "team.git")
    tls = make_tls(tmp_path / "tls")
    site.repository.commit({"a.yaml": config_map("a")})

    async def story(whole: Whole) -> None:
        data = {"ca.crt": base64.b64encode((tls / "cert.pem").read_bytes()).decode()}
        secret: Any = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "ca", "namespace": "default"},
            "data": data,
        }
        await whole.admin.create(SECRET, secret)
        for name, url in (("team", f"{server.url}/team.git"), ("local", f"file://{theirs.folder}")):
            source: Any = {
                "apiVersion": GIT_SOURCE.api_version,
                "kind": "GitSource",
                "metadata": {"name": name},
                "spec": {"url": url, "secretRef": {"name": "ca"}},
            }
            await whole.admin.create(GIT_SOURCE, source)

        await whole.until(lambda: live_of(whole, "team") == commit)
        await whole.until(lambda: status_of(whole, "local").get("problems"))
        (problem,) = status_of(whole, "local").get("problems", [])
        assert "a source that an object states is reached by https:// or ssh" in problem

    with http_server(tmp_path / "served", tls=tls) as server:
        site.run(story)
