"""A subPath never leaves its volume, whatever a container puts into its way, and whenever."""

import ctypes
import os
import stat
import threading
from pathlib import Path
from typing import Final

import pytest

from agent.volumes.beneath import open_beneath
from gitops.kinds.errors import Invalid

SWAPS: Final = 100_000
AT_FDCWD: Final = -100
RENAME_EXCHANGE: Final = 2


def place_of(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    finally:
        os.close(descriptor)


def test_missing_directories_are_made_with_the_volumes_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o2777)

    assert place_of(open_beneath(tmp_path, "a/b")) == str(tmp_path / "a/b")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o2777
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o2777


def test_a_link_inside_the_volume_is_followed(tmp_path: Path) -> None:
    (tmp_path / "..stamp").mkdir()
    (tmp_path / "..stamp/colour").write_text("red")
    (tmp_path / "..data").symlink_to("..stamp")
    (tmp_path / "colour").symlink_to("..data/colour")

    assert place_of(open_beneath(tmp_path, "colour")) == str(tmp_path / "..stamp/colour")


@pytest.mark.parametrize("target", ["/etc", "../secret", "/proc/self/root", "inner/../../secret"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    volume = tmp_path / "volume"
    (volume / "inner").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (volume / "link").symlink_to(target)

    for path in ("link", "link/deeper"):
        with pytest.raises(Invalid):
            open_beneath(volume, path)
    assert not (tmp_path / "secret/deeper").exists()


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "a\0b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Invalid):
        open_beneath(tmp_path, path)


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")

    with pytest.raises(Invalid):
        open_beneath(tmp_path, "link")


def test_a_path_that_is_swapped_for_a_link_all_the_time_never_shows_the_host(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (canary / "inner").mkdir(parents=True)
    volume = tmp_path / "volume"
    (volume / "path/inner").mkdir(parents=True)
    (volume / "link").symlink_to(canary)
    forbidden = {(canary / "inner").stat().st_ino, canary.stat().st_ino}
    libc, done = ctypes.CDLL(None, use_errno=True), threading.Event()

    def swap() -> None:
        one, other = bytes(volume / "path"), bytes(volume / "link")
        for _ in range(SWAPS):
            libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)
        done.set()

    attacker = threading.Thread(target=swap)
    attacker.start()
    opened = refused = 0
    while not done.is_set():
        for path in ("path/inner", "path", "path/new"):
            try:
                descriptor = open_beneath(volume, path)
            except Invalid:
                refused += 1
            else:
                opened += 1
                assert os.fstat(descriptor).st_ino not in forbidden
                assert place_of(descriptor).startswith(str(volume))
    attacker.join()

    assert opened > 0
    assert refused > 0
    assert sorted(path.name for path in canary.iterdir()) == ["inner"]
