"""What is known of a host, as values. `None` stands for what was not asked, or could not be found out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple


class Role(StrEnum):
    """What the host is to be."""

    UP = "up"  # Master and node.
    MASTER = "master"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Addresses are ADDRESS:PORT; '': nowhere."""

    role: Role
    data_dir: Path
    listen: str = ""
    webhook_listen: str = ""
    ingress_http: str = ""
    ingress_https: str = ""
    pod_cidr: str = ""  # '': the cluster's, which a node that joins does not know yet.
    service_cidr: str = ""

    @property
    def is_master(self) -> bool:
        return self.role is not Role.AGENT

    @property
    def is_node(self) -> bool:
        return self.role is not Role.MASTER

    @property
    def dns_address(self) -> str:
        return str(IPv4Network(self.service_cidr)[10]) if self.service_cidr else ""


class Listener(NamedTuple):
    protocol: str  # tcp or udp.
    address: str
    port: int
    process: str  # `nginx (process 17)`; '': not found out.
    is_ours: bool


class Space(NamedTuple):
    """Of the file system that holds `path`."""

    path: str
    free_bytes: int
    size_bytes: int
    free_inodes: int  # 0 of 0: the file system has no such limit.
    inodes: int
    kind: str  # ext4, xfs, nfs4, tmpfs, …


@dataclass(frozen=True, slots=True)
class Engine:
    """What Docker says. `problem`: why it does not answer; then the rest means nothing."""

    host: str
    problem: str = ""
    version: str = ""
    api_version: tuple[int, int] = (0, 0)
    storage: str = ""
    logging: str = ""
    live_restore: bool = False
    security: tuple[str, ...] = ()
    cgroup_driver: str = ""
    cgroup_version: str = ""
    root_dir: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Firewall:
    """`rules`: how many the legacy and the nft backend hold."""

    version: str  # What `iptables -V` prints; '': not installed.
    legacy_rules: int = 0
    nft_rules: int = 0


@dataclass(frozen=True, slots=True)
class Kernel:
    """`trial`: what was tried in a network namespace of its own -> why it failed ('': it works). None: not tried."""

    release: str
    version: tuple[int, int]
    trial: Mapping[str, str] | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)  # net.ipv4.ip_forward -> 1.
    is_sysctl_writable: bool = True


class Cgroups(NamedTuple):
    version: str  # v1, v2 or hybrid; '': none is mounted.
    controllers: frozenset[str]


class Clock(NamedTuple):
    """`unix_seconds` of now. `is_synchronized`: as the kernel was told by who keeps its time."""

    unix_seconds: float
    is_synchronized: bool


class Resolvers(NamedTuple):
    """IPv4 resolvers of the host. `answers`: whether one answered; None: not asked."""

    addresses: tuple[str, ...]
    answers: bool | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A host. What the role does not need is None."""

    wanted: Wanted
    is_root: bool
    kernel: Kernel
    clock: Clock
    programs: Mapping[str, str]  # Program -> what it says of its version; '': not installed.
    listeners: tuple[Listener, ...] = ()
    spaces: tuple[Space, ...] = ()
    isolation: str | None = None  # What confines the reading of a repository; 'none': nothing.
    engine: Engine | None = None
    firewall: Firewall | None = None
    cgroups: Cgroups | None = None
    resolvers: Resolvers | None = None
    range_problem: str = ""  # Why the ranges cannot be had, in the network's own words.
    mount_problem: str = ""  # Why what is mounted in the data directory does not reach the engine.
