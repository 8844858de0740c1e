"""`gitward check`: findings on stdout, the exit code says whether they matter."""

from pathlib import Path

import pytest

from tests.unit.cli.running import Shell

RIGHT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop
data:
  colour: blue
"""
UNKNOWN_FIELD = (
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  container: []\n  containers: []\n"
)
IN_THE_CLEAR = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: hunter2\n"


def test_a_right_folder_has_nothing_to_say(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/config.yaml").write_text(RIGHT)
    (tmp_path / "shop/notes.yaml").write_text("- no manifest\n")

    assert shell.run("check", "shop") == (0, "no errors, no warnings\n", "")


def test_an_error_has_file_line_and_a_suggestion(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(UNKNOWN_FIELD)

    ended = shell.run("check", "web.yaml")

    assert ended.code == 1
    assert (
        ended.out
        == 'web.yaml:6: Pod default/web: unknown field "spec.container", did you mean "containers"?\n'
    )
    assert ended.err == "1 error, no warnings\n"


def test_a_secret_in_the_clear_is_a_warning_which_strict_makes_an_error(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "db.yaml").write_text(IN_THE_CLEAR)

    found = shell.run("check", "db.yaml")
    strict = shell.run("check", "--strict", "db.yaml")

    line = "db.yaml:1: warning: Secret default/db: a secret in clear text; see `gitward secret encrypt`\n"
    assert found == (0, f"{line}no errors, 1 warning\n", "")
    assert strict == (1, line, "no errors, 1 warning\n")
    assert "hunter2" not in found.out


def test_no_finding_shows_a_secret_or_steers_the_terminal(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "db.yaml").write_text(IN_THE_CLEAR.replace("hunter2", '[hunter2, "\\e[2J"]'))
    (tmp_path / "web.yaml").write_text(UNKNOWN_FIELD.replace("container:", '"con\\etainer":'))

    ended = shell.run("check", ".")

    assert ended.code == 1
    assert "hunter2" not in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("name", ["gone.yaml", "gone"])
def test_a_path_that_is_not_there_is_a_failure(shell: Shell, name: str) -> None:
    assert shell.run("check", name) == (1, "", f"{name}: No such file or directory\n")
