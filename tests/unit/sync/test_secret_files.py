"""Files that SOPS 3.11 itself wrote, of each format and rule; and what we make of them for people and again for SOPS.

`golden/sops/*.clear.*` is what `sops decrypt` printed for the file beside it.
"""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.kinds.errors import BadRequest, GitwardError, Invalid
from gitops.kinds.keys import Origin
from gitops.kinds.yaml import load
from gitops.sync.secrets import shamir
from gitops.sync.secrets.formats import Format, format_of
from gitops.sync.secrets.keys import keygen, read_identities
from gitops.sync.secrets.reader import decrypt
from gitops.sync.secrets.wholes import decrypt_whole, edit, encrypt_whole, fresh_sealing, rotate
from gitops.sync.secrets.writer import encrypt_file

GOLDEN = Path(__file__).parent / "golden" / "sops"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE, TWO, THREE = (read_identities((GOLDEN / f"{name}.key").read_text()) for name in ("one", "two", "three"))
CASES = sorted(file.name for file in GOLDEN.glob("*.enc.*"))
IDENTITY, RECIPIENT = keygen()
MINE = read_identities(IDENTITY)
COMMENTED = """\
# the database
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData:
  # about the password
  password: correct horse  # not a battery
  note: |
    two
    lines
  odd: "012"
# the end
"""


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def same(form: Format, one: bytes, other: bytes) -> bool:
    """YAML and JSON may differ in style; the others may not."""
    if form in (Format.YAML, Format.JSON):
        return [each.value for each in load(one)] == [each.value for each in load(other)]
    return one == other


@pytest.mark.parametrize("name", CASES)
def test_what_sops_wrote_is_read_as_sops_reads_it(name: str) -> None:
    form = format_of(name)

    clear = decrypt_whole(golden(name), form, ONE + TWO)

    assert same(form, clear, golden(name.replace(".enc.", ".clear.")))


@pytest.mark.parametrize("name", CASES)
def test_a_file_under_a_new_data_key_says_the_same(name: str) -> None:
    form = format_of(name)

    fresh = rotate(golden(name), form, ONE + TWO, [], NOW, os.urandom)

    assert same(form, decrypt_whole(fresh, form, ONE + TWO), decrypt_whole(golden(name), form, ONE + TWO))
    ours, theirs = (set(re.findall(rb"ENC\[[^]]+\]", text)) for text in (fresh, golden(name)))
    assert ours
    assert not ours & theirs


@pytest.mark.parametrize("name", [name for name in CASES if "comment" not in name])
def test_an_edit_that_changes_nothing_writes_nothing(name: str) -> None:
    editing = edit(golden(name), format_of(name), ONE + TWO, NOW, os.urandom)

    assert editing.closed(editing.clear) is None


def test_an_edit_changes_the_cipher_text_of_what_it_changed() -> None:
    sealed = encrypt_file(COMMENTED, [RECIPIENT], NOW)
    editing = edit(sealed.encode(), Format.YAML, MINE, datetime(2026, 2, 2, tzinfo=UTC), os.urandom)
    assert editing.clear.decode() == COMMENTED

    again = editing.closed(editing.clear.replace(b"correct horse", b"staple"))

    assert again is not None
    before, after = sealed.splitlines(), again.decode().splitlines()
    changed = [old.split(":")[0].strip() for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["password", "lastmodified", "mac"]
    assert decrypt_whole(again, Format.YAML, MINE).decode() == COMMENTED.replace("correct horse", "staple")


def test_comments_where_values_are_secret_are_encrypted_and_others_are_not() -> None:
    sealed = encrypt_file(COMMENTED, [RECIPIENT], NOW)

    assert "# the database" in sealed
    assert "# the end" in sealed
    assert "about the password" not in sealed
    assert "battery" not in sealed


def test_key_groups_ask_for_as_many_as_they_say() -> None:
    name = "groups.enc.yaml"

    for keys in (ONE + TWO, TWO + THREE, ONE + THREE):
        assert b"correct horse" in decrypt_whole(golden(name), Format.YAML, keys)
    with pytest.raises(Invalid, match=r"^2 of its 3 key groups are wanted, 1 can be opened; cannot decrypt"):
        decrypt_whole(golden(name), Format.YAML, TWO)


def test_a_rotation_to_others_shuts_out_who_is_not_among_them() -> None:
    name = "encrypted_regex.enc.yaml"

    fresh = rotate(golden(name), Format.YAML, ONE, [RECIPIENT], NOW, os.urandom)

    assert b"correct horse" in decrypt_whole(fresh, Format.YAML, MINE)
    with pytest.raises(Invalid, match=f"recipients are {RECIPIENT}"):
        decrypt_whole(fresh, Format.YAML, ONE)


def test_a_file_that_is_also_for_others_than_age_is_not_rotated() -> None:
    text = golden("encrypted_regex.enc.yaml").replace(b"sops:\n", b"sops:\n    pgp: [{fp: A}]\n")

    with pytest.raises(BadRequest, match="the file is also for pgp, for which we cannot encrypt"):
        rotate(text, Format.YAML, ONE, [], NOW, os.urandom)


def test_a_mac_over_encrypted_values_alone_is_taken_where_the_source_allows_it() -> None:
    at, text = Origin("s.yaml", 1), golden("mac_only.enc.yaml")

    with pytest.raises(Invalid, match="mac_only_encrypted is refused for Secrets"):
        decrypt(text, ONE, at)
    (document,) = decrypt(text, ONE, at, allow_mac_only_encrypted=True)
    assert document.value["metadata"]["name"] == "golden"


@pytest.mark.parametrize("name", ["encrypted_regex.enc.yaml", "encrypted_comment_regex.enc.yaml"])
def test_what_sops_wrote_is_a_secret_in_git(name: str) -> None:
    (document,) = decrypt(golden(name), ONE, Origin(name, 1))

    assert sorted(document.value["data"]) == ["certificate", "password"]
    assert document.value["data"]["password"].reveal() == b"Y29ycmVjdCBob3JzZQ=="


def test_a_private_ssh_key_opens_what_its_public_key_sealed(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()

    sealed = encrypt_file(COMMENTED, [f"{public} me@here"], NOW)

    keys = read_identities(f"# mine\n{private}\n{IDENTITY}")
    assert len(keys) == 2
    assert b"correct horse" in decrypt_whole(sealed.encode(), Format.YAML, keys)


@pytest.mark.parametrize("name", ["a.env", "a.json", "a.bin"])
def test_any_format_survives_encryption_and_decryption(name: str) -> None:
    content = {
        "a.env": b"# x\nA=1\nB=a\\nb\n",
        "a.json": b'{"a": [1, "x", null, true], "b": {}}',
        "a.bin": b"\0\xff",
    }
    form = format_of(name)
    sealing = fresh_sealing(((RECIPIENT,),), 1, {}, NOW, os.urandom)

    sealed = encrypt_whole(content[name], form, sealing)

    assert same(form, decrypt_whole(sealed, form, MINE), content[name])


BROKEN = {
    "a dotenv line": (b"A\n", Format.DOTENV, "line 1: found 'A', wanted KEY=VALUE"),
    "a dotenv file in the clear": (b"A=1\n", Format.DOTENV, "it has no sops_mac"),
    "an index": (b"sops_mac=x\nsops_age__list_9999__map_enc=x\n", Format.DOTENV, "'9999' is no index"),
    "a contradiction": (
        b"sops_mac=x\nsops_age__list_0=x\nsops_age__map_a=x\n",
        Format.DOTENV,
        "contradict each other",
    ),
    "INI": (b"[a]\nb=c", Format.INI, "INI format is not supported"),
    "JSON in the clear": (b"{}", Format.JSON, "it has no `sops` block"),
    "binary that is none": (golden("json.enc.json"), Format.BINARY, "holds no binary data"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_such_file_is_said(case: tuple[bytes, Format, str]) -> None:
    content, form, message = case

    with pytest.raises(GitwardError, match=message):
        decrypt_whole(content, form, ONE)


lines = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
values = lines | st.lists(lines, max_size=3).map("\n".join)
keys = st.from_regex(r"[a-z][a-z0-9._-]{0,8}", fullmatch=True).filter(
    lambda key: key not in ("y", "n", "on", "off")
)


@given(stated=st.dictionaries(keys, values, min_size=1, max_size=4), comment=lines, changed=values)
@settings(max_examples=100)
def test_what_is_edited_is_what_is_read(stated: dict[str, str], comment: str, changed: str) -> None:
    """Whatever stands in it, the file says afterwards what the editor showed, and comments are still there."""
    text = "\n".join(
        (f"# {comment}", "apiVersion: v1", "kind: Secret", "metadata: {name: a}", "stringData:\n")
    )
    text += "".join(f"  {key}: {_json(value)}\n  # {comment}\n" for key, value in stated.items())
    editing = edit(encrypt_file(text, [RECIPIENT], NOW).encode(), Format.YAML, MINE, NOW, os.urandom)
    assert load(editing.clear)[0].value["stringData"] == stated

    again = editing.closed(editing.clear + f"  zz-new: {_json(changed)}\n".encode())

    assert again is not None
    clear = decrypt_whole(again, Format.YAML, MINE)
    assert load(clear)[0].value["stringData"] == {**stated, "zz-new": changed}


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


@given(secret=st.binary(min_size=1, max_size=40), parts=st.integers(2, 8), data=st.data())
def test_any_threshold_of_the_parts_gives_the_secret(secret: bytes, parts: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(2, parts))
    made = shamir.split(secret, parts, threshold, os.urandom)

    chosen = data.draw(st.permutations(made)).copy()[:threshold]

    assert shamir.combine(chosen) == secret


def test_parts_that_do_not_fit_are_an_error() -> None:
    for parts in ([b"ab\x01", b"ab\x01"], [b"ab\x01", b"a\x02"], [b"ab\x00", b"ab\x01"]):
        with pytest.raises(ValueError, match="do not fit together"):
            shamir.combine(parts)
