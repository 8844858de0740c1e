"""`gitward check` says of files what the server would say of the commit."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops.kinds.errors import NotFound
from gitops.sync.check import Report, check
from gitops.sync.secrets.keys import keygen, read_identities
from gitops.sync.secrets.writer import encrypt_file

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: canary-3}\n"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_good_folder_has_nothing_to_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.yaml").write_text(CONFIG_MAP)
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "b.yaml").write_text("{{")
    (tmp_path / ".gitlab-ci.yml").write_text("{{")
    monkeypatch.chdir(tmp_path)

    assert check([tmp_path]) == Report((), ())
    assert check([Path()]) == Report((), ())


def test_errors_and_warnings_name_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("apps").mkdir()
    Path("apps/a.yaml").write_text(CONFIG_MAP + "dat: {}\n")
    Path("apps/s.yaml").write_text(SECRET)

    report = check([Path("apps")])

    assert report.errors == ('apps/a.yaml:4: ConfigMap default/a: unknown field "dat", did you mean "data"?',)
    assert report.warnings == (
        "apps/s.yaml:1: Secret default/s: a secret in clear text; see `gitward secret encrypt`",
    )
    assert check([Path("apps")], strict=True) == Report((*report.errors, *report.warnings), ())


def test_a_file_and_a_folder_are_one_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("apps").mkdir()
    Path("apps/a.yaml").write_text(CONFIG_MAP)
    Path("b.yaml").write_text(CONFIG_MAP)

    report = check([Path("apps"), Path("b.yaml"), Path("apps/a.yaml")])

    assert report.errors == (
        "b.yaml:1: ConfigMap default/a is also stated in apps/a.yaml:1: which one counts?",
    )


def test_links_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.yaml").symlink_to("/etc/passwd")
    Path("away").symlink_to("/etc")

    (error,) = check([Path()]).errors

    assert error == "l.yaml:1: a symbolic link: links are never followed; put the file itself here"


def test_an_encrypted_file_is_checked_without_a_key_and_opened_with_one(tmp_path: Path) -> None:
    identity, recipient = keygen()
    sealed = encrypt_file(SECRET, [recipient], NOW)
    (tmp_path / "good.yaml").write_text(sealed)
    (tmp_path / "moved.yaml").write_text(sealed.replace("name: s", "name: t"))

    assert check([tmp_path]) == Report((), ())
    report = check([tmp_path], identities=read_identities(identity))
    assert [error.partition("moved.yaml")[2] for error in report.errors] == [
        ":1: the file was changed after it was encrypted: its MAC does not match"
    ]


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No such file"):
        check([tmp_path / "none"])


def test_the_apps_of_a_repository_are_checked_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for app in ("a", "b"):
        Path("apps", app).mkdir(parents=True)
        Path("apps", app, "x.yaml").write_text(CONFIG_MAP)
    Path("loose.yaml").write_text("{{")

    one_app = check([Path("apps")])
    apps = check([Path()], apps=["apps/*", "base"])

    assert one_app.errors == (
        "apps/b/x.yaml:1: ConfigMap default/a is also stated in apps/a/x.yaml:1: which one counts?",
    )
    assert apps.errors == ("base:1: there is no such app",)
    assert apps.warnings == (
        "apps/b/x.yaml:1: ConfigMap default/a: apps/a/x.yaml:1 of another app states it too: "
        "whoever is declared first keeps it",
    )
    assert check([tmp_path], apps=["apps/*"]).warnings[0].startswith(f"{tmp_path}/apps/b/x.yaml:1: ")


def test_a_source_in_git_is_checked_as_the_server_would(tmp_path: Path) -> None:
    file = tmp_path / "source.yaml"
    file.write_text(
        "apiVersion: gitward.io/v1alpha1\nkind: GitSource\nmetadata: {name: x}\n"
        "spec:\n  url: https://git.example.com/x.git\n  appz: []\n---\n"
        "apiVersion: gitward.io/v1alpha1\nkind: GitSource\nmetadata: {name: w}\nspec: {url: 'http://x/y'}\n"
    )

    errors = check([file]).errors

    assert errors == (f'{file}:6: GitSource.gitward.io x: unknown field "spec.appz", did you mean "apps"?',)
    file.write_text(file.read_text().replace("  appz: []\n", ""))
    assert check([file]).errors == (
        f"{file}:7: GitSource.gitward.io w: spec: http://x/y: a source that an object states is reached by https:// "
        "or ssh; http:// and file:// are for the operator's flags and gitward.yaml",
    )
