"""`gitward secret`: a file goes out and comes back; errors say where."""

from pathlib import Path

import pytest

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
    "another format": (
        "a.json",
        "{}",
        "a.json: the format is told by the ending: found '.json', wanted .yaml",
    ),
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

    assert ended.err == "age.key:2: not an age key; wanted AGE-SECRET-KEY-1…\n"
