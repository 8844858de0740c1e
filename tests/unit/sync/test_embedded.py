"""Encrypted files inside a Secret, as kustomize's secretGenerator leaves them: opened, in the format of their key."""

from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from gitops.sync.compile import Compiled, File, compile_files
from gitops.sync.render.parse import Parsed, field_lines, of_json, parse, to_json
from gitops.sync.secrets.keys import read_identities
from gitops.sync.secrets.opening import Keyring

GOLDEN = Path(__file__).parent / "golden" / "sops"
KEYS = read_identities((GOLDEN / "one.key").read_text())


def secret(**files: str) -> bytes:
    """A Secret of files among the golden ones; `__` is a dot in a key."""
    lines = [
        f"  {key.replace('__', '.')}: {b64encode(_content(name)).decode()}\n" for key, name in files.items()
    ]
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata:\n{''.join(lines)}".encode()


def _content(name: str) -> bytes:
    file = GOLDEN / name
    return file.read_bytes() if file.exists() else name.encode()


def travelled(content: bytes) -> Parsed:
    return of_json(to_json(parse(content)))


def data_of(content: bytes) -> dict[str, bytes]:
    (document,) = Keyring(KEYS).open(travelled(content))
    return {
        key: b64decode(getattr(value, "reveal", lambda v=value: v)())
        for key, value in document.value["data"].items()
    }


CASES = {
    "binary": ("key", "binary.enc.bin", "binary.clear.bin"),
    "dotenv": ("app__env", "dotenv.enc.env", "dotenv.clear.env"),
    "JSON": ("app__json", "json.enc.json", "json.clear.json"),
    "in the clear": ("key", "not encrypted", "not encrypted"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_encrypted_entry_is_opened_as_sops_would(case: tuple[str, str, str]) -> None:
    key, name, clear = case

    assert data_of(secret(**{key: name})) == {key.replace("__", "."): _content(clear)}


def test_a_yaml_entry_says_the_same_in_the_clear() -> None:
    (content,) = data_of(secret(app__yaml="encrypted_regex.enc.yaml")).values()

    assert b"password: correct horse\n" in content
    assert b"sops" not in content


def compiled(content: bytes, keyring: Keyring) -> Compiled:
    def lines(file: str, index: int) -> dict[str, int]:
        return field_lines(content, index)

    return compile_files([File("a.yaml", travelled(content))], keyring.open, lines)


def test_what_was_opened_is_no_secret_in_clear_text() -> None:
    assert compiled(secret(key="binary.enc.bin"), Keyring(KEYS)).warnings == ()
    assert compiled(secret(key="binary.enc.bin", other="clear"), Keyring(KEYS)).warnings != ()


def test_an_entry_that_does_not_open_holds_the_file_back_with_its_line() -> None:
    content = secret(first="clear", second="binary.enc.bin")

    (problem,) = compiled(content, Keyring()).problems

    assert problem.startswith("a.yaml:6: data.second: cannot decrypt: there is no age key here; ")
    assert problem.endswith(
        "; name the file of one by --age-key-file, or put it into age.key of the data directory"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"mac": "ENC[', "a.yaml:5: data.key, line 1 within: "),
        ("sops_mac=ENC[\nX", "a.yaml:5: data.key: line 2: found 'X', wanted KEY=VALUE"),
        ("mac: ENC[x", "a.yaml:5: data.key: the file is not encrypted"),
        ("[sops]\nmac=ENC[x", "a.yaml:5: data.key: SOPS' INI format is not supported"),
        ("a: 1\nsops: {mac: ENC[, encrypted_regex: '('}", "a.yaml:5: data.key, line 2 within: "),
        ("a: 1\nsops:\n  mac: ENC[\n  encrypted_regex: '('", "is no regular expression"),
    ],
)
def test_what_only_looks_encrypted_is_told_with_its_line(text: str, message: str) -> None:
    (problem,) = compiled(secret(key=text), Keyring(KEYS)).problems

    assert message in problem


def test_a_check_without_keys_is_content() -> None:
    (document,) = Keyring().open_or_placeholders(travelled(secret(key="binary.enc.bin")))

    assert document.value["data"]["key"].reveal() == b"AAAA"
