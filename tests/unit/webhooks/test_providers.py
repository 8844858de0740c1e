"""Every provider: who signed, what is said, and that nothing else is ever believed."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.unit.webhooks.deliveries import (
    CASES,
    IMAGES,
    NOW,
    SECRET,
    Case,
    basic,
    encoded,
    standard,
    url_of,
)
from webhooks import Source, make_app
from webhooks.app import PROVIDERS
from webhooks.providers.base import path_token
from webhooks.replay import Refusals

OTHER = b"another secret"


class Hooks:
    """An application with one source `shop`, and what it triggered."""

    def __init__(self, url: str, branch: str = "main", secrets: tuple[bytes, ...] = (SECRET,)) -> None:
        self.triggered: list[str] = []
        self.sources = [Source("shop", url, branch)]
        self.now = float(NOW)
        self.app: Flask = make_app(
            self.triggered.append, lambda: self.sources, secrets, clock=lambda: self.now
        )

    def post(self, case: Case, body: bytes, headers: Mapping[str, str]) -> TestResponse:
        return self.app.test_client().post(
            f"/hooks/{case.path}", data=body, headers={**case.event, **headers}
        )

    def deliver(self, case: Case, *, secret: bytes = SECRET, **changed: Any) -> TestResponse:
        body = encoded({**case.payload, **changed})
        return self.post(case, body, case.sign(secret, body))


@pytest.mark.parametrize("name", [*CASES, *IMAGES])
def test_a_signed_push_is_a_hint_to_its_source(name: str) -> None:
    hooks = Hooks(url_of(name))

    answer = hooks.deliver({**CASES, **IMAGES}[name])

    assert (answer.status_code, hooks.triggered) == (202, ["shop"])


@pytest.mark.parametrize("name", [*CASES, *IMAGES])
def test_who_does_not_know_the_secret_is_refused(name: str) -> None:
    case = {**CASES, **IMAGES}[name]
    hooks = Hooks(url_of(name), secrets=(OTHER,))

    codes = {hooks.deliver(case).status_code, hooks.post(case, b"{}", {}).status_code}

    assert codes == {401}
    assert hooks.triggered == []
    assert hooks.app.extensions["refusals"].count == 2


# Azure DevOps and GitLab's token send the secret itself: nothing covers the body.
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("azure", "gitlab by token")])
def test_a_changed_body_is_refused_where_the_body_is_signed(name: str) -> None:
    case, hooks = CASES[name], Hooks(url_of(name))
    body = encoded(case.payload)

    answer = hooks.post(case, body + b" ", case.sign(SECRET, body))

    assert (answer.status_code, hooks.triggered) == (401, [])


@pytest.mark.parametrize("name", CASES)
def test_another_repository_and_another_branch_cause_nothing(name: str) -> None:
    elsewhere = Hooks("https://github.com/acme/another")
    branch = Hooks(url_of(name), branch="production")

    assert elsewhere.deliver(CASES[name]).status_code == 202
    assert branch.deliver(CASES[name]).status_code == 202

    assert (elsewhere.triggered, branch.triggered) == ([], [])


@pytest.mark.parametrize("name", CASES)
def test_the_same_delivery_again_causes_nothing(name: str) -> None:
    case, hooks = CASES[name], Hooks(url_of(name))
    identity = {"X-Request-Id": "7"} if name == "generic" else {}
    body = encoded(case.payload)

    codes = [hooks.post(case, body, {**case.sign(SECRET, body), **identity}).status_code for _ in range(3)]

    assert (codes, hooks.triggered) == ([202, 202, 202], ["shop"])


@pytest.mark.parametrize(
    ("off", "code"), [(0, 202), (299, 202), (-299, 202), (301, 401), (-301, 401), (10**9, 401)]
)
def test_a_signed_time_may_be_five_minutes_off(off: int, code: int) -> None:
    case, hooks = CASES["standard webhooks"], Hooks(url_of("standard webhooks"))
    body = encoded(case.payload)

    assert hooks.post(case, body, standard(SECRET, body, NOW + off)).status_code == code


def test_a_signing_token_is_base64_of_its_key() -> None:
    secret = b"whsec_" + b"Y29ycmVjdA=="
    case, hooks = CASES["gitlab by signature"], Hooks(url_of("gitlab by signature"), secrets=(secret,))
    body = encoded(case.payload)

    assert hooks.post(case, body, standard(b"correct", body)).status_code == 202


@pytest.mark.parametrize("moment", ["", "x", "١٢", "1e9", "9" * 400, "-1"])
def test_a_time_that_is_none_is_refused(moment: str) -> None:
    case, hooks = CASES["standard webhooks"], Hooks(url_of("standard webhooks"))
    body = encoded(case.payload)
    headers = {**standard(SECRET, body), "webhook-timestamp": moment.encode().decode("latin-1")}

    assert hooks.post(case, body, headers).status_code == 401


def test_the_native_header_alone_decides_where_it_is_there() -> None:
    case, hooks = CASES["gitea"], Hooks(url_of("gitea"))
    body = encoded(case.payload)
    good = CASES["github"].sign(SECRET, body)

    assert hooks.post(case, body, {**good, "X-Gitea-Signature": "0" * 64}).status_code == 401
    assert hooks.post(case, body, good).status_code == 202


PINGS: dict[str, tuple[str, dict[str, str]]] = {
    "github": ("github", {"X-GitHub-Event": "ping"}),
    "bitbucket data center": ("bitbucket data center", {"X-Event-Key": "diagnostics:ping"}),
}


@pytest.mark.parametrize("name", PINGS)
def test_a_ping_causes_nothing(name: str) -> None:
    case_name, event = PINGS[name]
    hooks = Hooks(url_of(name))

    answer = hooks.deliver(CASES[case_name]._replace(event=event, payload={"test": True}))

    assert (answer.status_code, hooks.triggered) == (202, [])


def test_a_tag_is_a_hint_whatever_branch_is_followed() -> None:
    hooks = Hooks(url_of("github"))

    hooks.deliver(CASES["github"], ref="refs/tags/v1")

    assert hooks.triggered == ["shop"]


def test_a_form_encoded_delivery_is_signed_as_it_is_sent() -> None:
    case, hooks = CASES["github"], Hooks(url_of("github"))
    body = b"payload=" + encoded(case.payload).replace(b" ", b"+")
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    hooks.post(case, body, {**case.sign(SECRET, body), **form})

    assert hooks.triggered == ["shop"]


def test_a_secret_of_one_source_hints_at_that_source_alone() -> None:
    hooks = Hooks(url_of("github"))
    url = url_of("github")
    hooks.sources = [Source("mine", url, "", (OTHER,)), Source("shared", url, "")]

    hooks.deliver(CASES["github"], secret=OTHER)
    assert hooks.triggered == ["mine"]
    hooks.deliver(CASES["github"])

    assert hooks.triggered == ["mine", "shared"]


def test_a_secret_of_one_source_does_not_wake_the_others_by_an_image() -> None:
    hooks = Hooks("https://x.example.com/a", secrets=())
    hooks.sources = [
        Source("mine", "https://x.example.com/a", "", (SECRET,)),
        Source("theirs", "https://x.example.com/b", "", (OTHER,)),
    ]

    hooks.deliver(IMAGES["harbor"])

    assert hooks.triggered == ["mine"]


def test_an_empty_secret_opens_nothing() -> None:
    for name, case in {**CASES, **IMAGES}.items():
        hooks = Hooks(url_of(name), secrets=(b"",))
        hooks.sources = [Source("shop", url_of(name), "", (b"",))]
        assert hooks.deliver(case, secret=b"").status_code == 401, name


def test_basic_authorization_that_is_none_is_refused() -> None:
    hooks = Hooks(url_of("azure"))
    for value in (
        "",
        "Basic",
        "Basic !",
        "Basic " + "=" * 9,
        "Bearer x",
        basic(b"", b"")["Authorization"],
        "Basic w6k=",
    ):
        assert hooks.post(CASES["azure"], b"{}", {"Authorization": value}).status_code == 401


def test_the_path_of_a_registry_does_not_tell_the_secret_and_is_for_one_provider() -> None:
    hooks = Hooks("https://x.example.com/a")
    token = path_token("dockerhub", SECRET)

    client = hooks.app.test_client()
    codes = [
        client.post(f"/hooks/{path}").status_code
        for path in (f"quay/{token}", "dockerhub", f"dockerhub/{token}x")
    ]

    assert codes == [401, 401, 401]
    assert SECRET.decode() not in token


def test_refusals_are_told_at_most_once_a_minute() -> None:
    refusals = Refusals()

    assert [refusals.one_more(moment) for moment in (0.0, 1.0, 59.0, 60.0, 61.0)] == [1, 0, 0, 3, 0]
    assert refusals.count == 5


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A provider's own form with a part of it replaced by whatever, or no JSON at all."""
    name = draw(st.sampled_from(sorted({**CASES, **IMAGES})))
    payload = json.loads(encoded({**CASES, **IMAGES}[name].payload))
    for _ in range(draw(st.integers(0, 3))):
        at: Any = payload
        while isinstance(at, dict | list) and at:
            key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else list(range(len(at)))))
            if draw(st.booleans()):
                at[key] = draw(
                    leaves
                    | st.lists(leaves, max_size=2)
                    | st.dictionaries(st.text(max_size=4), leaves, max_size=2)
                )
                break
            at = at[key]
    body = draw(
        st.sampled_from([encoded(payload), encoded(payload)[: draw(st.integers(0, 60))]])
        | st.binary(max_size=40)
    )
    return name, body


@given(one=mutated(), data=st.data())
@settings(max_examples=300)
def test_no_signed_body_of_any_provider_is_an_error(one: tuple[str, bytes], data: st.DataObject) -> None:
    name, body = one
    case = {**CASES, **IMAGES}[name]
    hooks = Hooks(url_of(name))

    answer = hooks.post(case, body, case.sign(SECRET, body))

    assert answer.status_code == 202
    assert set(hooks.triggered) <= {"shop"}


headers_of = st.dictionaries(
    st.sampled_from(["X-Hub-Signature-256", "X-Hub-Signature", "X-Gitlab-Token", "X-Gitea-Signature",
                     "X-Gogs-Signature", "Authorization", "webhook-id", "webhook-timestamp", "webhook-signature",
                     "X-Signature"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80),
    max_size=5,
)  # fmt: skip


@given(path=st.sampled_from(sorted(PROVIDERS)), headers=headers_of, body=st.binary(max_size=60))
@settings(max_examples=300)
def test_no_guess_is_ever_accepted(path: str, headers: dict[str, str], body: bytes) -> None:
    hooks = Hooks("https://github.com/acme/shop")

    answer = hooks.app.test_client().post(f"/hooks/{path}", data=body, headers=headers)

    assert (answer.status_code, hooks.triggered) == (401, [])
