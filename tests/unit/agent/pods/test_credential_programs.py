"""Logins that a program knows: which one is asked, for what, and what becomes of its answer."""

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pods.credential_programs import ask, helper_of, login_of
from agent.pods.credentials import Keyring

CONFIG = orjson.dumps(
    {
        "credHelpers": {"ecr.example:5000": "ecr-login", "https://index.docker.io/v1/": "pass"},
        "credsStore": "store",
    }
)


@pytest.mark.parametrize(
    ("config", "image", "found"),
    [
        (CONFIG, "ecr.example:5000/shop/web:1", ("ecr-login", "ecr.example:5000")),
        (CONFIG, "other.example/web", ("store", "other.example")),
        (CONFIG, "busybox", ("pass", "https://index.docker.io/v1/")),
        (b'{"credsStore": "store"}', "docker.io/library/busybox", ("store", "https://index.docker.io/v1/")),
        (b'{"auths": {}}', "busybox", ("", "")),
        (b"no json", "busybox", ("", "")),
        (b"[]", "busybox", ("", "")),
    ],
)
def test_which_helper_is_asked_for_what(config: bytes, image: str, found: tuple[str, str]) -> None:
    assert helper_of(config, image) == found


@pytest.mark.parametrize("name", ["../../tmp/evil", "a b", "-x", "/bin/sh", 7, ["x"], "x" * 101])
def test_what_is_no_name_of_a_helper_is_not_run(name: Any) -> None:
    with pytest.raises(ValueError, match="wanted NAME of docker-credential-NAME"):
        helper_of(orjson.dumps({"credsStore": name}), "busybox")


@given(st.binary(max_size=200), st.text(max_size=30))
def test_no_file_and_no_answer_breaks_the_node(data: bytes, image: str) -> None:
    try:
        name, server = helper_of(data, image)
    except ValueError:
        name, server = "", ""
    assert bool(name) == bool(server)
    login_of(data)


def a_helper(folder: Path, script: str) -> dict[str, str]:
    path = folder / "docker-credential-store"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.defpath}", "GITWARD_TOKEN": "canary", "AWS_REGION": "here"}


def logins(folder: Path, script: str, image: str = "shop.example/web:1") -> Any:
    return asyncio.run(ask(b'{"credsStore": "store"}', image, a_helper(folder, script)))


def test_its_answer_is_the_login_of_that_registry(tmp_path: Path) -> None:
    script = """read server; test "$1" = get || exit 2
echo "{\\"ServerURL\\": \\"$server\\", \\"Username\\": \\"$AWS_REGION$GITWARD_TOKEN\\", \\"Secret\\": \\"hush\\"}" """

    found = logins(tmp_path, script)

    (login,) = Keyring(found).of("shop.example/web:1")
    assert (found[0][0], login.username, login.password.reveal()) == ("shop.example", "here", b"hush")
    assert Keyring(found).of("other.example/web:1") == ()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'credentials not found in native keychain'; exit 1", ""),
        ("echo hush; echo 'the keychain is locked' >&2; exit 1", "the keychain is locked"),
        ("echo hush", "it answered no login"),
        ("exit 3", "exit code 3"),
        ("yes hush | head -c 10000000; exit 3", "exit code 3"),
    ],
)
def test_without_an_answer_there_is_no_login_and_its_words_are_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str, why: str
) -> None:
    assert logins(tmp_path, f"cat > /dev/null; {script}") == ()

    told = [
        record.__dict__.get("fields", {}).get("why") for record in caplog.records if "helper" in record.msg
    ]
    assert told == ([why] if why else [])
    assert "hush" not in str([record.__dict__ for record in caplog.records])


def test_one_that_is_not_installed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert asyncio.run(ask(b'{"credsStore": "none"}', "busybox", {"PATH": str(tmp_path)})) == ()

    assert "not on the agent's PATH" in str(caplog.records[0].__dict__["fields"])
