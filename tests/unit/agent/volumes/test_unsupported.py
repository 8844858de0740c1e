"""What is said of a volume that cannot be mounted."""

from typing import Any, cast

import pytest

from agent.volumes.unsupported import unsupported


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        (
            {"name": "tools", "image": {"reference": "tools:1"}},
            "a source of kind image cannot be mounted on this node: let an init container of that image copy what it "
            "has into an emptyDir",
        ),
        (
            {"csi": {"driver": "smb.csi.k8s.io"}, "name": "share"},
            "a source of kind csi cannot be mounted on this node: mount the share on the node and name it by a "
            "PersistentVolume of kind local, or by hostPath",
        ),
        (
            {"name": "disk", "iscsi": {}},
            "a source of kind iscsi cannot be mounted on this node: use a PersistentVolumeClaim, nfs, hostPath or "
            "emptyDir",
        ),
        (
            {"name": "none"},
            "a source of kind nothing cannot be mounted on this node: use a PersistentVolumeClaim, nfs, hostPath or "
            "emptyDir",
        ),
    ],
)
def test_it_says_its_kind_and_what_does_instead(volume: dict[str, Any], why: str) -> None:
    assert str(unsupported(cast(Any, volume))) == why
