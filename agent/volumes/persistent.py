"""PersistentVolumes on this node: which one a claim is bound to, where its files are, and the end of its data.

`<root>/<handle>` is the directory of a volume that Gitward made. It is made when a pod first mounts it, and removed
only when its volume is being deleted with the policy Delete: never because something is missing from a list.
"""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.contained import check_reached
from agent.runtime.protocol import Mount
from agent.volumes import trees
from agent.volumes.host_path import host_path
from gitops.kinds.core.pod import Pod
from gitops.kinds.core.storage import DRIVER, PersistentVolume
from gitops.kinds.core.volumes import NFSVolumeSource
from gitops.kinds.errors import Invalid, NotFound
from gitops.kinds.objects import is_going

MODE: Final = 0o777  # As local-path provisioners have it: whoever the container runs as may write.
GOING: Final = ".removed-"  # Before the name of a directory whose removal has begun.
_HANDLE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_OPTION: Final = re.compile(r"[a-zA-Z0-9_.:/=-]+")


class Persistent:
    """`root`: a directory of ours alone. `volumes` is kept up to date by whoever follows them.

    `same`: as `agent.contained.check_reached` has it.
    """

    def __init__(self, root: Path, same: tuple[Path, ...] | None = None) -> None:
        self._root, self.same = root, same
        self.volumes: dict[str, PersistentVolume] = {}

    def of(self, pod: Pod, claim: str) -> PersistentVolume:
        """The volume that a claim of the pod's namespace is bound to. Raises NotFound while there is none."""
        namespace = pod["metadata"].get("namespace", "")
        for volume in self.volumes.values():
            reference = volume["spec"].get("claimRef") or {}
            if (
                (reference.get("namespace"), reference.get("name")) == (namespace, claim)
                and (volume.get("status") or {}).get("phase") == "Bound"
                and not is_going(volume)
            ):
                return volume
        raise NotFound(f'persistentvolumeclaim "{claim}" is not bound to a volume yet')

    def ensure(self, volume: PersistentVolume) -> Path | None:
        """Where its files are; None: the engine mounts it. Raises Invalid for what this node cannot mount."""
        spec = volume["spec"]
        if "csi" in spec:
            if spec["csi"]["driver"] != DRIVER:
                raise Invalid(f"CSI driver {spec['csi']['driver']} is not on this node; Gitward has {DRIVER}")
            path = self._path(spec["csi"]["volumeHandle"])
            if not path.exists():
                path.mkdir(0o700, parents=True, exist_ok=True)
                path.chmod(MODE)
            return path
        if "hostPath" in spec:
            check_reached(Path(spec["hostPath"]["path"]), self.same)
            return host_path(spec["hostPath"])
        if "local" in spec:
            path = Path(spec["local"]["path"])
            check_reached(path, self.same)
            if not path.is_dir():
                raise Invalid(f"local volume: {path} is no directory of this node")
            return path
        if "nfs" in spec:
            return None
        raise Invalid("its source is not supported: it is none of csi, hostPath, local and nfs")

    def remove_data(self, volume: PersistentVolume) -> None:
        """The directory of a volume that is being deleted; absent is fine. May be repeated."""
        assert is_going(volume)
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        path = self._path(volume["spec"]["csi"]["volumeHandle"])
        gone = path.with_name(f"{GOING}{path.name}")
        if path.exists():
            path.rename(gone)
        trees.remove(gone)

    def _path(self, handle: str) -> Path:
        if not _HANDLE.fullmatch(handle) or ".." in handle:
            raise Invalid(
                f"volumeHandle: found {handle!r}, wanted a name of small letters, digits, '-' and '.'"
            )
        return self._root / handle


def nfs_mount(source: NFSVolumeSource, target: str, *, read_only: bool, options: Iterable[str] = ()) -> Mount:
    """A share, which the engine mounts when the container starts and unmounts when it goes. Raises Invalid."""
    server, path = source["server"], source["path"]
    if not re.fullmatch(r"[a-zA-Z0-9.:-]+", server) or not path.startswith("/") or "\0" in path:
        raise Invalid(f"nfs: found {server!r} and {path!r}, wanted a host and an absolute path")
    stated = list(options)
    for one in stated:
        if not _OPTION.fullmatch(one):
            raise Invalid(f"mountOptions: found {one!r}, wanted options of mount such as nfsvers=4.1")
    read_only = read_only or source.get("readOnly", False)
    words = ",".join([f"addr={server}", *stated, *(["ro"] if read_only else [])])
    found = (("type", "nfs"), ("o", words), ("device", f":{path}"))
    return Mount("", target, read_only=read_only, options=found)


def own(path: Path, group: int, *, only_on_mismatch: bool) -> None:
    """All of a volume to a group, as fsGroup asks; links are never followed. Source: Kubernetes' SetVolumeOwnership."""
    top = path.stat()
    wanted = stat.S_ISGID | 0o770
    if only_on_mismatch and top.st_gid == group and top.st_mode & wanted == wanted:
        return
    for directory, entries in trees.walk(path.resolve()):
        for entry in entries:
            _own_one(entry.name, directory, group)
    _own_one(str(path), None, group)


def _own_one(name: str, directory: int | None, group: int) -> None:
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return  # Gone meanwhile: the volume may be in use.
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISLNK(mode):
            os.chown(name, -1, group, dir_fd=directory, follow_symlinks=False)
            return
        place = f"/proc/self/fd/{descriptor}"  # The very file: what the name means may change under us.
        os.chown(place, -1, group)
        os.chmod(place, stat.S_IMODE(mode) | (stat.S_ISGID | 0o770 if stat.S_ISDIR(mode) else 0o660))  # noqa: PTH101
    finally:
        os.close(descriptor)
