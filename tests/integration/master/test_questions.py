"""What people ask of a whole master by the command line: get, why, diff and history, now and in the past."""

import asyncio
import json
import re
from typing import Any, cast

import pytest
import yaml

from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import Forbidden
from tests.integration.master.whole import Site, Whole, config_map, deployment, manifest
from tests.unit.cli.running import Ended, Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


async def ask(whole: Whole, shell: Shell, *arguments: str) -> Ended:
    """A command with the operator's kubeconfig, beside the master's loop."""
    found = ("--kubeconfig", str(whole.data / "admin.kubeconfig"))
    return await asyncio.to_thread(shell.run, *arguments, *found)


async def asked(whole: Whole, shell: Shell, *arguments: str) -> Any:
    """The answer as JSON."""
    ended = await ask(whole, shell, *arguments, "-o", "json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_the_past_is_shown_as_it_stood_under_a_commit(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a", "one"), "b.yaml": config_map("b")}, "one")
        second = await whole.goes_live({"a.yaml": config_map("a", "two"), "b.yaml": None}, "two")
        revision = (await whole.store.commits("shop"))[0].revision - 1

        now = await asked(whole, shell, "get", "cm", "a")
        then = await asked(whole, shell, "get", "configmap/a", "--at", first[:7])
        by_revision = await asked(whole, shell, "get", "cm", "a", "--at", str(revision))
        newest = await asked(whole, shell, "get", "cm", "a", "--at", second)
        table = await ask(whole, shell, "get", "cm", "--at", first)
        everywhere = await ask(whole, shell, "get", "configmaps", "-A")
        text = await ask(whole, shell, "get", "cm/a", "-o", "yaml", "--at", first)
        missing = await ask(whole, shell, "get", "cm", "b")
        unknown = await ask(whole, shell, "get", "cm", "--at", "beef123")

        assert [one["data"]["a"] for one in (now, then, by_revision, newest)] == ["two", "one", "one", "two"]
        assert [line.split()[:2] for line in table.out.splitlines() if "kube-root-ca" not in line] == [
            ["NAME", "DATA"],
            ["a", "1"],
            ["b", "1"],
        ]
        assert everywhere.out.splitlines()[0].split() == ["NAMESPACE", "NAME", "DATA", "AGE"]
        assert yaml.safe_load(text.out) == then
        assert (missing.code, missing.err) == (1, 'configmaps "b" not found\n')
        assert (unknown.code, unknown.err) == (
            1,
            "no source declared a commit beef123: see `gitward history`\n",
        )

    site.run(story)


def test_secrets_are_hidden_now_and_in_the_past(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        files: dict[str, str | None] = {
            "secret.yaml": site.encrypted(manifest("Secret", "keys", password="canary-1")),
            "prices.yaml": site.encrypted(manifest("ConfigMap", "prices", tea="canary-2")),
        }
        first = await whole.goes_live(files)
        second = await whole.goes_live(
            {"secret.yaml": site.encrypted(manifest("Secret", "keys", password="canary-3"))}
        )
        secret: Any = whole.found(CONFIG_MAP, "default", "prices")
        await whole.write({**secret, "data": {"tea": "canary-4"}})  # Drift, seen by whoever is quick.

        told = [
            await ask(whole, shell, *words, "-o", output)
            for output in ("json", "yaml")
            for words in (
                ("get", "secret", "keys"), ("get", "secrets", "--at", first), ("get", "secret", "keys", "--at", second),
                ("get", "cm", "prices", "--at", first), ("why", "secret/keys"), ("diff",), ("diff", first),
                ("history", "secret/keys"),
            )
        ]  # fmt: skip
        hidden = await asked(whole, shell, "get", "secret", "keys", "--at", first)

        assert {one.code for one in told} == {0}
        text = "".join(one.out + one.err for one in told)
        assert not re.search("canary-[123]|Y2FuYXJ5", text)
        assert hidden["data"] == {"password": "<sensitive>"}

    site.run(story)


def test_why_says_where_it_comes_from_and_what_it_waits_for(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        commit = await whole.goes_live({"apps/web.yaml": deployment("web")}, "open the shop")
        await whole.until(lambda: whole.names(POD, "default"))
        await whole.settled()
        pod = whole.names(POD, "default")[0]

        found = await asked(whole, shell, "why", "deploy/web")
        text = await ask(whole, shell, "why", f"pod/{pod}")
        own = await ask(whole, shell, "why", "deployments/web")
        nothing = await ask(whole, shell, "why", "deploy/other")

        claim = found["declared"][0]
        assert (claim["source"], claim["commit"]) == ("shop", commit)
        assert (claim["file"], claim["line"], claim["subject"]) == ("apps/web.yaml", 1, "open the shop")
        assert claim["author"]
        assert found["fields"][0]["manager"] == "gitward"
        assert ".spec.replicas" in found["fields"][0]["fields"]
        assert found["pods"][0]["scheduler"].startswith("no nodes available to schedule pods")
        assert "Deployment.apps default/web declared by source shop at apps/web.yaml:1\n" in text.out
        owned = "  git owns .spec.replicas, .spec.selector, .spec.template.metadata.labels.app, "
        assert owned + '.spec.template.spec.containers[name="main"]\n' in own.out
        assert "PodScheduled=False: no nodes available" in text.out
        assert (nothing.code, nothing.err) == (
            1,
            "there is no Deployment.apps default/other, and no source declares one\n",
        )

    site.run(story)


def test_diff_tells_what_cannot_be_applied_and_nothing_else(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a"), "web.yaml": deployment("web")})
        await whole.settled()
        same = await ask(whole, shell, "diff")
        moved = deployment("web").replace("{app: web}", "{app: web2}")
        commit = whole.repository.commit({"web.yaml": moved, "c.yaml": config_map("c", namespace="nowhere")})
        await whole.look()
        await whole.until(lambda: len(whole.status().get("unapplied") or ()) == 1)

        told = await ask(whole, shell, "diff", "--source", "shop")

        assert (same.out, same.err) == ("", "nothing differs\n")
        lines = told.out.splitlines()
        assert lines[0].startswith(f"c.yaml:1 @ {commit[:7]}: ConfigMap nowhere/c is not live: ")
        assert lines[1].startswith(f"web.yaml:1 @ {commit[:7]}: Deployment.apps default/web differs: ")
        assert lines[2].startswith("  .spec.selector")
        assert [line[:4] for line in lines[3:5]] == ["  - ", "  + "]
        assert ('"web"' in lines[3], '"web2"' in lines[4]) == (True, True)

    site.run(story)


def test_history_tells_when_each_commit_was_where(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a")}, "one")
        await whole.until(lambda: "ready" in whole.status()["history"][0])
        await whole.is_refused({"b.yaml": config_map("b").replace("data:", "dada:")}, "bad")
        third = await whole.goes_live({"b.yaml": None, "web.yaml": deployment("web")}, "three")
        await whole.settled()

        found = (await asked(whole, shell, "history"))["commits"]
        of_a = (await asked(whole, shell, "history", "cm/a"))["commits"]
        table = await ask(whole, shell, "history", "--source", "shop")

        assert [one["subject"] for one in found] == ["three", "bad", "one"]
        assert [one["commit"] for one in found if "live" in one] == [third, first]
        assert [one.get("cause") for one in found] == ["asked", "asked", found[2].get("cause")]
        stages = [found[2][stage] for stage in ("fetched", "declared", "live", "scheduled", "ready")]
        assert stages == sorted(stages)
        assert "ready" not in found[0]  # There is no node for its pod.
        assert "scheduled" not in found[0]
        assert [(one["commit"], one["file"], one["line"]) for one in of_a] == [(first, "a.yaml", 1)]
        assert [line.split()[1] for line in table.out.splitlines()] == [
            "COMMIT",
            third[:7],
            found[1]["commit"][:7],
            first[:7],
        ]

    site.run(story)


def test_a_commit_is_ready_once_its_pods_are(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web")})
        async with whole.node("n1") as node:
            await whole.until(lambda: "scheduled" in whole.status()["history"][0])
            assert "ready" not in whole.status()["history"][0]
            [name] = whole.names(POD, "default")
            pod: Any = await node.get(POD, "default", name)
            ready = [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]
            status = {**pod["status"], "phase": "Running", "conditions": ready}
            await node.update_status(POD, cast(Pod, {**pod, "status": status}))
            await whole.until(lambda: "ready" in whole.status()["history"][0])

    site.run(story)


def test_only_operators_may_ask(site: Site) -> None:
    async def story(whole: Whole) -> None:
        async with whole.node("n1") as node:
            for path in ("get?resource=secrets", "why?resource=pods&name=a&namespace=b", "diff", "history"):
                with pytest.raises(Forbidden):
                    await node.request("GET", f"/gitward/v1/{path}")

    site.run(story)


def test_diff_with_a_commit_tells_what_going_back_would_change(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a", "one"), "b.yaml": config_map("b")}, "one")
        second = await whole.goes_live(
            {"a.yaml": config_map("a", "two"), "b.yaml": None, "c.yaml": config_map("c")}, "two"
        )
        await whole.settled()

        back = await ask(whole, shell, "diff", first[:7])
        here = await ask(whole, shell, "diff", second[:7])
        unknown = await ask(whole, shell, "diff", "beef123")

        assert back.out.splitlines() == [
            f"a.yaml:1 @ {first[:7]}: ConfigMap default/a differs",
            "  .data.a",
            '  - "two"',
            '  + "one"',
            f"b.yaml:1 @ {first[:7]}: ConfigMap default/b is not live",
            f"c.yaml:1 @ {second[:7]}: ConfigMap default/c is live, and not in git any more: it came after {first[:7]}",
        ]
        assert (here.out, here.err) == ("", "nothing differs\n")
        assert unknown.code == 1
        assert " has no commit, branch or tag 'beef123': push it there first" in unknown.err

    site.run(story)


def test_of_an_object_that_is_gone_the_commit_that_took_it_is_known(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a", "one"), "b.yaml": config_map("b")}, "one")
        second = await whole.goes_live({"a.yaml": config_map("a", "two")}, "two")
        third = await whole.goes_live({"a.yaml": None}, "no more of it")
        await whole.goes_live({"b.yaml": config_map("b", "three")}, "later")
        await whole.settled()

        why = await ask(whole, shell, "why", "cm/a")
        changes = (await asked(whole, shell, "history", "cm/a"))["commits"]
        never = await ask(whole, shell, "history", "cm/never")

        assert why.code == 0, why.err
        lines = why.out.splitlines()
        assert lines[0] == "ConfigMap default/a: not live"
        assert lines[1].startswith(f"  removed by commit {third[:7]} 'no more of it' by ")
        assert lines[2] == "  declared by source shop at a.yaml:1"
        assert lines[3].startswith(f"  last changed by commit {second[:7]} 'two' by ")
        assert [(one["commit"], one["state"]) for one in changes] == [
            (third, "withdrawn"), (second, "declared"), (first, "declared"),
        ]  # fmt: skip
        assert never.code == 1
        assert "nor did one as far back as the past reaches" in never.err

    site.run(story)


def test_a_move_to_another_file_is_a_row_of_an_objects_history(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a", "one")}, "one")
        moved = await whole.goes_live({"a.yaml": None, "b.yaml": config_map("a", "one")}, "moved")
        last = await whole.goes_live({"b.yaml": config_map("a", "two")}, "two")
        await whole.settled()

        changes = (await asked(whole, shell, "history", "cm/a"))["commits"]

        assert [(one["commit"], one["file"]) for one in changes] == [
            (last, "b.yaml"), (moved, "b.yaml"), (first, "a.yaml"),
        ]  # fmt: skip

    site.run(story)
