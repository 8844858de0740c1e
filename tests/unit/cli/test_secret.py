"""`gitward secret`: a file goes out and comes back; errors say where."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops.sync.secrets.sealed_keys import ensure_fresh
from tests.unit.cli.running import Shell

CLEAR = """\
apiVersion: v1
kind: Secret
metadata:
  name: db
stringData:
  password: hunter2
  empty: ""
"""


@pytest.fixture
def recipient(shell: Shell, tmp_path: Path) -> str:
    made = shell.run("secret", "keygen").out
    (tmp_path / "age.key").write_text(made)
    return made.splitlines()[0].removeprefix("# public key: ")


def test_a_key_is_printed_as_age_prints_it(shell: Shell) -> None:
    comment, identity = shell.run("secret", "keygen").out.splitlines()

    assert comment.startswith("# public key: age1")
    assert identity.startswith("AGE-SECRET-KEY-1")


def test_an_encrypted_file_hides_the_values_and_comes_back(
    shell: Shell, tmp_path: Path, recipient: str
) -> None:
    (tmp_path / "db.yaml").write_text(CLEAR)

    sealed = shell.run("secret", "encrypt", "--age", recipient, "db.yaml")
    (tmp_path / "sealed.yaml").write_text(sealed.out)
    opened = shell.run("secret", "decrypt", "sealed.yaml", "--age-key-file", "age.key")

    assert sealed.code == 0
    assert "hunter2" not in sealed.out
    assert sealed.out.startswith(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: ENC["
    )
    assert opened == (0, CLEAR, "")


def test_without_a_key_that_fits_the_recipients_are_named(
    shell: Shell, tmp_path: Path, recipient: str
) -> None:
    (tmp_path / "db.yaml").write_text(CLEAR)
    (tmp_path / "sealed.yaml").write_text(shell.run("secret", "encrypt", "--age", recipient, "db.yaml").out)

    ended = shell.run("secret", "decrypt", "sealed.yaml", "--data-dir", "/nowhere")

    assert ended.code == 1
    assert ended.err.startswith("sealed.yaml:1: cannot decrypt: there is no age key here; ")
    assert recipient in ended.err


WRONG = {
    "no YAML": ("a.yaml", "a:\n  - [\n", "a.yaml:3: "),
    "another kind": (
        "a.yaml",
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
        "a.yaml:2: found v1 Pod, wanted",
    ),
    "a number": ("a.yaml", f"{CLEAR}  port: 80\n", "a.yaml:8: stringData.port is no text: quote it"),
    "another format": ("a.ini", "[a]\nb=c\n", "a.ini:1: SOPS' INI format is not supported"),
    "not there": ("b.yaml", None, "b.yaml: No such file or directory"),
}


@pytest.mark.parametrize(("name", "text", "told"), WRONG.values(), ids=WRONG.keys())
def test_an_error_says_in_which_file_and_line(
    shell: Shell, tmp_path: Path, recipient: str, name: str, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)

    ended = shell.run("secret", "encrypt", "--age", recipient, name)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(told)


def test_a_key_file_that_is_none_says_in_which_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "sealed.yaml").write_text("a: b\n")
    (tmp_path / "age.key").write_text("# mine\nhunter2\n")

    ended = shell.run("secret", "decrypt", "sealed.yaml", "--age-key-file", "age.key")

    assert ended.err == (
        "age.key:2: not an age key; wanted AGE-SECRET-KEY-1…,"
        " or a private ssh key (ed25519 or rsa) without a passphrase\n"
    )


@pytest.fixture
def sealed(shell: Shell, tmp_path: Path, recipient: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An encrypted file, and its key where SOPS looks for it."""
    (tmp_path / "db.yaml").write_text(CLEAR)
    file = tmp_path / "sealed.yaml"
    file.write_text(shell.run("secret", "encrypt", "--age", recipient, "db.yaml").out)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "age.key"))
    return file


def test_an_edited_file_is_encrypted_again_and_keeps_its_mode(
    shell: Shell, sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/hunter2/hunter3/")
    sealed.chmod(0o640)

    ended = shell.run("secret", "edit", "sealed.yaml")

    assert ended == (0, "", "")
    assert sealed.stat().st_mode & 0o777 == 0o640
    assert "hunter" not in sealed.read_text()
    assert shell.run("secret", "decrypt", "sealed.yaml").out == CLEAR.replace("hunter2", "hunter3")


EDITORS = {
    "true": (0, "sealed.yaml: not changed\n"),
    "false": (1, "sealed.yaml: the editor ended with status 1; nothing was changed\n"),
    "no-such-editor": (1, "the editor 'no-such-editor': No such file or directory; see $EDITOR\n"),
    "sed -i s/hunter2/[/": (1, "sealed.yaml:"),
}


@pytest.mark.parametrize("editor", EDITORS)
def test_an_edit_that_comes_to_nothing_leaves_the_file_alone(
    shell: Shell, sealed: Path, monkeypatch: pytest.MonkeyPatch, editor: str
) -> None:
    before = sealed.read_bytes()
    code, said = EDITORS[editor]
    monkeypatch.setenv("EDITOR", editor)

    ended = shell.run("secret", "edit", "sealed.yaml")

    assert ended.code == code
    assert ended.err.startswith(said)
    assert sealed.read_bytes() == before


def test_a_rotated_file_is_for_its_new_recipients(shell: Shell, sealed: Path, tmp_path: Path) -> None:
    made = shell.run("secret", "keygen").out
    (tmp_path / "other.key").write_text(made)
    other = made.splitlines()[0].removeprefix("# public key: ")

    assert shell.run("secret", "rotate", "sealed.yaml") == (0, "", "")
    assert shell.run("secret", "decrypt", "sealed.yaml").out == CLEAR
    assert shell.run("secret", "rotate", "--age", other, "sealed.yaml") == (0, "", "")

    assert shell.run("secret", "decrypt", "sealed.yaml").code == 1
    assert shell.run("secret", "decrypt", "sealed.yaml", "--age-key-file", "other.key").out == CLEAR


def test_a_file_of_any_kind_goes_out_and_comes_back(shell: Shell, tmp_path: Path, sealed: Path) -> None:
    recipient = (tmp_path / "age.key").read_text().splitlines()[0].removeprefix("# public key: ")
    (tmp_path / "app.env").write_text("# note\nTOKEN=hunter2\n")

    (tmp_path / "sealed.env").write_text(shell.run("secret", "encrypt", "--age", recipient, "app.env").out)

    assert "hunter2" not in (tmp_path / "sealed.env").read_text()
    assert shell.run("secret", "decrypt", "sealed.env").out == "# note\nTOKEN=hunter2\n"


def test_a_secret_is_sealed_for_the_cluster_of_a_data_directory(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "db.yaml").write_text(CLEAR)
    ensure_fresh(tmp_path / "data" / "sealed-secrets", datetime(2026, 1, 1, tzinfo=UTC))

    ended = shell.run("secret", "encrypt", "--sealed", "db.yaml", "--data-dir", "data")

    assert ended.code == 0
    assert "kind: SealedSecret" in ended.out
    assert "hunter2" not in ended.out
    missing = shell.run("secret", "encrypt", "--sealed", "db.yaml", "--data-dir", "none")
    assert "tls.crt: No such file or directory; a master makes it soon after its first start" in missing.err
    assert shell.run("secret", "encrypt", "db.yaml").code == 64
