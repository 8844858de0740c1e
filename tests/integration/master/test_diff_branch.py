"""`gitward diff` with a commit that was never declared: it is read as if it were followed, and is not."""

import pytest

from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.gitward import DECLARED, Claim, declared_key
from gitops.kinds.keys import Key
from tests.integration.master.test_questions import ask
from tests.integration.master.whole import Site, Whole, config_map, manifest
from tests.unit.cli.running import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def branch(site: Site, name: str, files: dict[str, str | None]) -> str:
    """A commit on a branch of its own; its id."""
    site.repository.git("checkout", "--quiet", "-b", name)
    commit = site.repository.commit(files, name)
    site.repository.git("checkout", "--quiet", "main")
    return commit


def _claims(whole: Whole, record: Key) -> list[Claim]:
    found = whole.store.view().get(DECLARED, record)
    return found["claims"] if found else []


def test_a_branch_is_compared_with_what_is_live_and_nothing_of_it_is_declared(
    site: Site, shell: Shell
) -> None:
    async def story(whole: Whole) -> None:
        live = await whole.goes_live({"a.yaml": config_map("a", "one"), "b.yaml": config_map("b")})
        files = {"a.yaml": config_map("a", "two"), "b.yaml": None, "c.yaml": config_map("c")}
        commit = branch(site, "feature", files)
        before = await whole.settled()

        by_name = await ask(whole, shell, "diff", "feature")
        by_id = await ask(whole, shell, "diff", commit)
        by_prefix = await ask(whole, shell, "diff", commit[:7])
        unknown = await ask(whole, shell, "diff", "feature-2")

        gone = f"is live, and not in git any more: {commit[:7]} does not state it"
        assert by_name.out.splitlines() == [
            f"a.yaml:1 @ {commit[:7]}: ConfigMap default/a differs",
            "  .data.a",
            '  - "one"',
            '  + "two"',
            f"b.yaml:1 @ {live[:7]}: ConfigMap default/b {gone}",
            f"c.yaml:1 @ {commit[:7]}: ConfigMap default/c is not live",
        ]
        assert (by_id.out, by_prefix.out) == (by_name.out, by_name.out)
        assert unknown.code == 1
        assert " has no commit, branch or tag 'feature-2': push it there first" in unknown.err
        assert await whole.settled() == before

    site.run(story)


def test_what_would_hold_a_branch_back_is_told(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        branch(site, "broken", {"a.yaml": config_map("a").replace("\ndata:", "\ndato:")})

        told = await ask(whole, shell, "diff", "broken")

        assert (told.code, told.out) == (1, "")
        assert told.err.splitlines()[0] == "this would hold it back:"
        assert told.err.splitlines()[1].startswith("a.yaml:6: ConfigMap default/a: ")

    site.run(story)


def test_values_of_an_undeclared_commit_are_never_shown(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"s.yaml": site.encrypted(manifest("Secret", "keys", password="canary-1"))})
        files: dict[str, str | None] = {
            "s.yaml": site.encrypted(manifest("Secret", "keys", password="canary-2")),
            "p.yaml": site.encrypted(manifest("ConfigMap", "prices", tea="canary-3")),
            "clear.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: clear\nstringData:\n  a: canary-4\n",
        }
        branch(site, "feature", files)

        told = [
            await ask(whole, shell, "diff", "feature", "-o", output) for output in ("table", "json", "yaml")
        ]

        assert [one.code for one in told] == [0, 0, 0]
        assert "Secret default/keys differs" in told[0].out
        assert "canary" not in "".join(one.out + one.err for one in told)

    site.run(story)


def test_one_of_several_sources_must_be_named(site: Site, shell: Shell) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a", "one")})
        other = site.another_repository("other", {"a.yaml": config_map("a", "theirs")})
        await whole.follow("other", f"file://{other}")
        record = declared_key(CONFIG_MAP.key("default", "a"))
        await whole.until(lambda: len(_claims(whole, record)) == 2)
        branch(site, "feature", {"a.yaml": config_map("a", "two")})

        unnamed = await ask(whole, shell, "diff", "feature")
        named = await ask(whole, shell, "diff", "feature", "--source", "shop")
        elsewhere = await ask(whole, shell, "diff", "main", "--source", "other")

        assert unnamed.code == 1
        assert "name the source that is to have it: other, shop" in unnamed.err
        assert '  + "two"' in named.out.splitlines()
        assert "it would wait: source shop declares it first" in elsewhere.out

    site.run(story)
