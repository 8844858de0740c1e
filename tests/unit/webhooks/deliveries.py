"""Genuine-looking deliveries of every provider, and how each is signed."""

import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

NOW: Final = 1_767_323_045  # Seconds since 1970.
SECRET: Final = b"correct horse"
Json = Mapping[str, Any]


class Case(NamedTuple):
    """A push of `main` to acme/shop. `sign`: the headers that prove it; `path`: of the hook."""

    path: str
    payload: Json
    sign: Callable[[bytes, bytes], dict[str, str]]
    event: Mapping[str, str] = {}


def digest(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, "sha256").hexdigest()


def standard(secret: bytes, body: bytes, moment: int = NOW, delivery: str = "msg_1") -> dict[str, str]:
    """Standard Webhooks."""
    signed = f"{delivery}.{moment}.".encode() + body
    text = b64encode(hmac.new(secret, signed, "sha256").digest()).decode()
    signature = f"v1,{b64encode(bytes(32)).decode()} v1,{text}"
    return {"webhook-id": delivery, "webhook-timestamp": str(moment), "webhook-signature": signature}


def basic(secret: bytes, body: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(b"anyone:" + secret).decode()}


def _of_github(host: str) -> Json:
    repository = {
        "clone_url": f"https://{host}/acme/shop.git",
        "ssh_url": f"git@{host}:acme/shop.git",
        "html_url": f"https://{host}/acme/shop",
        "full_name": "acme/shop",
    }
    return {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": "1" * 40,
        "repository": repository,
        "commits": [],
    }


GITLAB: Final[Json] = {
    "object_kind": "push",
    "ref": "refs/heads/main",
    "project": {
        "git_http_url": "https://gitlab.example.com/acme/shop.git",
        "git_ssh_url": "git@gitlab.example.com:acme/shop.git",
        "web_url": "https://gitlab.example.com/acme/shop",
    },
}
CLOUD: Final[Json] = {
    "push": {"changes": [{"new": {"type": "branch", "name": "main"}, "old": None, "closed": False}]},
    "repository": {"full_name": "acme/shop", "links": {"html": {"href": "https://bitbucket.org/acme/shop"}}},
}
DATA_CENTER: Final[Json] = {
    "changes": [{"ref": {"id": "refs/heads/main", "type": "BRANCH"}, "type": "UPDATE"}],
    "repository": {
        "slug": "shop",
        "links": {"clone": [{"href": "https://bb.example.com/scm/acme/shop.git", "name": "http"}]},
    },
}
AZURE: Final[Json] = {
    "id": "1",
    "eventType": "git.push",
    "resource": {
        "refUpdates": [{"name": "refs/heads/main"}],
        "repository": {"remoteUrl": "https://acme@dev.azure.com/acme/web/_git/shop"},
    },
}

CASES: Final[Mapping[str, Case]] = {
    "github": Case(
        "github",
        _of_github("github.com"),
        lambda secret, body: {"X-Hub-Signature-256": f"sha256={digest(secret, body)}"},
        {"X-GitHub-Event": "push"},
    ),
    "gitlab by token": Case("gitlab", GITLAB, lambda secret, body: {"X-Gitlab-Token": secret.decode()}),
    "gitlab by signature": Case("gitlab", GITLAB, standard),
    "gitea": Case(
        "gitea",
        _of_github("gitea.example.com"),
        lambda secret, body: {"X-Gitea-Signature": digest(secret, body)},
    ),
    "forgejo": Case(
        "forgejo",
        _of_github("codeberg.org"),
        lambda secret, body: {
            "X-Forgejo-Signature": digest(secret, body),
            "X-Gitea-Signature": digest(secret, body),
        },
    ),
    "gogs": Case(
        "gogs",
        _of_github("gogs.example.com"),
        lambda secret, body: {"X-Gogs-Signature": digest(secret, body)},
    ),
    "bitbucket cloud": Case(
        "bitbucket",
        CLOUD,
        lambda secret, body: {"X-Hub-Signature": f"sha256={digest(secret, body)}"},
        {"X-Event-Key": "repo:push"},
    ),
    "bitbucket data center": Case(
        "bitbucket",
        DATA_CENTER,
        lambda secret, body: {"X-Hub-Signature": f"sha256={digest(secret, body)}"},
        {"X-Event-Key": "repo:refs_changed"},
    ),
    "azure": Case("azure", AZURE, basic),
    "generic": Case(
        "generic",
        {"repository": "https://git.example.com/acme/shop.git", "ref": "refs/heads/main"},
        lambda secret, body: {"X-Signature": f"sha256={digest(secret, body)}"},
    ),
    "standard webhooks": Case(
        "generic", {"repository": "https://git.example.com/acme/shop.git", "ref": "refs/heads/main"}, standard
    ),
}
IMAGES: Final[Mapping[str, Case]] = {
    "ghcr": CASES["github"]._replace(
        path="ghcr", payload={"action": "published"}, event={"X-GitHub-Event": "package"}
    ),
    "harbor": Case(
        "harbor", {"type": "PUSH_ARTIFACT"}, lambda secret, body: {"Authorization": secret.decode()}
    ),
    "registry": Case(
        "registry", {"events": []}, lambda secret, body: {"Authorization": f"Bearer {secret.decode()}"}
    ),
    "docker hub": Case(
        f"dockerhub/{digest(SECRET, b'dockerhub')}", {"callback_url": "http://127.0.0.1:1/"}, lambda *_: {}
    ),
    "quay": Case(f"quay/{digest(SECRET, b'quay')}", {"docker_url": "quay.io/acme/shop"}, lambda *_: {}),
}
URLS: Final = {
    "github": "git@github.com:acme/shop.git",
    "gitlab": "https://gitlab.example.com/acme/shop",
    "gitea": "ssh://git@gitea.example.com:2222/acme/shop.git",
    "forgejo": "https://codeberg.org/acme/shop.git",
    "gogs": "https://gogs.example.com/acme/shop",
    "bitbucket": "git@bitbucket.org:acme/shop.git",
    "azure": "git@ssh.dev.azure.com:v3/acme/web/shop",
    "generic": "https://git.example.com/acme/shop/",
}


def url_of(name: str) -> str:
    """What a source says that follows this case's repository."""
    if name == "bitbucket data center":
        return "ssh://git@bb.example.com:7999/acme/shop.git"
    return URLS[CASES[name].path] if name in CASES else "https://elsewhere.example.com/x"


def encoded(payload: Json) -> bytes:
    return json.dumps(payload).encode()
