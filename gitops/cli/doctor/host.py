"""Rights, kernel, clock, disk, git: what every role needs. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from gitops.cli.doctor.facts import Facts, Space
from gitops.cli.doctor.findings import Finding, error, ok, warning
from gitops.cli.doctor.parsing import version_in

KERNEL_MIN: Final = (5, 6)  # openat2, by which a subPath is resolved; pidfd_open came earlier.
GIT_MIN: Final = (2, 36)  # `git cat-file --batch-command`.
# A clock before this was never set: certificates would not be valid yet, and TLS to a forge would fail.
CLOCK_MIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
FREE_BYTES_MIN: Final = 1 << 30
FREE_SHARE_MIN: Final = (
    0.10  # The kubelet's own threshold: below it the engine's images are in the way of pods.
)
INODE_SHARE_MIN: Final = 0.05
NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})
CONFINING: Final = frozenset({"own network namespace", "user namespace without network", "Landlock"})


def rights(facts: Facts) -> Iterator[Finding]:
    if facts.is_root or not facts.wanted.is_node:
        yield ok("rights", "root" if facts.is_root else "an ordinary user, which a master may be")
    else:
        yield error(
            "rights",
            "not root",
            "a node makes networks, mounts and firewall rules: use sudo (or --role master)",
        )


def kernel(facts: Facts) -> Iterator[Finding]:
    found, wanted = f"Linux {facts.kernel.release}", ".".join(map(str, KERNEL_MIN))
    if facts.kernel.version < KERNEL_MIN:
        yield error("kernel", found, f"Linux {wanted} or later is wanted: upgrade the host's kernel")
    else:
        yield ok("kernel", found)


def clock(facts: Facts) -> Iterator[Finding]:
    now = datetime.fromtimestamp(facts.clock.unix_seconds, UTC)
    found = f"{now:%Y-%m-%d %H:%M} UTC"
    if now < CLOCK_MIN:
        yield error(
            "clock", found, "no certificate is valid yet at that time: set the clock, run chrony or timesyncd"
        )
    elif not facts.clock.is_synchronized:
        yield warning(
            "clock",
            f"{found}, kept by nobody",
            "run chrony or systemd-timesyncd: certificates and logs rely on it",
        )
    else:
        yield ok("clock", f"{found}, synchronized")


def space(facts: Facts) -> Iterator[Finding]:
    for one in facts.spaces:
        yield _space(one, is_node=facts.wanted.is_node)
        if one.kind in NETWORK_FILE_SYSTEMS and one.path == str(facts.wanted.data_dir):
            yield error(
                "disk",
                f"{one.path} lies on {one.kind}",
                "the store needs a local disk: choose another by --data-dir",
            )
        elif one.kind in ("tmpfs", "ramfs"):
            yield warning("disk", f"{one.path} lies in memory ({one.kind})", "it is empty after a reboot")


def _space(one: Space, *, is_node: bool) -> Finding:
    share = one.free_bytes / one.size_bytes if one.size_bytes else 0.0
    found = f"{one.path}: {one.free_bytes / (1 << 30):.1f} GiB free of {one.size_bytes / (1 << 30):.1f}"
    if is_node and one.free_bytes < FREE_BYTES_MIN:  # A master alone needs some megabytes.
        return error(
            "disk", found, "1 GiB at least is wanted: make room (`docker system df` says what Docker holds)"
        )
    if share < FREE_SHARE_MIN:
        return warning(
            "disk", found, f"less than {FREE_SHARE_MIN:.0%} is free: make room before images fill it"
        )
    if one.inodes and one.free_inodes / one.inodes < INODE_SHARE_MIN:
        return warning(
            "disk", f"{one.path}: {one.free_inodes} of {one.inodes} inodes free", "remove small files"
        )
    return ok("disk", found)


def git(facts: Facts) -> Iterator[Finding]:
    if not facts.wanted.is_master:
        return
    said = facts.programs.get("git", "")
    version, wanted = version_in(said), ".".join(map(str, GIT_MIN))
    if not said:
        yield error("git", "not installed", "install it: apt-get install git")
    elif version is None or version < GIT_MIN:
        yield error("git", said, f"git {wanted} or later is wanted: upgrade it")
    else:
        yield ok("git", said)


def isolation(facts: Facts) -> Iterator[Finding]:
    """What confines the process that reads a repository, and renderers alike."""
    if facts.isolation is None:
        return
    if CONFINING & {*facts.isolation.split(", ")}:
        yield ok("sandbox", facts.isolation)
    else:
        yield warning(
            "sandbox",
            f"what reads a repository is confined by {facts.isolation or 'nothing'}",
            "sources that objects state are not read: run as root, or allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0) or Landlock",
        )


def mounts(facts: Facts) -> Iterator[Finding]:
    if facts.mount_problem:
        yield error(
            "mounts",
            facts.mount_problem,
            "a container of the agent needs --pid host and --volume D:D:rshared, the same path twice",
        )
