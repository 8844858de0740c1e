"""Pure: how each forge is told of a commit. Sources: the REST documentation of each, "commit statuses" or "builds"."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from gitops.kinds.errors import BadRequest
from gitops.kinds.gitward import GitSourceSpec
from gitops.sync.statuses.wanted import Report, State

KEY_CHARACTERS_MAX: Final = 40  # Bitbucket's limit.
_SCP: Final = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)\Z")
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}\Z")
_LOOPBACK: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


class Forge(StrEnum):
    """As `spec.forge.type` says it."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"  # Forgejo too.
    BITBUCKET = "bitbucket"
    BITBUCKET_SERVER = "bitbucket-server"
    AZURE = "azure"


KNOWN_HOSTS: Final[Mapping[str, Forge]] = {
    "github.com": Forge.GITHUB,
    "gitlab.com": Forge.GITLAB,
    "codeberg.org": Forge.GITEA,
    "bitbucket.org": Forge.BITBUCKET,
    "dev.azure.com": Forge.AZURE,
}
# A forge's own word for pending, success, failure.
WORDS: Final[Mapping[Forge, Mapping[State, str]]] = {
    forge: dict(zip(State, words, strict=True))
    for forge, words in {
        Forge.GITHUB: ("pending", "success", "failure"),
        Forge.GITLAB: ("pending", "success", "failed"),
        Forge.GITEA: ("pending", "success", "failure"),
        Forge.BITBUCKET: ("INPROGRESS", "SUCCESSFUL", "FAILED"),
        Forge.BITBUCKET_SERVER: ("INPROGRESS", "SUCCESSFUL", "FAILED"),
        Forge.AZURE: ("pending", "succeeded", "failed"),
    }.items()
}


@dataclass(frozen=True, slots=True)
class Target:
    """A repository at a forge. `origin`: `https://host[:port]`; `path`: its parts, owner first."""

    forge: Forge
    origin: str
    path: tuple[str, ...]

    @property
    def host(self) -> str:
        """`host[:port]`: whom a token is for."""
        return self.origin.partition("://")[2]


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of JSON; who asks is added by the poster."""

    url: str
    body: Mapping[str, Any]


def target_of(spec: GitSourceSpec) -> Target | None:
    """The source's repository at its forge. None: there is no telling which forge it is.

    BadRequest: a URL that names no repository."""
    stated = spec.get("forge") or {}
    url = stated.get("url") or spec["url"]
    scheme, host, parts = _taken_apart(url)
    forge = Forge(stated["type"]) if "type" in stated else KNOWN_HOSTS.get(host)
    if forge is None:
        return None
    shapes = {Forge.AZURE: 3, Forge.GITLAB: None}
    wanted = shapes.get(forge, 2)
    if forge is Forge.AZURE:
        parts = tuple(part for part in parts if part not in ("_git", "v3"))
    if forge is Forge.BITBUCKET_SERVER and parts[:1] == ("scm",):
        parts = parts[1:]
    is_whole = len(parts) == wanted if wanted else len(parts) >= 2
    if (
        not host
        or not is_whole
        or not all(re.fullmatch(r"[\w.~ -]+", part) and part.strip(".") for part in parts)
    ):
        raise BadRequest(f"forge {forge}: {_shown(url)} names no repository; see forge.url of the source")
    return Target(forge, f"{scheme}://{host}", parts)


def _taken_apart(url: str) -> tuple[str, str, tuple[str, ...]]:
    """Scheme of the API, host (with the port of http URLs), path. Plain http is for this host alone."""
    if "://" not in url and (match := _SCP.match(url)):
        scheme, host, path = "https", match["host"], match["path"]
    else:
        try:
            split = urlsplit(url)
            host, path, port = split.hostname or "", split.path, split.port
        except ValueError:
            return "https", "", ()
        is_near = split.scheme == "http" and _LOOPBACK.fullmatch(host) is not None
        scheme = "http" if is_near else "https"
        if port is not None and split.scheme in ("http", "https"):
            host = f"{host}:{port}"
    host = host.lower().removeprefix("ssh.") if host.lower() == "ssh.dev.azure.com" else host.lower()
    parts = unquote(path).strip("/").removesuffix(".git").split("/")
    return scheme, host, tuple(part for part in parts if part)


def request_of(target: Target, report: Report, context: str) -> Request:
    """The call that tells `report` under the name `context`."""
    assert _COMMIT.match(report.commit), "commits come from git"
    state, about = WORDS[target.forge][report.state], report.description
    parts, web = target.path, f"{target.origin}/{'/'.join(quote(part) for part in target.path)}"
    path = "/".join(quote(part, safe="") for part in parts)
    match target.forge:
        case Forge.GITHUB | Forge.GITEA:
            api = _github_api(target) if target.forge is Forge.GITHUB else f"{target.origin}/api/v1"
            body = {"state": state, "context": context, "description": about}
            return Request(f"{api}/repos/{path}/statuses/{report.commit}", body)
        case Forge.GITLAB:
            url = (
                f"{target.origin}/api/v4/projects/{quote('/'.join(parts), safe='')}/statuses/{report.commit}"
            )
            return Request(url, {"state": state, "name": context, "description": about})
        case Forge.BITBUCKET | Forge.BITBUCKET_SERVER:
            body = {
                "key": context[:KEY_CHARACTERS_MAX],
                "name": context,
                "state": state,
                "url": web,
                "description": about,
            }
            return Request(_bitbucket_url(target, report.commit), body)
        case Forge.AZURE:
            organization, project, repository = (quote(part, safe="") for part in parts)
            url = f"{target.origin}/{organization}/{project}/_apis/git/repositories/{repository}"
            genre, _, name = context.partition("/")
            named = {"genre": genre, "name": name}
            whole = {"state": state, "description": about, "context": named}
            return Request(f"{url}/commits/{report.commit}/statuses?api-version=7.1", whole)


def authorization(forge: Forge, token: str) -> tuple[str, str]:
    """The header that carries a token. One with a colon is a user and a password."""
    if forge is Forge.GITLAB:
        return "PRIVATE-TOKEN", token
    if forge is Forge.AZURE or ":" in token:
        text = token if ":" in token else f":{token}"
        return "Authorization", f"Basic {b64encode(text.encode()).decode()}"
    return "Authorization", f"{'token' if forge is Forge.GITEA else 'Bearer'} {token}"


def is_done(forge: Forge, code: int, answer: str) -> bool:
    """Whether the forge knows it now. GitLab refuses to be told the same state twice."""
    return 200 <= code < 300 or (
        forge is Forge.GITLAB and code == 400 and "Cannot transition status" in answer
    )


def _github_api(target: Target) -> str:
    return "https://api.github.com" if target.host == "github.com" else f"{target.origin}/api/v3"


def _bitbucket_url(target: Target, commit: str) -> str:
    owner, repository = (quote(part, safe="~") for part in target.path)
    if target.forge is Forge.BITBUCKET_SERVER:
        return f"{target.origin}/rest/api/latest/projects/{owner}/repos/{repository}/commits/{commit}/builds"
    api = "https://api.bitbucket.org" if target.host == "bitbucket.org" else target.origin
    return f"{api}/2.0/repositories/{owner}/{repository}/commit/{commit}/statuses/build"


def _shown(url: str) -> str:
    """Without what may be a password."""
    return re.sub(r"//[^/@]*@", "//", url)[:200]
