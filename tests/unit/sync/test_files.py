"""Which files are read, which are left out without a word, and which are errors."""

from gitops.sync.files import roots_of, select
from gitops.sync.ignore import Ignore
from gitops.sync.source import Entry


def entry(path: str, mode: str = "100644", size: int = 10) -> Entry:
    return Entry(path, mode, path, size)


def test_yaml_and_json_are_read_and_dot_files_are_not() -> None:
    entries = [
        entry(path)
        for path in ("b.yml", "a.yaml", "c.json", "d.txt", ".x.yaml", ".github/a.yaml", "x/.y/b.yaml")
    ]

    selection = select(entries, "", Ignore())

    assert [file.path for file in selection.files] == ["a.yaml", "b.yml", "c.json"]
    assert selection.problems == ()


def test_an_app_below_a_dot_folder_is_read_if_it_is_asked_for() -> None:
    selection = select([entry(".deploy/a.yaml"), entry(".deploy/.b/c.yaml")], ".deploy", Ignore())

    assert [file.path for file in selection.files] == [".deploy/a.yaml"]


def test_only_links_that_would_be_read_are_errors() -> None:
    entries = [
        entry("a.yaml", "120000"),
        entry("b.sh", "120000"),
        entry("folder", "120000"),
        entry("x", "160000"),
    ]

    selection = select(entries, "", Ignore())

    assert selection.problems == (
        "a.yaml:1: a symbolic link: links are never followed; put the file itself here",
    )
    assert selection.warnings == ("x:1: a submodule: what is in it is not read",)


def test_an_app_that_is_a_link_is_an_error() -> None:
    assert select([entry("apps", "120000")], "apps", Ignore()).problems != ()


def test_folders_with_a_kustomization_or_a_chart_are_rendered_and_not_read() -> None:
    entries = [
        entry("x/kustomization.yaml"),
        entry("x/b.yaml"),
        entry("y/Chart.yaml"),
        entry("a.yaml"),
        entry(".z/Chart.yaml"),
    ]

    roots = roots_of(entries, "", Ignore())

    assert [root.folder for root in roots] == ["x", "y"]
    assert [file.path for file in select(entries, "", Ignore(), frozenset({"x", "y"})).files] == ["a.yaml"]
    assert roots_of(entries, "", Ignore("x/\ny/")) == ()


def test_a_link_is_no_kustomization() -> None:
    entries = [entry("x/kustomization.yaml", "120000")]

    assert roots_of(entries, "", Ignore()) == ()
    assert select(entries, "", Ignore()).problems == (
        "x/kustomization.yaml:1: a symbolic link: links are never followed; put the file itself here",
    )


def test_a_huge_file_is_an_error_unless_it_is_not_read() -> None:
    entries = [entry("a.yaml", size=20 << 20), entry("b.bin", size=20 << 20)]

    assert select(entries, "", Ignore()).problems == ("a.yaml:1: 20.0 MB, at most 12 MB are read",)
