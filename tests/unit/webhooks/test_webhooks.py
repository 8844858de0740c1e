"""Webhooks: signatures, answers, and that nothing but a hint ever comes of one."""

import hashlib
import hmac
import json

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from webhooks import Source, make_app
from webhooks.urls import same_repository

SECRET = b"correct horse"
SHOP = Source("shop", "git@github.com:acme/shop.git", "main")
PUSH = {
    "ref": "refs/heads/main",
    "repository": {
        "clone_url": "https://github.com/acme/shop.git",
        "ssh_url": "git@github.com:acme/shop.git",
    },
}


def a_client(*, secrets: tuple[bytes, ...] = (SECRET,)) -> tuple[FlaskClient, list[str]]:
    triggered: list[str] = []
    return make_app(triggered.append, lambda: [SHOP], secrets).test_client(), triggered


def github(body: bytes, *, secret: bytes = SECRET, event: str = "push", delivery: str = "") -> dict[str, str]:
    digest = hmac.new(secret, body, "sha256").hexdigest()
    headers = {
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-GitHub-Event": event,
        "Content-Type": "application/json",
    }
    return headers | ({"X-GitHub-Delivery": delivery} if delivery else {})


def test_a_signed_push_triggers_its_source() -> None:
    client, triggered = a_client()
    body = json.dumps(PUSH).encode()

    answer = client.post("/hooks/github", data=body, headers=github(body))

    assert answer.status_code == 202
    assert triggered == ["shop"]


@pytest.mark.parametrize(
    ("provider", "headers", "code"),
    [
        ("github", {}, 401),
        ("github", {"X-Hub-Signature-256": "sha256=" + "0" * 64}, 401),
        ("github", {"X-Hub-Signature-256": "sha256=é"}, 401),
        ("github", {"X-Hub-Signature": "sha1=" + hmac.new(SECRET, b"{}", "sha1").hexdigest()}, 401),
        ("generic", {"X-Signature": "md5=" + hashlib.md5(b"{}").hexdigest()}, 401),
        ("nobody", {}, 404),
    ],
)
def test_an_unsigned_or_unknown_hook_is_refused(provider: str, headers: dict[str, str], code: int) -> None:
    client, triggered = a_client()

    assert client.post(f"/hooks/{provider}", data=b"{}", headers=headers).status_code == code
    assert triggered == []


def test_without_a_secret_every_hook_is_refused() -> None:
    client, triggered = a_client(secrets=())
    body = json.dumps(PUSH).encode()

    assert client.post("/hooks/github", data=body, headers=github(body, secret=b"")).status_code == 401
    assert triggered == []


def test_a_redelivery_is_accepted_and_causes_nothing() -> None:
    client, triggered = a_client()
    body = json.dumps(PUSH).encode()

    codes = [
        client.post("/hooks/github", data=body, headers=github(body, delivery="7")).status_code
        for _ in range(3)
    ]

    assert codes == [202, 202, 202]
    assert triggered == ["shop"]


def test_another_branch_another_repository_and_a_ping_cause_nothing() -> None:
    client, triggered = a_client()
    other_branch = json.dumps({**PUSH, "ref": "refs/heads/wip"}).encode()
    other_repository = json.dumps(
        {**PUSH, "repository": {"clone_url": "https://github.com/acme/other"}}
    ).encode()

    client.post("/hooks/github", data=other_branch, headers=github(other_branch))
    client.post("/hooks/github", data=other_repository, headers=github(other_repository))
    client.post("/hooks/github", data=b"{}", headers=github(b"{}", event="ping"))

    assert triggered == []


def test_a_generic_hook_without_a_body_concerns_every_source() -> None:
    client, triggered = a_client()
    digest = hmac.new(SECRET, b"", "sha256").hexdigest()

    for _ in range(2):
        client.post("/hooks/generic", data=b"", headers={"X-Signature": f"sha256={digest}"})

    assert triggered == ["shop", "shop"]


def test_a_body_over_five_megabytes_is_refused() -> None:
    client, _ = a_client()
    body = b"x" * (5 * 1024 * 1024 + 1)

    assert client.post("/hooks/github", data=body, headers=github(body)).status_code == 413


@given(body=st.one_of(st.binary(max_size=300), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["ref", "repository", "clone_url", "ssh_url", "x"]), inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_signed_body_whatsoever_is_an_error(body: bytes) -> None:
    """MAC first, then any JSON shape: always an answer below 500."""
    client, _ = a_client()
    digest = hmac.new(SECRET, body, "sha256").hexdigest()

    assert client.post("/hooks/github", data=body, headers=github(body)).status_code == 202
    assert (
        client.post("/hooks/generic", data=body, headers={"X-Signature": f"sha256={digest}"}).status_code
        == 202
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("git@github.com:acme/shop.git", "https://github.com/acme/shop", True),
        ("ssh://git@GitHub.com:22/acme/shop", "https://user@github.com/acme/shop.git/", True),
        ("https://github.com/acme/shop", "https://github.com/acme/shop2", False),
        ("https://github.com/acme/shop", "https://gitlab.com/acme/shop", False),
        ("https://[bad/acme", "https://github.com/acme/shop", False),
    ],
)
def test_which_urls_name_the_same_repository(one: str, other: str, *, same: bool) -> None:
    assert same_repository(one, other) is same
