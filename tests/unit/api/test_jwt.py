"""Signed tokens: what we signed is believed, and nothing else."""

from base64 import urlsafe_b64encode
from pathlib import Path

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gitops.api.jwt import TokenKeys, load_or_make_token_keys
from gitops.kinds.errors import Unauthorized, Unavailable

KEYS = TokenKeys((ec.generate_private_key(ec.SECP256R1()),))
TOKEN = KEYS.sign({"sub": "a"}).reveal().decode()


def part(told: object) -> str:
    return urlsafe_b64encode(orjson.dumps(told)).rstrip(b"=").decode()


def test_what_was_signed_is_read() -> None:
    assert KEYS.claims(TOKEN) == {"sub": "a"}


def test_a_token_does_not_show_itself() -> None:
    assert TOKEN not in repr(KEYS.sign({"sub": "a"}))


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_token_with_another_character_anywhere_is_refused(at: int, other: str) -> None:
    changed = TOKEN[:at] + other + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(Unauthorized, match=r"^invalid bearer token$"):
            KEYS.claims(changed)


@given(st.text(max_size=200) | st.lists(st.text("abcXYZ019-_=", max_size=40), max_size=4).map(".".join))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        KEYS.claims(text)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", "", None, 1])
def test_the_header_does_not_choose_the_algorithm(algorithm: object) -> None:
    _, claims, signature = TOKEN.split(".")
    for ending in (signature, ""):
        with pytest.raises(Unauthorized):
            KEYS.claims(f"{part({'alg': algorithm})}.{claims}.{ending}")


def test_a_key_of_others_is_not_believed_even_under_our_name() -> None:
    theirs = TokenKeys((ec.generate_private_key(ec.SECP256R1()),)).sign({"sub": "a"}).reveal().decode()
    ours = TOKEN.split(".")[0]

    for token in (theirs, ".".join([ours, *theirs.split(".")[1:]])):
        with pytest.raises(Unauthorized):
            KEYS.claims(token)


def test_a_new_key_before_the_old_one_signs_and_both_are_believed(tmp_path: Path) -> None:
    old = load_or_make_token_keys(tmp_path).sign({"sub": "old"}).reveal().decode()
    path = tmp_path / "sa.key"
    assert path.stat().st_mode & 0o777 == 0o600
    fresh = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(fresh + path.read_bytes())

    keys = load_or_make_token_keys(tmp_path)

    new = keys.sign({"sub": "new"}).reveal().decode()
    assert keys.claims(old) == {"sub": "old"}
    assert keys.claims(new) == {"sub": "new"}
    assert new.split(".")[0] != old.split(".")[0]
    assert len(keys.jwks()["keys"]) == 2  # type: ignore[arg-type] # JSON.


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_file_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sa.key").write_bytes(content)

    with pytest.raises(Unavailable, match=r"sa\.key"):
        load_or_make_token_keys(tmp_path)
