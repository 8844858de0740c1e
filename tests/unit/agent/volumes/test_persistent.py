"""PersistentVolumes on a node: found by their claim, made, owned, and removed only when they are being deleted."""

from pathlib import Path
from typing import Any, cast

import pytest

from agent.volumes.persistent import Persistent, nfs_mount, own
from gitops.kinds.core.storage import PersistentVolume, default_volume
from gitops.kinds.errors import Invalid, NotFound
from tests.agent_world import a_pod

POD = a_pod(containers=[{"name": "app", "image": "shop:1"}])


def a_volume(
    handle: str = "pvc-1", phase: str = "Bound", policy: str = "Delete", **meta: Any
) -> PersistentVolume:
    return default_volume(
        cast(
            PersistentVolume,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": "pvc-1", **meta},
                "spec": {
                    "csi": {"driver": "gitward.io/local-path", "volumeHandle": handle},
                    "claimRef": {"namespace": "shop", "name": "data", "uid": "1"},
                    "persistentVolumeReclaimPolicy": policy,
                },
                "status": {"phase": phase},
            },
        )
    )


def test_a_volume_is_found_by_the_claim_that_it_is_bound_to(tmp_path: Path) -> None:
    persistent = Persistent(tmp_path)
    persistent.volumes["pvc-1"] = a_volume()

    assert persistent.of(POD, "data")["metadata"]["name"] == "pvc-1"
    for absent in (a_volume(phase="Released"), a_volume(deletionTimestamp="2026-01-02T03:04:05Z")):
        persistent.volumes["pvc-1"] = absent
        with pytest.raises(NotFound, match='persistentvolumeclaim "data" is not bound'):
            persistent.of(POD, "data")


def test_its_directory_is_made_once_for_anybody_to_write(tmp_path: Path) -> None:
    persistent = Persistent(tmp_path / "volumes")

    path = persistent.ensure(a_volume())
    assert path == tmp_path / "volumes" / "pvc-1"
    assert path.stat().st_mode & 0o7777 == 0o777
    (path / "file").write_text("kept")
    persistent.ensure(a_volume())
    assert (path / "file").read_text() == "kept"


@pytest.mark.parametrize("handle", ["", "..", "../x", "a/b", "/etc", ".hidden", "a..b", "A", "x\0"])
def test_a_handle_never_leads_out(tmp_path: Path, handle: str) -> None:
    with pytest.raises(Invalid, match="volumeHandle"):
        Persistent(tmp_path).ensure(a_volume(handle))


def test_data_goes_only_with_a_volume_that_is_being_deleted(tmp_path: Path) -> None:
    persistent, going = Persistent(tmp_path), a_volume(deletionTimestamp="2026-01-02T03:04:05Z")
    path = persistent.ensure(a_volume())
    assert path is not None
    (path / "file").write_text("data")

    for kept in (a_volume(), a_volume(policy="Retain", deletionTimestamp="2026-01-02T03:04:05Z")):
        with pytest.raises(AssertionError):
            persistent.remove_data(kept)
        assert (path / "file").exists()
    persistent.remove_data(going)
    persistent.remove_data(going)

    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    (tmp_path / ".removed-pvc-1" / "deep").mkdir(parents=True)

    Persistent(tmp_path).remove_data(a_volume(deletionTimestamp="2026-01-02T03:04:05Z"))

    assert list(tmp_path.iterdir()) == []


def test_fs_group_gets_everything_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    volume = tmp_path / "volume"
    (volume / "folder").mkdir(parents=True)
    (volume / "folder" / "file").write_text("x")
    (volume / "folder" / "file").chmod(0o400)
    (volume / "link").symlink_to(outside)

    own(volume, 2000, only_on_mismatch=False)

    assert (volume.stat().st_gid, volume.stat().st_mode & 0o7777) == (2000, 0o2775)
    assert (volume / "folder").stat().st_gid == 2000
    assert (volume / "folder/file").stat().st_mode & 0o7777 == 0o660
    assert outside.stat().st_gid != 2000
    assert (volume / "link").lstat().st_gid == 2000


def test_on_root_mismatch_leaves_a_volume_alone_that_fits(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    own(volume, 2000, only_on_mismatch=True)
    (volume / "file").write_text("x")
    (volume / "file").chmod(0o400)

    own(volume, 2000, only_on_mismatch=True)
    assert (volume / "file").stat().st_mode & 0o7777 == 0o400
    own(volume, 2000, only_on_mismatch=False)
    assert (volume / "file").stat().st_mode & 0o7777 == 0o660


@pytest.mark.parametrize(
    ("server", "path", "options"),
    [
        ("a,b", "/x", ()),
        ("a b", "/x", ()),
        ("host", "x", ()),
        ("host", "/x", ("ro,addr=1.2.3.4",)),
        ("host", "/x", ("a b",)),
    ],
)
def test_a_share_takes_no_options_by_the_back_door(server: str, path: str, options: tuple[str, ...]) -> None:
    with pytest.raises(Invalid):
        nfs_mount({"server": server, "path": path}, "/data", read_only=False, options=options)
