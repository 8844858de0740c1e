"""Volumes that this node cannot mount, each with what does instead. A pod that has one waits, and runs without none."""

from collections.abc import Mapping
from typing import Final, cast

from gitops.kinds.core.volumes import Volume
from gitops.kinds.errors import Invalid

SHARE: Final = "mount the share on the node and name it by a PersistentVolume of kind local, or by hostPath"
INSTEAD: Final[Mapping[str, str]] = {
    "image": "let an init container of that image copy what it has into an emptyDir",
    "gitRepo": "let an init container clone the repository into an emptyDir",
    "ephemeral": "claim a PersistentVolumeClaim of the class local-path, or use an emptyDir",
    "csi": SHARE,
    "flexVolume": SHARE,
    "azureFile": SHARE,
    "cephfs": SHARE,
    "glusterfs": SHARE,
}


def unsupported(volume: Volume) -> Invalid:
    """The error that says so."""
    source = next((name for name in cast(Mapping[str, object], volume) if name != "name"), "")
    advice = INSTEAD.get(source, "use a PersistentVolumeClaim, nfs, hostPath or emptyDir")
    return Invalid(f"a source of kind {source or 'nothing'} cannot be mounted on this node: {advice}")
