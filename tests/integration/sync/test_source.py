"""The mirror against real repositories: what is fetched, listed and read, and what each failure says."""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gitops.kinds.errors import GitwardError, NotFound, Unavailable
from gitops.sync.access import Access
from gitops.sync.source import Mirror, Source
from tests.integration.sync.repository import Repository

MirrorOf = Callable[..., Mirror]


@pytest.fixture
def mirror_of(tmp_path: Path) -> Iterator[MirrorOf]:
    """Mirrors by URL, branch and path. Each has a git of its own open until the test is over."""
    with ExitStack() as opened:

        def made(url: str, branch: str | None = None, path: str = "") -> Mirror:
            mirror = Mirror(tmp_path / "sources", Source("shop", url, branch, path), Access())
            opened.callback(mirror.close)
            return mirror

        yield made


def test_a_fetch_gives_the_newest_commit_and_its_files(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": "a: 1\n", "sub/ä b.yaml": "b\n"})
    mirror = mirror_of(str(repository.folder))

    assert mirror.fetch() == first
    entries = mirror.ls_tree(first)
    assert [(entry.path, entry.mode, entry.size_bytes) for entry in entries] == [
        ("a.yaml", "100644", 5),
        ("sub/ä b.yaml", "100644", 2),
    ]
    assert [content for _, content in mirror.blobs([entry.id for entry in entries])] == [b"a: 1\n", b"b\n"]

    second = repository.commit({"a.yaml": "a: 2\n"})
    assert mirror.fetch() == second
    (entry, _) = mirror.ls_tree(second)
    assert list(mirror.blobs([entry.id])) == [(entry.id, b"a: 2\n")]


def test_many_blobs_come_in_order(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    commit = repository.commit({f"{number:04}.yaml": f"n: {number}\n" * 40 for number in range(1500)})
    mirror = mirror_of(str(repository.folder))
    mirror.fetch()

    read = [content for _, content in mirror.blobs([entry.id for entry in mirror.ls_tree(commit)])]

    assert [content.split(b"\n")[0] for content in read] == [b"n: %d" % number for number in range(1500)]


def test_a_branch_and_a_path_are_followed(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": "a"})
    repository.git("checkout", "--quiet", "-b", "feature/x")
    commit = repository.commit({"apps/web/b.yaml": "b", "apps/webs.yaml": "c"})
    repository.git("checkout", "--quiet", "main")
    mirror = mirror_of(f"file://{repository.folder}", "feature/x", "/apps/web/")

    assert mirror.fetch() == commit
    assert [entry.path for entry in mirror.ls_tree(commit)] == ["apps/web/b.yaml"]


def test_a_rewritten_branch_is_followed(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": "a"})
    second = repository.commit({"a.yaml": "b"})
    mirror = mirror_of(str(repository.folder))
    mirror.fetch()

    repository.git("reset", "--quiet", "--hard", first)
    third = repository.commit({"a.yaml": "c"}, "other")

    assert mirror.fetch() == third
    assert [commit.id for commit in mirror.commits_since(second, third)] == [third]


def test_commits_carry_author_subject_and_trailers(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": "a"}, "one")
    second = repository.commit({"a.yaml": "b"}, "two\n\nWhy.\n\nGitward-Allow-Prune: 3\nSigned-off-by: x")
    third = repository.commit({"a.yaml": "c"}, "three\n\ngitward-allow-prune: all")
    mirror = mirror_of(str(repository.folder))
    mirror.fetch()

    commits = mirror.commits_since(first, third)

    assert [(one.id, one.author, one.subject, one.allow_prune) for one in commits] == [
        (third, "Ann", "three", ("all",)),
        (second, "Ann", "two", ("3",)),
    ]
    assert mirror.commit(first).subject == "one"
    assert [one.id for one in mirror.commits_since("0" * 40, third)] == [third]


CASES: dict[str, tuple[str, str | None, str, type[GitwardError], str]] = {
    "an unknown branch": ("{repo}", "nope", "", NotFound, "there is no branch 'nope'; it has: main"),
    "no repository": ("{tmp}/none", None, "", Unavailable, "does not appear to be a git repository"),
    "nobody listens": ("http://127.0.0.1:1/x.git", None, "", Unavailable, "Failed to connect"),
    "an empty repository": ("{empty}", None, "", NotFound, "has no commit yet"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_failure_says_which_source_and_what_is_wrong(
    tmp_path: Path, mirror_of: MirrorOf, case: tuple[str, str | None, str, type[GitwardError], str]
) -> None:
    url, branch, path, error, message = case
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": "a"})
    Repository(tmp_path / "empty")
    places = {"repo": repository.folder, "tmp": tmp_path, "empty": tmp_path / "empty"}
    mirror = mirror_of(url.format(**places), branch, path)

    with pytest.raises(error) as raised:
        mirror.ls_tree(mirror.fetch())

    assert str(raised.value).startswith("source shop")
    assert message in str(raised.value)


def test_a_repository_of_another_user_is_read(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    commit = repository.commit({"a.yaml": "a"})
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    nobody = pwd.getpwnam("nobody").pw_uid
    for path in (repository.folder, *repository.folder.rglob("*")):
        os.chown(path, nobody, nobody)

    assert mirror_of(f"file://{repository.folder}").fetch() == commit


def test_a_fetch_that_fails_leaves_the_mirror_as_it_was(tmp_path: Path, mirror_of: MirrorOf) -> None:
    repository = Repository(tmp_path / "repo")
    first = repository.commit({"a.yaml": "a"})
    mirror = mirror_of(str(repository.folder))
    mirror.fetch()

    repository.folder.rename(tmp_path / "away")
    with pytest.raises(Unavailable):
        mirror.fetch()

    assert [entry.path for entry in mirror.ls_tree(first)] == ["a.yaml"]
