"""`PodVolumes`: the volumes of all pods of a node, under one directory, ready to be bound into containers.

`<root>/<pod uid>/files/` is one tmpfs for everything that we write (secrets among it: they never touch a disk),
`…/empty/NAME` an emptyDir, a tmpfs of its own for `medium: Memory`, `…/sub/…` the bind of a subPath,
`…/messages/CONTAINER/ATTEMPT` its last words, `…/owned/NAME` a mark that fsGroup has got its volume. Nothing else is
remembered: what is mounted is asked of the kernel.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from agent.contained import check_reached
from agent.runtime.protocol import Mount
from agent.volumes import atomic, beneath, disk, messages, mounts, trees
from agent.volumes.content import File, files_of, has_content
from agent.volumes.disk import DiskUse
from agent.volumes.downward import Surroundings
from agent.volumes.expansion import expand
from agent.volumes.host_path import host_path
from agent.volumes.persistent import Persistent, nfs_mount, own
from agent.volumes.references import Lookup
from agent.volumes.unsupported import unsupported
from gitops.kinds import quantity
from gitops.kinds.core.pod import Container, Pod, VolumeMount
from gitops.kinds.core.volumes import EmptyDirVolumeSource, Volume
from gitops.kinds.errors import GitwardError, Invalid, NotFound, Unavailable

FILES_MAX_BYTES: Final = (
    64 << 20
)  # Of one pod's written volumes: some ten objects of 1 MiB, twice during a swap.
EMPTY_MODE: Final = 0o777  # As the kubelet: whoever the container runs as may write.
EMPTY_MODE_GROUP: Final = 0o2777
PROPAGATION: Final = {"HostToContainer": "rslave", "Bidirectional": "rshared"}
_UID: Final = re.compile(r"[a-zA-Z0-9-]{1,64}")

R = TypeVar("R")


class PodVolumes:
    """`root`: a directory of ours alone, on the host of the engine, at the same path for both.
    `persistent`: what claims are bound to."""

    def __init__(self, root: Path, persistent: Persistent | None = None) -> None:
        self._root, self._persistent = root, persistent or Persistent(root.with_name("volumes"))
        self._locks = WeakValueDictionary[str, _Lock]()
        self._locking = Lock()

    async def ensure(self, pod: Pod, lookup: Lookup, around: Surroundings) -> None:
        """All volumes made and filled; files that changed are swapped. Raises NotFound, Invalid, Unavailable."""
        content: dict[str, Mapping[str, File]] = {}
        for volume in pod["spec"].get("volumes", ()):
            if has_content(volume):
                with _Naming(volume["name"]):
                    content[volume["name"]] = files_of(pod, volume, lookup, around)
        await self._alone(pod["metadata"].get("uid", ""), lambda: self._ensure(pod, content))

    async def mounts(
        self, pod: Pod, container: Container, values: Mapping[str, str], *, attempt: int
    ) -> tuple[Mount, ...]:
        """What to bind into this attempt of a container. `values`: its environment, for subPathExpr."""
        return await self._alone(
            pod["metadata"].get("uid", ""),
            lambda: self._with_message_file(pod, container, attempt, self._mounts(pod, container, values)),
        )

    async def message(self, uid: str, container: str, attempt: int) -> str | None:
        """What this attempt has left in its termination message file; None: there is no file (any more)."""
        return await _in_thread(lambda: messages.read(self._messages(uid, container), attempt))

    async def disk_use(self, uid: str) -> Mapping[str, DiskUse]:
        """What its emptyDirs take on disk, by volume: blocks, so that a sparse file counts what it fills."""
        return await _in_thread(
            lambda: {path.name: disk.used(path) for path in (self._of(uid) / "empty").glob("*")}
        )

    async def message_use(self, uid: str) -> DiskUse:
        """What its containers' last words take on disk: anybody inside may write there as much as they like."""
        return await _in_thread(lambda: messages.use(self._of(uid) / "messages"))

    async def remove(self, uid: str) -> None:
        """Everything unmounted and removed; absent is fine."""
        await self._alone(uid, lambda: self._remove(self._of(uid)))

    async def uids(self) -> frozenset[str]:
        """The pods that have something here."""
        return await _in_thread(lambda: frozenset(each.name for each in self._root.glob("*")))

    def has(self, uid: str) -> bool:
        return self._of(uid).exists()

    async def _alone(self, uid: str, call: Callable[[], R]) -> R:
        """Of one pod one at a time, in threads, which nobody can cancel: a subPath that were bound while the pod's
        directory is being removed would be removed with it, and what it leads to is somebody's data."""
        with self._locking:
            lock = self._locks.setdefault(uid, _Lock())

        def locked() -> R:
            with lock.held:
                return call()

        return await _in_thread(locked)

    # What follows blocks and runs in threads.

    def _of(self, uid: str) -> Path:
        if not _UID.fullmatch(uid):
            raise Invalid(f"pod uid: found {uid!r}, wanted letters, digits and '-'")
        return self._root / uid

    def _ensure(self, pod: Pod, content: Mapping[str, Mapping[str, File]]) -> None:
        home = self._of(pod["metadata"].get("uid", ""))
        home.mkdir(0o755, parents=True, exist_ok=True)
        group = pod["spec"].get("securityContext", {}).get("fsGroup")
        for volume in pod["spec"].get("volumes", ()):
            with _Naming(volume["name"]):
                if volume["name"] in content:
                    self._write(home, volume["name"], content[volume["name"]], group)
                elif "emptyDir" in volume:
                    self._empty(home / "empty" / volume["name"], volume["emptyDir"], group)
                elif "hostPath" in volume:
                    check_reached(Path(volume["hostPath"]["path"]), self._persistent.same)
                    host_path(volume["hostPath"])
                elif "persistentVolumeClaim" in volume:
                    self._claimed(home, pod, volume)
                elif "nfs" in volume:
                    nfs_mount(volume["nfs"], "", read_only=False)
                else:
                    raise unsupported(volume)

    def _claimed(self, home: Path, pod: Pod, volume: Volume) -> None:
        found = self._persistent.of(pod, volume["persistentVolumeClaim"]["claimName"])
        path = self._persistent.ensure(found)
        context, mark = pod["spec"].get("securityContext", {}), home / "owned" / volume["name"]
        if path is None or "fsGroup" not in context or "hostPath" in found["spec"] or mark.exists():
            return
        only = context.get("fsGroupChangePolicy") == "OnRootMismatch"
        own(path, context["fsGroup"], only_on_mismatch=only)
        mark.parent.mkdir(exist_ok=True)
        mark.touch()

    def _write(self, home: Path, name: str, files: Mapping[str, File], group: int | None) -> None:
        top = home / "files"
        top.mkdir(0o755, exist_ok=True)
        if not mounts.is_mounted(top):
            mounts.mount_tmpfs(top, size_bytes=FILES_MAX_BYTES, mode=0o755, executable=False)
        volume = top / name
        volume.mkdir(0o755, exist_ok=True)
        atomic.write(volume, files, f"{time.time_ns()}", group)

    def _empty(self, path: Path, source: EmptyDirVolumeSource, group: int | None) -> None:
        if path.exists() and (source.get("medium") != "Memory" or mounts.is_mounted(path)):
            return
        path.mkdir(parents=True, exist_ok=True)
        mode = EMPTY_MODE if group is None else EMPTY_MODE_GROUP
        if source.get("medium") == "Memory":
            size = quantity.whole(source.get("sizeLimit", "0"))
            mounts.mount_tmpfs(path, size_bytes=size, mode=mode, executable=True)
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(mode)

    def _mounts(self, pod: Pod, container: Container, values: Mapping[str, str]) -> tuple[Mount, ...]:
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
        home = self._of(pod["metadata"].get("uid", ""))
        found = []
        for index, mount in enumerate(container.get("volumeMounts", ())):
            volume = volumes.get(mount["name"])
            if volume is None:
                raise Invalid(f"volumeMount {mount['name']}: no such volume")
            read_only = mount.get("readOnly", False) or has_content(volume)
            read_only = read_only or volume.get("persistentVolumeClaim", {}).get("readOnly", False)
            sub_path = _sub_path(mount, values)
            source = self._source(home, pod, volume, mount["mountPath"], read_only=read_only)
            if isinstance(source, Mount):
                if sub_path:
                    raise Invalid(f"volumeMount {mount['name']}: subPath of a share is not supported")
                found.append(source)
                continue
            if sub_path:
                source = _bound(source, sub_path, home / "sub" / container["name"] / str(index))
            propagation = PROPAGATION.get(mount.get("mountPropagation", ""), "")
            found.append(Mount(str(source), mount["mountPath"], read_only, propagation))
        return tuple(found)

    def _source(self, home: Path, pod: Pod, volume: Volume, target: str, *, read_only: bool) -> Path | Mount:
        """A path of the host, or what the engine mounts itself."""
        if has_content(volume):
            return home / "files" / volume["name"]
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        if "nfs" in volume:
            return nfs_mount(volume["nfs"], target, read_only=read_only)
        if "persistentVolumeClaim" in volume:
            found = self._persistent.of(pod, volume["persistentVolumeClaim"]["claimName"])
            options = found["spec"].get("mountOptions", ())
            path = self._persistent.ensure(found)
            return path or nfs_mount(found["spec"]["nfs"], target, read_only=read_only, options=options)
        return home / "empty" / volume["name"]

    def _messages(self, uid: str, container: str) -> Path:
        return self._of(uid) / "messages" / container

    def _with_message_file(
        self, pod: Pod, container: Container, attempt: int, found: tuple[Mount, ...]
    ) -> tuple[Mount, ...]:
        """A mount of the pod's own at that very path stays: what a volume holds is not ours to read."""
        target = container["terminationMessagePath"]
        if any(mount.target == target for mount in found):
            return found
        folder = self._messages(pod["metadata"].get("uid", ""), container["name"])
        return (*found, Mount(str(messages.make(folder, attempt)), target))

    def _remove(self, home: Path) -> None:
        if not home.exists():
            return
        for point in mounts.mounts_under(home):
            mounts.unmount(point)
        if left := list(mounts.mounts_under(home)):
            raise Unavailable(f"volumes at {home}: still mounted: {left[0]}")
        trees.remove(home)


def _sub_path(mount: VolumeMount, values: Mapping[str, str]) -> str:
    expression = mount.get("subPathExpr", "")
    if not expression:
        return mount.get("subPath", "")
    path = expand(expression, values)
    if "$(" in path:
        raise Invalid(f"subPathExpr: {expression!r} names a variable that is not set")
    return path


def _bound(volume: Path, sub_path: str, target: Path) -> Path:
    """The place of a subPath, held by a bind mount: a link that a container puts there later leads nowhere.

    Of an earlier attempt's it is another place where a file was replaced since, as of a ConfigMap that changed.
    """
    descriptor = beneath.open_beneath(volume, sub_path)
    try:
        source = f"/proc/self/fd/{descriptor}"
        while mounts.is_bound(target):
            if os.path.samestat(target.stat(), os.fstat(descriptor)):
                return target
            mounts.unmount(target)
        trees.remove_entry(target)
        target.parent.mkdir(0o755, parents=True, exist_ok=True)
        if Path(source).is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        mounts.bind(source, target)
    finally:
        os.close(descriptor)
    return target


class _Lock:
    """Of one pod; gone with the last who holds or waits for it."""

    def __init__(self) -> None:
        self.held = Lock()


class _Naming:
    """Puts the volume's name before whatever goes wrong in it, as the kubelet's events do."""

    def __init__(self, volume: str) -> None:
        self._volume = volume

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        message = f'MountVolume.SetUp failed for volume "{self._volume}" : {error}'
        if isinstance(error, NotFound):
            raise NotFound(message) from error
        if isinstance(error, GitwardError):
            raise Invalid(message) from error
        if isinstance(error, OSError):
            raise Unavailable(message) from error


async def _in_thread(call: Callable[[], R]) -> R:
    try:
        return await asyncio.to_thread(call)
    except OSError as error:
        raise Unavailable(f"volumes: {error}") from error
