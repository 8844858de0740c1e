"""Trees that a hostile container has made: measured, owned and removed to their last level, and nothing beside them."""

import os
from pathlib import Path

import pytest

from agent.volumes import trees
from agent.volumes.disk import used
from agent.volumes.persistent import own

LEVELS = 3_000  # Deeper than Python's stack, a path's 4,096 bytes and the descriptors of a process.
FLAGS = os.O_RDONLY | os.O_DIRECTORY


def a_deep_tree(root: Path) -> None:
    """A file of 1 MiB at its end."""
    root.mkdir()
    current = os.open(root, FLAGS)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=current)
        current, above = os.open("d", FLAGS, dir_fd=current), current
        os.close(above)
    with os.fdopen(os.open("end", os.O_WRONLY | os.O_CREAT, dir_fd=current), "wb") as file:
        file.write(b"x" * (1 << 20))
    os.close(current)


def test_a_tree_deeper_than_any_path_is_measured_owned_and_removed(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    a_deep_tree(deep)

    assert used(deep).size_bytes >= 1 << 20
    own(deep, os.getgid(), only_on_mismatch=False)
    trees.remove(deep)

    assert list(tmp_path.iterdir()) == []


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "link").symlink_to(outside)
    (root / "a" / "again").symlink_to("..")
    (root / "link").symlink_to(outside)

    trees.remove(root)
    trees.remove(root)  # Absent is fine.

    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "file").read_text() == "kept"


def test_a_root_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    (tmp_path / "root").symlink_to(outside)

    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        trees.remove(tmp_path / "root")

    assert (outside / "file").read_text() == "kept"


def test_a_directory_that_is_moved_away_under_a_walk_ends_it(tmp_path: Path) -> None:
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    walked = trees.walk(tmp_path / "root")
    next(walked)
    next(walked)
    next(walked)

    (tmp_path / "root" / "a" / "b").rename(tmp_path / "elsewhere" / "b")

    with pytest.raises(OSError, match="Stale file handle"):
        next(walked)
