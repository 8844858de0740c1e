"""What a host answers, read: versions, /proc, mounts, Docker's `info`. Pure; never raises on what it does not know."""

import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from gitops.cli.doctor.facts import Cgroups, Engine

LISTENING: Final = {
    "tcp": "0A",
    "udp": "07",
}  # TCP_LISTEN, TCP_CLOSE (a UDP socket that is connected to nobody).
VERSION: Final = re.compile(r"(?<![\d.])(\d{1,6})\.(\d{1,6})")


class Socket(NamedTuple):
    address: str
    port: int
    inode: str


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo. `is_shared`: what is mounted below it is seen by its peers."""

    point: str
    kind: str
    is_shared: bool
    options: frozenset[str]


def version_in(text: str) -> tuple[int, int] | None:
    """The first `MAJOR.MINOR` of a text, such as what `git --version` prints. None: there is none."""
    found = VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else None


def sockets(text: str, protocol: str) -> Iterator[Socket]:
    """Those that listen, of /proc/net/tcp, tcp6, udp or udp6. `protocol`: tcp or udp."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 10 or words[3] != LISTENING[protocol]:
            continue
        address, _, port = words[1].rpartition(":")
        try:
            yield Socket(_address(address), int(port, 16), words[9])
        except ValueError:
            continue


def _address(text: str) -> str:
    """Words of four bytes in the host's order: little-endian wherever Docker runs. Raises ValueError."""
    raw = bytes.fromhex(text)
    if len(raw) not in (4, 16):
        raise ValueError(f"found {len(raw)} bytes, wanted an address")
    packed = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    if len(packed) == 16 and packed[:12] == b"\0" * 10 + b"\xff\xff":
        packed = packed[12:]  # An IPv4 address in IPv6's dress.
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def mounts(text: str) -> list[Mount]:
    """/proc/self/mountinfo, in its order. Source: proc(5)."""
    found = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        words, kind = left.split(), right.split()
        if separator and len(words) >= 6 and kind:
            shared = any(word.startswith("shared:") for word in words[6:])
            options = frozenset((*words[5].split(","), *(kind[2].split(",") if len(kind) > 2 else ())))
            found.append(Mount(_unescaped(words[4]), kind[0], shared, options))
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def mount_of(path: str, all_mounts: Iterable[Mount]) -> Mount | None:
    """The mount that holds an absolute path; of several on one point the last, which covers the others."""
    best = None
    for one in all_mounts:
        holds = path == one.point or path.startswith(one.point.rstrip("/") + "/")
        if holds and (best is None or len(one.point) >= len(best.point)):
            best = one
    return best


def cgroups(all_mounts: Iterable[Mount], unified_controllers: str) -> Cgroups:
    """`unified_controllers`: what /sys/fs/cgroup/cgroup.controllers says; '' where it is not."""
    ours = [one for one in all_mounts if one.kind in ("cgroup", "cgroup2")]
    unified = frozenset(unified_controllers.split())
    old = frozenset(option for one in ours if one.kind == "cgroup" for option in one.options)
    if not ours:
        return Cgroups("", frozenset())
    if all(one.kind == "cgroup2" for one in ours):
        return Cgroups("v2", unified)
    return Cgroups("hybrid" if any(one.kind == "cgroup2" for one in ours) else "v1", old | unified)


def engine(host: str, version: Mapping[str, Any], info: Mapping[str, Any]) -> Engine:
    """Docker's `/version` and `/info`, as far as they say it."""
    return Engine(
        host=host,
        version=str(info.get("ServerVersion") or version.get("Version") or "?"),
        api_version=version_in(str(version.get("ApiVersion") or "")) or (0, 0),
        storage=str(info.get("Driver") or "?"),
        logging=str(info.get("LoggingDriver") or "?"),
        live_restore=bool(info.get("LiveRestoreEnabled")),
        security=tuple(str(one) for one in info.get("SecurityOptions") or ()),
        cgroup_driver=str(info.get("CgroupDriver") or ""),
        cgroup_version=str(info.get("CgroupVersion") or ""),
        root_dir=str(info.get("DockerRootDir") or ""),
        warnings=tuple(str(one).removeprefix("WARNING: ") for one in info.get("Warnings") or ()),
    )
