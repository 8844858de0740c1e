"""What git is told and what never reaches it: URLs, branches, paths, credentials."""

from pathlib import Path

import pytest

from gitops.kinds.errors import BadRequest
from gitops.sync.access import Access, environment_for
from gitops.sync.git import checked_url, shown_url
from gitops.sync.source import Mirror, Source

GOOD = {
    "https://example.com/a/b.git": "https://example.com/a/b.git",
    "ssh://git@example.com:22/a": "ssh://git@example.com:22/a",
    "git@example.com:a/b.git": "git@example.com:a/b.git",
    "http://127.0.0.1/x": "http://127.0.0.1/x",
    "file:///srv/x": "file:///srv/x",
    "/srv/x": "file:///srv/x",
    "https://user@example.com/x": "https://user@example.com/x",
}
BAD = (
    "--upload-pack=touch /tmp/x",
    "-u",
    "",
    "ext::sh -c id",
    "git://example.com/x",
    "ftp://example.com/x",
    "fd::17/x",
    "ssh://-oProxyCommand=id/x",
    "-oProxyCommand=id@example.com:x",
    "x@-oProxyCommand=id:x",
    "https://example.com/a\nb",
    "https://example.com/a b",
    "https://user:canary-4@example.com/x",
    "relative/path",
)


@pytest.mark.parametrize("url", GOOD)
def test_a_url_of_a_repository_is_taken(url: str) -> None:
    assert checked_url(url) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_url_of_a_repository_never_reaches_git(url: str) -> None:
    with pytest.raises(BadRequest) as raised:
        checked_url(url)

    assert "canary" not in str(raised.value)


def test_messages_show_no_user_and_password() -> None:
    assert shown_url("https://user:canary-4@example.com/x") == "https://example.com/x"


@pytest.mark.parametrize(
    "branch",
    ["", "-b", "a b", "a..b", "a:b", "a@{1}", "/a", "a/", "a.lock", "x/.y", "a\\b", "^a", "a~1", "*"],
)
def test_a_name_that_is_no_branch_is_refused(tmp_path: Path, branch: str) -> None:
    with pytest.raises(BadRequest, match="is no name of a branch"):
        Mirror(tmp_path, Source("shop", "/srv/x", branch), Access())


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", "-a", "a..b"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="is no name of a source"):
        Mirror(tmp_path, Source(name, "/srv/x"), Access())


def test_a_path_out_of_the_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="leaves the repository"):
        Mirror(tmp_path, Source("shop", "/srv/x", None, "a/../../b"), Access())


def test_credentials_go_to_their_own_host_only_and_not_into_arguments(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("https://me:tok%2Fen@git.example.com\nhttps://other:x@example.org\n")
    access = Access(credentials_file=file)

    ours = environment_for("https://git.example.com/a.git", access, tmp_path)
    other = environment_for("https://evil.example.com/a.git", access, tmp_path)

    assert ours["GIT_CONFIG_KEY_0"] == "http.https://git.example.com/.extraHeader"
    assert ours["GIT_CONFIG_VALUE_0"] == "Authorization: Basic bWU6dG9rL2Vu"
    assert "GIT_CONFIG_COUNT" not in other


def test_the_key_and_the_known_hosts_are_quoted_for_ssh(tmp_path: Path) -> None:
    access = Access(ssh_key_file=Path("/keys/my key"), known_hosts_file=Path("/keys/known"))

    command = environment_for("git@example.com:x", access, tmp_path)["GIT_SSH_COMMAND"]

    assert command.endswith("-o UserKnownHostsFile=/keys/known -o IdentitiesOnly=yes -i '/keys/my key'")
    assert "BatchMode=yes" in command
    assert "StrictHostKeyChecking=yes" in command
