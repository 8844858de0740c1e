"""What each forge is told, where, and by which token; and what a source's status means to it."""

from typing import Any, cast

import pytest

from gitops.kinds.errors import BadRequest, GitwardError
from gitops.kinds.gitward import GitSource, GitSourceSpec
from gitops.sync.statuses.forges import Forge, authorization, is_done, request_of, target_of
from gitops.sync.statuses.tokens import TokenFile
from gitops.sync.statuses.wanted import Report, State, is_posted, wanted

SHA = "3f2c1ab" + "0" * 33
OLD = "a" * 40
LIVE = Report(SHA, State.SUCCESS, "live")


def spec(repo: str, **forge: str) -> GitSourceSpec:
    stated: dict[str, Any] = {"url": repo, **({"forge": forge} if forge else {})}
    return cast(GitSourceSpec, stated)


URLS: dict[str, tuple[GitSourceSpec, str]] = {
    "GitHub by ssh": (
        spec("git@github.com:acme/shop.git"),
        f"https://api.github.com/repos/acme/shop/statuses/{SHA}",
    ),
    "GitHub Enterprise": (
        spec("https://git.example.com:8443/acme/shop", type="github"),
        f"https://git.example.com:8443/api/v3/repos/acme/shop/statuses/{SHA}",
    ),
    "GitLab with groups": (
        spec("https://gitlab.com/acme/web/shop.git"),
        f"https://gitlab.com/api/v4/projects/acme%2Fweb%2Fshop/statuses/{SHA}",
    ),
    "Gitea by ssh on a port": (
        spec("ssh://git@git.example.com:2222/acme/shop.git", type="gitea"),
        f"https://git.example.com/api/v1/repos/acme/shop/statuses/{SHA}",
    ),
    "Codeberg": (
        spec("https://codeberg.org/acme/shop"),
        f"https://codeberg.org/api/v1/repos/acme/shop/statuses/{SHA}",
    ),
    "Bitbucket Cloud": (
        spec("https://someone@bitbucket.org/acme/shop.git"),
        f"https://api.bitbucket.org/2.0/repositories/acme/shop/commit/{SHA}/statuses/build",
    ),
    "Bitbucket Data Center": (
        spec("https://bb.example.com/scm/~me/shop.git", type="bitbucket-server"),
        f"https://bb.example.com/rest/api/latest/projects/~me/repos/shop/commits/{SHA}/builds",
    ),
    "Azure DevOps": (
        spec("https://acme@dev.azure.com/acme/my%20web/_git/shop"),
        f"https://dev.azure.com/acme/my%20web/_apis/git/repositories/shop/commits/{SHA}/statuses?api-version=7.1",
    ),
    "Azure DevOps by ssh": (
        spec("git@ssh.dev.azure.com:v3/acme/web/shop"),
        f"https://dev.azure.com/acme/web/_apis/git/repositories/shop/commits/{SHA}/statuses?api-version=7.1",
    ),
    "a mirror": (
        spec("file:///srv/shop", type="gitea", url="https://git.example.com/acme/shop"),
        f"https://git.example.com/api/v1/repos/acme/shop/statuses/{SHA}",
    ),
    "plain http of another host becomes https": (
        spec("http://git.example.com/acme/shop", type="gitea"),
        f"https://git.example.com/api/v1/repos/acme/shop/statuses/{SHA}",
    ),
    "plain http of this host": (
        spec("http://127.0.0.1:3000/acme/shop", type="gitea"),
        f"http://127.0.0.1:3000/api/v1/repos/acme/shop/statuses/{SHA}",
    ),
}


@pytest.mark.parametrize("case", URLS.values(), ids=URLS.keys())
def test_where_a_forge_is_told(case: tuple[GitSourceSpec, str]) -> None:
    stated, url = case

    target = target_of(stated)

    assert target is not None
    assert request_of(target, LIVE, "gitward/shop").url == url


BODIES: dict[Forge, dict[str, object]] = {
    Forge.GITHUB: {"state": "success", "context": "gitward/shop", "description": "live"},
    Forge.GITLAB: {"state": "success", "name": "gitward/shop", "description": "live"},
    Forge.GITEA: {"state": "success", "context": "gitward/shop", "description": "live"},
    Forge.BITBUCKET: {
        "key": "gitward/shop",
        "name": "gitward/shop",
        "state": "SUCCESSFUL",
        "url": "https://x.example.com/acme/shop",
        "description": "live",
    },
    Forge.BITBUCKET_SERVER: {
        "key": "gitward/shop",
        "name": "gitward/shop",
        "state": "SUCCESSFUL",
        "url": "https://x.example.com/acme/shop",
        "description": "live",
    },
    Forge.AZURE: {
        "state": "succeeded",
        "description": "live",
        "context": {"genre": "gitward", "name": "shop"},
    },
}


@pytest.mark.parametrize("forge", Forge)
def test_what_a_forge_is_told(forge: Forge) -> None:
    path = "acme/web/shop" if forge is Forge.AZURE else "acme/shop"
    target = target_of(spec(f"https://x.example.com/{path}", type=forge))

    assert target is not None
    assert request_of(target, LIVE, "gitward/shop").body == BODIES[forge]


@pytest.mark.parametrize(
    "url",
    ["https://github.com/acme", "https://github.com/acme/../shop/x", "https://github.com/a/..", "git@github.com:/",
     "https://github.com/acme/sh%2Fop", "https://github.com"],
)  # fmt: skip
def test_a_url_that_names_no_repository_is_told_without_its_password(url: str) -> None:
    with pytest.raises(BadRequest, match="names no repository") as raised:
        target_of(spec(url.replace("https://", "https://user:hunter2@")))

    assert "hunter2" not in str(raised.value)


def test_which_forge_it_is_is_not_guessed() -> None:
    assert target_of(spec("https://git.example.com/acme/shop")) is None
    assert target_of(spec("file:///srv/shop")) is None


AUTHORIZED = {
    Forge.GITHUB: ("Authorization", "Bearer t"),
    Forge.GITLAB: ("PRIVATE-TOKEN", "t"),
    Forge.GITEA: ("Authorization", "token t"),
    Forge.BITBUCKET: ("Authorization", "Bearer t"),
    Forge.BITBUCKET_SERVER: ("Authorization", "Bearer t"),
    Forge.AZURE: ("Authorization", "Basic OnQ="),
}


@pytest.mark.parametrize("forge", Forge)
def test_how_a_token_is_sent(forge: Forge) -> None:
    assert authorization(forge, "t") == AUTHORIZED[forge]


def test_a_user_and_a_password_are_sent_as_such() -> None:
    assert authorization(Forge.BITBUCKET, "me:pw") == ("Authorization", "Basic bWU6cHc=")


def test_what_gitlab_knows_already_is_no_error() -> None:
    said = '{"message": "Cannot transition status via :enqueue from :pending"}'

    assert is_done(Forge.GITLAB, 400, said)
    assert not is_done(Forge.GITHUB, 400, said)
    assert not is_done(Forge.GITHUB, 302, "")


def test_a_token_goes_where_it_was_meant_for(tmp_path: Any) -> None:
    file = tmp_path / "tokens"
    file.write_text("# mine\nplain\nGit.example.com of-host\n")
    tokens = TokenFile(file, "shop")

    def found(source: str, host: str) -> bytes | None:
        token = tokens.token_for(source, host)
        return None if token is None else token.reveal()

    assert found("shop", "github.com") == b"plain"
    assert found("other", "github.com") is None
    assert found("other", "git.example.com") == b"of-host"
    assert found("shop", "git.example.com") == b"of-host"


@pytest.mark.parametrize("content", [None, b"a b c\n", b"\xff\n"])
def test_a_token_file_that_cannot_be_read_is_named_and_not_shown(
    tmp_path: Any, content: bytes | None
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(GitwardError, match=r"tokens: ") as raised:
        TokenFile(file, "shop").token_for("shop", "github.com")

    assert "a b c" not in str(raised.value)


STATUSES: dict[str, tuple[dict[str, Any], Report | None]] = {
    "nothing was seen": ({}, None),
    "seen": ({"commit": {"fetched": SHA, "live": OLD}}, Report(SHA, State.PENDING, "seen")),
    "held back": (
        {"commit": {"fetched": SHA, "declared": OLD, "live": OLD}, "problems": ["a.yaml:3: is wrong"]},
        Report(SHA, State.FAILURE, "a.yaml:3: is wrong"),
    ),
    "held back by several": (
        {"commit": {"fetched": SHA}, "problems": ["a.yaml:3: \x1b[2Jis\nwrong", "b"]},
        Report(SHA, State.FAILURE, "2 hold it back: a.yaml:3:  [2Jis wrong"),
    ),
    "declared": (
        {"commit": {"fetched": SHA, "declared": SHA, "live": OLD}},
        Report(SHA, State.PENDING, "declared, going live"),
    ),
    "not applied": (
        {"commit": {"fetched": SHA, "declared": SHA}, "unapplied": ["a.yaml:1: immutable"]},
        Report(SHA, State.FAILURE, "a.yaml:1: immutable"),
    ),
    "live": ({"commit": {"fetched": SHA, "declared": SHA, "live": SHA}}, LIVE),
    "live, and the forge is away": (
        {"commit": {"fetched": SHA, "declared": SHA, "live": SHA}, "problems": ["cannot fetch"]},
        LIVE,
    ),
    "long": (
        {"commit": {"fetched": SHA}, "problems": ["x" * 500]},
        Report(SHA, State.FAILURE, "x" * 139 + "…"),
    ),
}


@pytest.mark.parametrize("case", STATUSES.values(), ids=STATUSES.keys())
def test_what_a_status_means(case: tuple[dict[str, Any], Report | None]) -> None:
    status, report = case

    assert wanted(a_source(status)) == report


def test_what_was_told_last_is_not_told_again() -> None:
    assert is_posted(a_source({"posted": {"commit": SHA, "state": "success"}}), LIVE)
    assert not is_posted(a_source({"posted": {"commit": SHA, "state": "pending"}}), LIVE)
    assert not is_posted(a_source({"posted": {"commit": OLD, "state": "success"}}), LIVE)
    assert not is_posted(a_source({}), LIVE)


def a_source(status: dict[str, Any]) -> GitSource:
    source = {"apiVersion": "gitward.io/v1alpha1", "kind": "GitSource", "metadata": {"name": "shop"}}
    return cast(GitSource, {**source, "spec": {"url": "x"}, "status": status})
