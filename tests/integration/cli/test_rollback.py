"""`gitward rollback` against a real repository: one new commit, and nothing else is written anywhere."""

from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cluster


def test_in_a_clone_it_commits_there_and_shows_the_change(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = cluster.repository
    repository.commit("blue", web="colour: blue\n")
    live = repository.commit("green", web="colour: green\n")
    cluster.live(live)
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert ended.code == 0
    assert "-colour: green\n+colour: blue\n" in ended.out
    assert ended.out.endswith("committed on main; `git push` makes it so\n")
    assert (repository.clone / "web.yaml").read_text() == "colour: blue\n"
    assert repository.git("log", "-1", "--format=%s") == 'Revert "green"'
    assert repository.pushed("%H") == live


def test_with_push_the_remote_has_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = cluster.repository
    repository.commit("blue", web="colour: blue\n")
    cluster.live(repository.commit("green", web="colour: green\n"))
    (repository.clone / "deep").mkdir()
    monkeypatch.chdir(repository.clone / "deep")

    ended = cluster.run("rollback", "--push")

    assert ended.out.endswith("pushed to main\n")
    assert repository.pushed("%s") == 'Revert "green"'
    assert repository.pushed_file("web") == "colour: blue"


def test_in_the_followed_repository_itself_the_commit_is_all(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first try follows the very folder that one works in: no remote, nothing to push."""
    repository = cluster.repository
    repository.commit("blue", web="colour: blue\n")
    live = repository.commit("green", web="colour: green\n")
    cluster.follow("itself", str(repository.clone))
    cluster.status({"commit": {"fetched": live, "declared": live, "live": live}}, "itself")
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback", "--source", "itself")

    assert ended.code == 0
    assert ended.out.endswith("committed on main, which is followed here\n")
    assert repository.git("log", "-1", "--format=%s") == 'Revert "green"'


def test_elsewhere_a_temporary_clone_is_used_and_pushed(cluster: Cluster) -> None:
    repository = cluster.repository
    repository.commit("blue", web="colour: blue\n")
    cluster.live(repository.commit("green", web="colour: green\n"))

    ended = cluster.run("rollback", "--push")

    assert (ended.code, ended.err) == (0, "")
    assert repository.pushed_file("web") == "colour: blue"
    assert repository.git("log", "-1", "--format=%s") == "green"  # The clone of somebody is left alone.


def test_elsewhere_without_push_it_says_what_to_do(cluster: Cluster, tmp_path: Path) -> None:
    cluster.live(cluster.repository.commit("blue", web="colour: blue\n"))

    ended = cluster.run("rollback")

    assert ended.code == 1
    assert ended.err.endswith("run it inside one, or with --push elsewhere\n")


def test_another_commit_than_the_live_one_can_be_undone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = cluster.repository
    repository.commit("start", web="colour: blue\n")
    wrong = repository.commit("wrong", api="size: 1000\n")
    cluster.live(repository.commit("right", web="colour: green\n"))
    monkeypatch.chdir(repository.clone)

    cluster.run("rollback", wrong, "--push")

    assert repository.pushed("%s") == 'Revert "wrong"'
    assert repository.pushed_file("web") == "colour: green"
    assert not (repository.clone / "api.yaml").exists()


def test_to_makes_the_tree_equal_whatever_lies_between(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = cluster.repository
    good = repository.commit("good", web="colour: blue\n")
    repository.commit("more", web="colour: green\n", api="size: 1\n")
    cluster.live(repository.commit("even more", web="colour: red\n", api="size: 2\n"))
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback", "--to", good, "--push")
    again = cluster.run("rollback", "--to", good, "--push")

    assert ended.code == 0
    assert repository.pushed("%s") == f"Roll back to {good[:7]}"
    assert repository.git("rev-parse", "HEAD^{tree}") == repository.git("rev-parse", f"{good}^{{tree}}")
    assert again == (1, "", f"the tree is already that of {good[:7]}: nothing to commit\n")


def test_a_merge_is_undone_as_one(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = cluster.repository
    repository.commit("start", web="colour: blue\n")
    repository.git("switch", "--quiet", "--create", "feature")
    repository.commit("one", api="size: 1\n")
    repository.commit("two", api="size: 2\n")
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", "feature")
    repository.git("push", "--quiet", "origin", "main")
    cluster.live(repository.git("rev-parse", "HEAD"))
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert ended.code == 0
    assert not (repository.clone / "api.yaml").exists()
    assert (repository.clone / "web.yaml").exists()


def test_a_conflict_leaves_the_clone_as_it_was(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = cluster.repository
    repository.commit("start", web="colour: blue\n")
    wrong = repository.commit("wrong", web="colour: green\n")
    last = repository.commit("later", web="colour: red\n")
    cluster.live(last)
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback", wrong)

    assert ended.code == 1
    assert ended.err.startswith(
        f"{wrong[:7]} cannot be undone alone: later commits changed the same lines of web.yaml;"
    )
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("rev-parse", "HEAD") == last


def test_work_that_is_not_committed_is_not_touched(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = cluster.repository
    repository.commit("blue", web="colour: blue\n")
    cluster.live(repository.commit("green", web="colour: green\n"))
    (repository.clone / "web.yaml").write_text("colour: mine\n")
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert ended == (1, "", f"{repository.clone}: has uncommitted changes: commit or stash them first\n")
    assert (repository.clone / "web.yaml").read_text() == "colour: mine\n"


def test_another_branch_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = cluster.repository
    cluster.live(repository.commit("blue", web="colour: blue\n"))
    repository.git("switch", "--quiet", "--create", "feature")
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert ended.err.endswith("on branch 'feature', but the source follows 'main': switch to it first\n")


@pytest.mark.parametrize("commit", ["0" * 40, "--output=/tmp/evil", "no-such-branch"])
def test_a_commit_that_is_not_here_is_told(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    cluster.live(cluster.repository.commit("blue", web="colour: blue\n"))
    monkeypatch.chdir(cluster.repository.clone)

    ended = cluster.shell.run("rollback", "--kubeconfig", str(cluster.api.config_of()), "--", commit)

    assert ended.code == 1
    assert f"commit {commit} is not here: `git pull` first" in ended.err


def test_nothing_live_yet_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.repository.commit("blue", web="colour: blue\n")
    monkeypatch.chdir(cluster.repository.clone)

    assert cluster.run("rollback") == (1, "", "no commit is live yet: nothing to roll back\n")


def test_one_of_several_sources_must_be_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.live(cluster.repository.commit("blue", web="colour: blue\n"))
    cluster.follow("other", "https://git.example.com/other.git")
    monkeypatch.chdir(cluster.repository.clone)

    assert cluster.run("rollback").err == "name one by --source; known: main, other\n"
    assert (
        cluster.run("rollback", "--source", "third").err == "source 'third' not found; known: main, other\n"
    )
    assert cluster.run("rollback", "--source", "main").code == 0


def test_two_ways_at_once_are_wrong_usage(cluster: Cluster) -> None:
    assert cluster.run("rollback", "abc", "--to", "def").code == 64


def test_a_file_with_escapes_does_not_steer_the_terminal(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = cluster.repository
    repository.commit("blue", web="colour:\tblue\n")
    cluster.live(repository.commit("green", web="colour:\t\x1b[2Jgreen\n"))
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert "-colour:\t\\x1b[2Jgreen\n+colour:\tblue\n" in ended.out


def test_a_commit_that_is_held_back_is_undone_and_not_the_good_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is live is what the last good commit says: undoing that would leave the bad ones in place."""
    repository = cluster.repository
    live = repository.commit("blue", web="colour: blue\n")
    repository.commit("bad", web="colour: [\n")
    worse = repository.commit("worse", web="colour: [[\n")
    cluster.status(
        {"commit": {"fetched": worse, "declared": live, "live": live}, "problems": ["web.yaml:1: no"]}
    )
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert ended.code == 0
    assert ended.out.startswith(f"{worse[:7]} is not live: back to {live[:7]}, which is\n")
    assert (repository.clone / "web.yaml").read_text() == "colour: blue\n"


def test_commits_that_nobody_has_looked_at_are_not_undone_unseen(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = cluster.repository
    live = repository.commit("blue", web="colour: blue\n")
    bad = repository.commit("bad", web="colour: [\n")
    cluster.status({"commit": {"fetched": bad, "declared": live, "live": live}})
    head = repository.commit("repaired", web="colour: green\n")
    monkeypatch.chdir(repository.clone)

    ended = cluster.run("rollback")

    assert ended.code == 1
    assert f"{bad[:7]} is not live, and {repository.clone} is at {head[:7]}" in ended.err
    assert repository.git("rev-parse", "HEAD") == head
