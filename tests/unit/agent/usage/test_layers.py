"""What a container wrote, read from folders laid out as Docker's."""

from pathlib import Path

from agent.usage.layers import container_use
from agent.volumes.disk import DiskUse

KIB = 1 << 10


def test_logs_and_what_was_written_over_the_image(tmp_path: Path) -> None:
    mounts, written, logs = (
        tmp_path / "image/overlay2/layerdb/mounts/abc",
        tmp_path / "overlay2/f00d/diff",
        tmp_path / "containers/abc",
    )
    for folder in (mounts, written, logs):
        folder.mkdir(parents=True)
    (mounts / "mount-id").write_text("f00d\n")
    empty = container_use(tmp_path, "abc")
    (written / "file").write_bytes(b"x" * (256 * KIB))
    (logs / "abc-json.log").write_bytes(b"x" * (64 * KIB))

    assert 320 * KIB <= container_use(tmp_path, "abc").size_bytes - empty.size_bytes < 352 * KIB


def test_what_cannot_be_seen_is_nothing_and_no_path_is_left(tmp_path: Path) -> None:
    mounts = tmp_path / "image/overlay2/layerdb/mounts/abc"
    mounts.mkdir(parents=True)
    (mounts / "mount-id").write_text("../..")
    (tmp_path / "diff").mkdir()
    (tmp_path / "diff/file").write_bytes(b"x" * KIB)

    assert container_use(tmp_path, "abc") == DiskUse()
    assert container_use(tmp_path, "../diff") == DiskUse()
    assert container_use(tmp_path / "nowhere", "abc") == DiskUse()
