"""SOPS files: what we write is read, what was changed is refused, and nothing of a value shows."""

import base64
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitops.kinds.errors import BadRequest, GitwardError, Invalid
from gitops.kinds.keys import Origin
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Document, load
from gitops.sync.secrets.cipher import encrypt_value
from gitops.sync.secrets.formats import Format
from gitops.sync.secrets.keys import keygen, read_identities, seal_for
from gitops.sync.secrets.leaves import SOPS, take_apart
from gitops.sync.secrets.reader import decrypt
from gitops.sync.secrets.wholes import decrypt_whole
from gitops.sync.secrets.writer import encrypt_file

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT = Origin("apps/db.yaml", 1)
IDENTITY, RECIPIENT = keygen()
KEYS = read_identities(IDENTITY)
GOLDEN = Path(__file__).parent / "golden"
PLAIN = """apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: shop
  labels: {version: "1e3", old: "yes"}
  annotations:
    note: |
      two
      lines
stringData:
  password: canary-9
  empty: ""
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  conf: |
    a: 1
    b: 2
"""
SEALED = encrypt_file(PLAIN, [RECIPIENT], NOW)
FULL = encrypt_file(
    PLAIN.replace('  empty: ""\n', ""), [RECIPIENT], NOW
)  # No empty text: those are not in the MAC.


def revealed(text: str, keys: Any = KEYS) -> dict[str, bytes]:
    return {
        f"{document.value['metadata']['name']}.{name}": leaf.reveal()
        for document in decrypt(text, keys, AT)
        for name, leaf in document.value["data"].items()
    }


def test_what_was_encrypted_is_read_as_sensitive_leaves() -> None:
    secret, config = decrypt(SEALED, KEYS, AT)

    assert secret.value["metadata"]["labels"] == {"version": "1e3", "old": "yes"}
    assert "sops" not in secret.value
    assert secret.value["data"]["password"] == Sensitive(base64.b64encode(b"canary-9"))
    assert config.value["data"]["conf"] == Sensitive("a: 1\nb: 2\n")
    assert "canary" not in repr((secret, config))


def test_what_is_written_hides_values_shows_the_rest_and_ends_with_sops() -> None:
    first = next(yaml.safe_load_all(SEALED))

    assert "canary" not in SEALED
    assert list(first) == ["apiVersion", "kind", "metadata", "stringData", "sops"]
    assert first["metadata"]["name"] == "db"
    assert first["stringData"]["password"].startswith("ENC[AES256_GCM,data:")
    assert first["stringData"]["empty"] == ""
    assert first["sops"]["encrypted_regex"] == "^(data|stringData)$"
    assert "metadata:\n  name: db\n  namespace: shop\n  labels: {version:" in SEALED  # As it was written.


def test_a_whole_file_is_decrypted_to_what_it_was() -> None:
    again = decrypt_whole(SEALED.encode(), Format.YAML, KEYS).decode()

    assert [one.value for one in load(again)] == [one.value for one in load(PLAIN)]
    assert list(yaml.safe_load_all(again)) == list(yaml.safe_load_all(PLAIN))


def test_two_recipients_each_open_the_file() -> None:
    identity, recipient = keygen()
    text = encrypt_file(PLAIN, [RECIPIENT, recipient], NOW)

    assert revealed(text)["web.conf"] == b"a: 1\nb: 2\n"
    assert revealed(text, read_identities(identity))["web.conf"] == b"a: 1\nb: 2\n"


TAMPERED: dict[str, tuple[str, str, str]] = {
    "renamed": ("name: db", "name: dc", "its MAC does not match"),
    "moved to another namespace": ("namespace: shop", "namespace: prod", "its MAC does not match"),
    "a clear value changed": ('old: "yes"', 'old: "no"', "its MAC does not match"),
    "another kind": ("kind: Secret", "kind: ConfigMap", "its MAC does not match"),
    "a value moved to another key": ("password: ENC", "passwort: ENC", "stringData.passwort was changed, or moved"),
    "a value in clear text": ('empty: ""', 'empty: "x"', "stringData.empty should be encrypted, but is not"),
    "the mac removed": ("  mac: ENC", "  mac2: ENC", "sops.mac is missing"),
    "the mac cleared": ("mac: ENC[", "mac: CLR[", "sops.mac should be encrypted"),
    "the time changed": ("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z", "sops.mac was changed"),
    "the rule removed": ("encrypted_regex:", "removed_regex:", "apiVersion is encrypted, only data"),
    "a comment rule with a small MAC": (
        "encrypted_regex:",
        "mac_only_encrypted: true\n  encrypted_comment_regex:",
        "encrypted_comment_regex with mac_only_encrypted: what is encrypted cannot be told",
    ),
    "two rules": ("  encrypted_regex:", "  encrypted_suffix: x\n  encrypted_regex:", "only one of"),
    "key groups": ("  encrypted_regex:", "  key_groups: [{}]\n  encrypted_regex:", "no age recipient"),
    "too many key groups asked": (
        "  encrypted_regex:",
        "  key_groups: [{age: [{recipient: age1}]}, {}]\n  shamir_threshold: 9\n  encrypted_regex:",
        "sops.shamir_threshold: found 9, wanted a number from 2 to 2",
    ),
    "only the encrypted in the mac": (
        "  encrypted_regex:",
        "  mac_only_encrypted: true\n  encrypted_regex:",
        "mac_only_encrypted is refused for Secrets",
    ),
    "a bad rule": ("^(data|stringData)$", "'('", "is no regular expression"),
    "a merge key": ("metadata:\n  name: db", "metadata: {<<: {}}\nx:\n  name: db", "merge keys"),
    "no recipients": ("age:", "aged:", "no age recipient"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_changed_file_is_refused(case: tuple[str, str, str]) -> None:
    before, after, message = case
    assert before in SEALED

    with pytest.raises(Invalid) as raised:
        decrypt(SEALED.replace(before, after), KEYS, AT)

    assert re.match(r"apps/db\.yaml:\d+: ", str(raised.value))
    assert message in str(raised.value)
    assert "canary" not in str(raised.value)


LINES: dict[str, tuple[str, str]] = {
    "a value": ("password: ENC", "passwort: ENC"),
    "the MAC": ("mac: ENC[", "mac: CLR["),
    "the rule": ("encrypted_regex: ^(data|stringData)$", "encrypted_regex: '('"),
    "the kind in the second document": ("kind: ConfigMap", "kind: Pod"),
    "only the encrypted in the MAC": ("  lastmodified", "  mac_only_encrypted: true\n  lastmodified"),
}


@pytest.mark.parametrize("case", LINES.values(), ids=LINES.keys())
def test_an_error_is_told_with_the_line_of_its_field(case: tuple[str, str]) -> None:
    before, after = case
    text = SEALED.replace(before, after)
    line = text[: text.index(after.partition("\n")[0])].count("\n") + 1

    with pytest.raises(Invalid, match=rf"^apps/db\.yaml:{line}: "):
        decrypt(text, KEYS, AT)


@given(place=st.integers(0, len(FULL) - 1), bit=st.integers(0, 6))
@settings(max_examples=300)
@example(place=130, bit=0)
def test_no_flipped_bit_changes_what_is_read_unnoticed(place: int, bit: int) -> None:
    flipped = FULL[:place] + chr(ord(FULL[place]) ^ (1 << bit)) + FULL[place + 1 :]
    try:
        documents = decrypt(flipped, KEYS, AT)
    except GitwardError:
        return

    # Clear keys, empty texts, nulls and which mapping a value lies in are not in SOPS' MAC; every other value is.
    assert values_of(documents) == values_of(decrypt(FULL, KEYS, AT))


def values_of(documents: list[Document]) -> list[str]:
    return sorted(
        str(leaf) for document in documents for leaf in leaves(document.value) if leaf not in ("", None)
    )


def leaves(value: Any) -> list[object]:
    if isinstance(value, dict):
        return [leaf for name in value for leaf in leaves(value[name])]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value.reveal().decode() if isinstance(value, Sensitive) else value]


def test_without_a_matching_key_the_recipients_are_named() -> None:
    for keys in ((), read_identities(keygen()[0])):
        with pytest.raises(Invalid, match=f"recipients are {RECIPIENT}"):
            decrypt(SEALED, keys, AT)


def test_only_secrets_and_config_maps_may_be_encrypted() -> None:
    text = SEALED.replace("kind: ConfigMap", "kind: Pod")

    with pytest.raises(Invalid, match="may hold only Secrets and ConfigMaps, found v1 Pod"):
        decrypt(text, KEYS, AT)


def test_a_key_that_readers_disagree_on_is_an_error_and_not_a_cipher_text() -> None:
    text = SEALED.replace('  empty: ""', '  empty: ""\n  on: ""').replace("password: ENC", "password: ENC")

    with pytest.raises(Invalid, match=r"stringData\.on: SOPS and kubectl read this key differently"):
        decrypt(text, KEYS, AT)


def test_a_config_map_may_leave_clear_fields_out_of_its_mac() -> None:
    text = _foreign(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}, True
    )

    (document,) = decrypt(text.replace("name: a", "name: b"), KEYS, AT)

    assert document.value["data"]["k"] == Sensitive("v")


def test_a_file_of_another_writer_with_typed_clear_values_is_read() -> None:
    value = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "v"},
        "x": ["012", 1.5, True, None],
    }

    (document,) = decrypt(_foreign(value, False), KEYS, AT)

    assert document.value["x"] == ["012", 1.5, True, None]


def _foreign(value: dict[str, Any], only_encrypted: bool) -> str:
    """A file by other code than ours: only the cipher is shared."""
    data_key = bytes(range(32))
    digest = hashlib.sha512(hashlib.sha256(b"sops").digest() if only_encrypted else b"")
    plain = (
        ["v"]
        if only_encrypted
        else ["v1", "ConfigMap", "a", "v", *(["012", "1.5", "True"] if "x" in value else [])]
    )
    for text in plain:
        digest.update(text.encode())
    stamp, iv = "2026-01-02T03:04:05Z", bytes(32)
    block = {
        "age": seal_for([RECIPIENT], data_key),
        "lastmodified": stamp,
        "mac": encrypt_value(digest.hexdigest().upper().encode(), "str", data_key, iv, stamp.encode()),
        "encrypted_regex": "^data$",
        **({"mac_only_encrypted": True} if only_encrypted else {}),
    }
    sealed = {**value, "data": {"k": encrypt_value(b"v", "str", data_key, iv, b"data:k:")}, "sops": block}
    return yaml.safe_dump(sealed, sort_keys=False)


def test_the_golden_file_is_still_read() -> None:
    """Written once by this code and opened by the independent npm package `sops-age`."""
    identities = read_identities((GOLDEN / "age.key").read_text())

    assert revealed((GOLDEN / "secret.yaml").read_text(), identities) == {
        "golden.password": base64.b64encode(b"correct horse"),
        "golden.multi": base64.b64encode(b"a\nb\n"),
        "golden.empty": b"",
    }


MAC_TEXTS = {
    "yes": "yes",
    "true": "True",
    "FALSE": "False",
    "012": "10",
    "0o17": "15",
    "1_000": "1000",
    "1.0": "1",
    "1.50": "1.5",
    "1e21": "1000000000000000000000",
    "-0.000001": "-0.000001",
    "2020-01-02": "2020-01-02T00:00:00Z",
    "2020-1-2 3:4:5": "2020-01-02T03:04:05Z",
    "2020-01-02T03:04:05.6+01:00": "2020-01-02T03:04:05+01:00",
    "2020-13-01": "2020-13-01",
    "'012'": "012",
    "1.2.3": "1.2.3",
}


@pytest.mark.parametrize("text", MAC_TEXTS)
def test_a_clear_value_enters_the_mac_as_sops_writes_it(text: str) -> None:
    values = [document.value for document in load(f"a: {text}", scalars=SOPS)]

    (leaf,) = take_apart([{"sops": {}}], values).leaves

    assert leaf.text == MAC_TEXTS[text]


WRITE_ERRORS: dict[str, tuple[str, str]] = {
    "another kind": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}",
        "line 1: found v1 Pod, wanted a Secret",
    ),
    "a number": (
        "apiVersion: v1\nkind: Secret\nstringData:\n  port: 80",
        "line 4: stringData.port is no text: quote it",
    ),
    "nothing to encrypt": ("\napiVersion: v1\nkind: Secret", "line 2: there is neither data nor stringData"),
    "encrypted already": (SEALED, "the file is encrypted already"),
    "empty": ("# nothing", "there is nothing in the file"),
}


@pytest.mark.parametrize("case", WRITE_ERRORS.values(), ids=WRITE_ERRORS.keys())
def test_what_cannot_be_encrypted_is_said(case: tuple[str, str]) -> None:
    text, message = case

    with pytest.raises(GitwardError) as raised:
        encrypt_file(text, [RECIPIENT], NOW)

    assert message in str(raised.value)


def test_bad_keys_and_recipients_are_said_without_showing_a_key() -> None:
    with pytest.raises(BadRequest, match="line 2: not an age key"):
        read_identities("# key\nAGE-SECRET-KEY-1CANARY")
    with pytest.raises(BadRequest, match="post-quantum"):
        read_identities("AGE-SECRET-KEY-PQ-1XYZ")
    with pytest.raises(BadRequest, match="is no age recipient"):
        encrypt_file(PLAIN, ["ssh-ed25519 AAAA"], NOW)


def test_a_file_that_is_not_encrypted_is_said() -> None:
    with pytest.raises(Invalid, match="is not encrypted"):
        decrypt_whole(PLAIN.encode(), Format.YAML, KEYS)


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30) | st.sampled_from(
    [
        "yes",
        "012",
        "1e3",
        "~",
        "null",
        "0o17",
        "=",
        "<<",
        "2020-01-01",
        "a: b",
        "- x",
        "# y",
        " lead",
        "trail ",
        "a\nb\n",
    ]
)


@given(
    values=st.dictionaries(st.from_regex(r"[a-z0-9._-]{1,10}", fullmatch=True), texts, min_size=1, max_size=5)
)
@settings(max_examples=150)
def test_any_values_survive_encryption_and_decryption(values: dict[str, str]) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": values}
    text = encrypt_file(_quoted(obj), [RECIPIENT], NOW)

    (document,) = decrypt(text, KEYS, AT)

    assert {name: leaf.reveal().decode() for name, leaf in document.value["data"].items()} == values
    assert load(decrypt_whole(text.encode(), Format.YAML, KEYS))[0].value == obj


def _quoted(obj: dict[str, Any]) -> str:
    return yaml.safe_dump(obj, default_style='"', allow_unicode=True, sort_keys=False)
