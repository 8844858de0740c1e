"""Which app a file belongs to; and when a source that cannot be reached is tried again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gitops.kinds.errors import BadRequest
from gitops.sync.apps import Apps, wrong_names
from gitops.sync.timer import next_look

CHOSEN: Any = [
    {"path": "apps/*"},
    {"name": "inner", "path": "apps/web/deep"},
    {"name": "one", "path": "one.yaml"},
]
FILES = {
    "apps/web/a.yaml": "web apps/web",
    "apps/web/deep/b.yaml": "inner apps/web/deep",
    "apps/web/deep/er/c.yaml": "inner apps/web/deep",
    "apps/loose.yaml": "",
    "apps/.github/x.yaml": "",
    "elsewhere/a.yaml": "",
    "one.yaml": "one one.yaml",
    "one.yaml/x": "one one.yaml",
    "a.yaml": "",
}


@pytest.mark.parametrize(("file", "app"), FILES.items())
def test_the_deepest_app_that_fits_takes_a_file(file: str, app: str) -> None:
    found = Apps("shop", "", CHOSEN).of(file)

    assert (f"{found.name} {found.path}" if found else "") == app


def test_paths_of_apps_are_below_the_sources_path() -> None:
    apps = Apps("shop", "/clusters/a/", CHOSEN)

    assert apps.of("apps/web/a.yaml") is None
    found = apps.of("clusters/a/apps/web/a.yaml")
    assert found is not None
    assert found.path == "clusters/a/apps/web"


def test_a_source_without_apps_is_one_that_has_all_files_below_its_path() -> None:
    apps = Apps("shop", "sub", ())

    assert [apps.of(path) is not None for path in ("sub/a.yaml", "sub/deep/b.yaml", "c.yaml")] == [
        True,
        True,
        False,
    ]
    assert apps.is_single


def test_a_pattern_may_have_several_parts_and_classes() -> None:
    apps = Apps("shop", "", [{"path": "teams/*/app-[0-9]?"}])

    found = apps.of("teams/red/app-12/x/y.yaml")
    assert found is not None
    assert (found.name, found.path) == ("app-12", "teams/red/app-12")
    assert apps.of("teams/red/app-x2/y.yaml") is None


def test_a_dot_folder_is_an_app_only_where_the_pattern_says_so() -> None:
    found = Apps("shop", "", [{"path": ".deploy/*"}]).of(".deploy/web/a.yaml")

    assert found is not None
    assert found.name == "web"


@pytest.mark.parametrize(
    "chosen",
    [
        [{"path": "a/web"}, {"path": "b/web"}],
        [{"path": "Web"}],
        [{"path": "../x"}],
        [{"path": "a/../../x"}],
    ],
)
def test_apps_that_cannot_be_are_refused(chosen: Any) -> None:
    with pytest.raises(BadRequest):
        Apps("shop", "", chosen)


def test_only_the_later_of_two_apps_of_one_name_is_wrong() -> None:
    apps = Apps("shop", "", [{"path": "*/*"}])
    found = [app for path in ("b/web/x", "a/web/x", "a/api/x") if (app := apps.of(path)) is not None]

    assert wrong_names(found) == {"b/web": "b/web:1: a/web is the app 'web' already: name one of them"}


def test_a_remote_that_fails_is_tried_less_and_less_often_up_to_ten_minutes() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)

    def waits(interval_seconds: float, *failures: int) -> list[float]:
        return [(next_look(now, interval_seconds, count) - now).total_seconds() for count in failures]

    assert waits(30, 0, 1, 2, 3, 4, 5, 500) == [30, 60, 120, 240, 480, 600, 600]
    assert waits(3600, 0, 1, 9) == [3600, 3600, 3600]
