"""SealedSecrets: what was sealed for one place opens there and nowhere else; keys come, go and stay readable."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from gitops.kinds.errors import BadRequest, GitwardError
from gitops.kinds.sensitive import Sensitive
from gitops.sync.compile import Compiled, File, compile_files
from gitops.sync.render.parse import field_lines, of_json, parse, to_json
from gitops.sync.secrets import sealed_keys
from gitops.sync.secrets.key_files import KeyFiles
from gitops.sync.secrets.opening import Keyring
from gitops.sync.secrets.sealed_keys import SealingKey, read_certificate, read_keys
from gitops.sync.secrets.sealed_secrets import Scope, decrypt_value, encrypt_value, label_of
from gitops.sync.secrets.writer import seal_file

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN = """\
apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: shop
  labels:
    app: db
type: Opaque
stringData:
  password: canary-9
data:
  raw: AAH/
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a key pair of its own."""
    data = tmp_path_factory.mktemp("data")
    assert sealed_keys.ensure_fresh(data / "sealed-secrets", NOW)
    return data


@pytest.fixture(scope="module")
def keys(folder: Path) -> tuple[SealingKey, ...]:
    return read_keys(folder / "sealed-secrets")


def sealed(folder: Path, scope: Scope = Scope.STRICT, text: str = PLAIN) -> str:
    return seal_file(text, read_certificate((folder / "sealed-secrets/tls.crt").read_bytes()), scope)


def compiled(text: str, keyring: Keyring) -> Compiled:
    content = text.encode()
    parsed = of_json(to_json(parse(content)))
    return compile_files(
        [File("db.yaml", parsed)], keyring.open, lambda _, index: field_lines(content, index)
    )


def test_a_sealed_secret_becomes_its_secret(folder: Path, keys: tuple[SealingKey, ...]) -> None:
    text = sealed(folder)

    result = compiled(text, Keyring((), keys))

    assert result.problems == ()
    (stated,) = result.objects
    assert str(stated.key) == "Secret shop/db"
    assert stated.obj == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "db"}},
        "type": "Opaque",
        "data": {"raw": Sensitive("AAH/"), "password": Sensitive("Y2FuYXJ5LTk=")},
    }
    assert "canary" not in text
    assert result.warnings == ()


MOVES: dict[str, tuple[Scope, str, str, bool]] = {
    "strict: another name": (Scope.STRICT, "name: db", "name: dc", False),
    "strict: another namespace": (Scope.STRICT, "namespace: shop", "namespace: prod", False),
    "namespace-wide: another name": (Scope.NAMESPACE, "name: db", "name: dc", True),
    "namespace-wide: another namespace": (Scope.NAMESPACE, "namespace: shop", "namespace: prod", False),
    "cluster-wide: another name and namespace": (Scope.CLUSTER, "namespace: shop", "namespace: prod", True),
}


@pytest.mark.parametrize("case", MOVES.values(), ids=MOVES.keys())
def test_a_value_travels_as_far_as_its_scope(
    folder: Path, keys: tuple[SealingKey, ...], case: tuple[Scope, str, str, bool]
) -> None:
    scope, before, after, opens = case

    result = compiled(sealed(folder, scope).replace(before, after), Keyring((), keys))

    assert bool(result.objects) is opens
    assert bool(result.problems) is not opens


@pytest.mark.parametrize("scope", ["namespace-wide", "cluster-wide"])
def test_a_scope_is_not_widened_by_an_annotation(
    folder: Path, keys: tuple[SealingKey, ...], scope: str
) -> None:
    annotation = f'metadata:\n  annotations: {{sealedsecrets.bitnami.com/{scope}: "true"}}\n'
    text = sealed(folder).replace("metadata:\n", annotation, 1)

    result = compiled(text, Keyring((), keys))

    assert not result.objects
    assert (
        "is not opened by any of 1 keys: sealed for another cluster, name or namespace" in result.problems[0]
    )


def test_an_error_is_told_with_file_and_line_and_no_value(folder: Path, keys: tuple[SealingKey, ...]) -> None:
    text = sealed(folder)
    line = text[: text.index("    password:")].count("\n") + 1
    value: str = yaml.safe_load(text)["spec"]["encryptedData"]["password"]
    flipped = value[:-4] + ("A" if value[-4] != "A" else "B") + value[-3:]

    result = compiled(text.replace(value, flipped), Keyring((), keys))

    assert result.problems == (
        f"db.yaml:{line}: spec.encryptedData.password is not opened by any of 1 keys:"
        " sealed for another cluster, name or namespace, or changed",
    )


def test_without_a_key_the_file_is_held_back_and_a_check_is_content(folder: Path) -> None:
    text = sealed(folder)

    result = compiled(text, Keyring())

    assert "there is no key in sealed-secrets/ of the data directory" in result.problems[0]
    (document,) = Keyring().open_or_placeholders(parse(text.encode()))
    assert document.value["data"]["password"] == Sensitive("AAAA")


UNSUPPORTED = {
    "templates of values": (
        "  template:\n",
        "  template:\n    data: {a: x}\n",
        "spec.template.data: templates",
    ),
    "the old blob": ("spec:\n", "spec:\n  data: AAAA\n", "spec.data: the old form of one blob"),
    "a number": (
        "  encryptedData:\n",
        "  encryptedData:\n    port: 1\n",
        "spec.encryptedData.port: found no text",
    ),
    "no base64": (
        "  encryptedData:\n",
        "  encryptedData:\n    a: '!'\n",
        "spec.encryptedData.a is not base64",
    ),
    "nothing": (
        "  encryptedData:\n",
        "  encryptedData:\n    a: ''\n",
        "spec.encryptedData.a is not opened by any",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_what_cannot_be_read_is_said(
    folder: Path, keys: tuple[SealingKey, ...], case: tuple[str, str, str]
) -> None:
    before, after, message = case
    text = sealed(folder)
    assert before in text

    (problem,) = compiled(text.replace(before, after, 1), Keyring((), keys)).problems

    assert problem.startswith("db.yaml:")
    assert message in problem


def test_a_pair_is_made_once_a_month_and_old_ones_still_open(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sealed_keys, "KEY_BITS", 2048)  # The time, not the strength, is what is tested.
    place = tmp_path / "sealed-secrets"

    made = [sealed_keys.ensure_fresh(place, NOW + timedelta(days=day)) for day in (0, 1, 29, 31, 32)]

    assert made == [True, False, False, True, False]
    newest, oldest = read_keys(place)
    assert newest.certificate.not_valid_before_utc == NOW + timedelta(days=31)
    certificate = read_certificate((place / "tls.crt").read_bytes())
    assert certificate.public_numbers() == newest.private.public_key().public_numbers()
    text = encrypt_value(b"x", b"a/b", oldest.private.public_key(), os.urandom)
    assert decrypt_value(text, b"a/b", [newest.private, oldest.private]) == b"x"
    assert {file.stat().st_mode & 0o777 for file in place.glob("*.yaml")} == {0o600}


def test_a_key_that_is_brought_along_is_found_without_a_restart(folder: Path, tmp_path: Path) -> None:
    """A list of Secrets, as `kubectl get secret -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml` prints it."""
    files = KeyFiles(tmp_path, None)
    assert compiled(sealed(folder), files.keyring()).problems
    (secret,) = (yaml.safe_load(file.read_text()) for file in (folder / "sealed-secrets").glob("*.yaml"))

    (tmp_path / "sealed-secrets").mkdir()
    listed = {"apiVersion": "v1", "kind": "SecretList", "items": [secret]}
    (tmp_path / "sealed-secrets/mine.yaml").write_text(yaml.safe_dump(listed))

    assert compiled(sealed(folder), files.keyring()).problems == ()


def test_a_compromised_key_opens_and_never_seals(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sealed_keys, "KEY_BITS", 2048)
    place = tmp_path / "sealed-secrets"
    sealed_keys.ensure_fresh(place, NOW)
    (file,) = place.glob("*.yaml")
    file.write_text(file.read_text().replace("sealed-secrets-key: active", "sealed-secrets-key: compromised"))

    assert sealed_keys.ensure_fresh(place, NOW + timedelta(hours=1))

    assert [key.seals for key in read_keys(place)] == [True, False]


@pytest.mark.parametrize(
    "text", ["a: b", "kind: Secret", "kind: Secret\nmetadata: {}\ndata: {tls.key: AAAA}", "["]
)
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.yaml").write_text(text)

    if text == "a: b":
        assert read_keys(tmp_path) == ()
    else:
        with pytest.raises(BadRequest, match=r"k\.yaml"):
            read_keys(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}",
            "line 1: found v1 ConfigMap, wanted a Secret",
        ),
        (
            "\napiVersion: v1\nkind: Secret\nmetadata: {name: a}",
            "line 2: there is neither data nor stringData",
        ),
        ("apiVersion: v1\nkind: Secret\nstringData: {a: b}", "line 1: metadata.name: a name is wanted"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: '!'}", "line 1: data.a is not base64"),
    ],
)
def test_what_cannot_be_sealed_is_said(folder: Path, text: str, message: str) -> None:
    with pytest.raises(GitwardError, match=message):
        sealed(folder, text=text)


def test_the_label_is_that_of_the_controller() -> None:
    assert label_of(Scope.STRICT, "shop", "db") == b"shop/db"
    assert label_of(Scope.NAMESPACE, "shop", "db") == b"shop"
    assert label_of(Scope.CLUSTER, "shop", "db") == b""


def test_a_key_of_another_size_does_not_hide_the_right_one(keys: tuple[SealingKey, ...]) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = encrypt_value(b"x", b"", keys[0].private.public_key(), os.urandom)

    assert decrypt_value(text, b"", [other, keys[0].private]) == b"x"
