"""The container engine and the cgroups below it. Pure."""

from collections.abc import Iterator
from typing import Final

from gitops.cli.doctor.facts import Engine, Facts
from gitops.cli.doctor.findings import Finding, error, ok, warning

API_MIN: Final = (1, 41)  # Docker 20.10.
STORAGE_SLOW: Final = frozenset(
    {"vfs", "devicemapper", "aufs", "overlay"}
)  # Copies, or gone from newer engines.
CONTROLLERS: Final = ("cpu", "memory", "pids")


def engine(facts: Facts) -> Iterator[Finding]:
    found = facts.engine
    if found is None:
        return
    if found.problem:
        yield error(
            "docker",
            found.problem,
            "start it (systemctl start docker), or name another engine by DOCKER_HOST",
        )
        return
    yield from _version(found)
    yield from _kind(found)
    if found.storage in STORAGE_SLOW:
        yield warning(
            "docker storage", found.storage, "use overlay2: each container would copy its whole image"
        )
    else:
        yield ok("docker storage", found.storage)
    # Gitward states the driver of each of its containers: the host's own default is as it likes.
    yield ok(
        "docker logging", f"{found.logging} by default; pods have json-file with rotation whatever it is"
    )
    if found.live_restore:
        yield ok("live-restore", "on: pods run on while Docker restarts")
    else:
        yield warning(
            "live-restore",
            "off: all pods end when Docker restarts",
            'put {"live-restore": true} into /etc/docker/daemon.json and reload Docker (SIGHUP)',
        )
    for line in found.warnings:
        yield warning("docker", line, "Docker's own words of this host's kernel; pods that need it are told")


def _version(found: Engine) -> Iterator[Finding]:
    said = f"Docker {found.version} (API {found.api_version[0]}.{found.api_version[1]}) at {found.host}"
    if found.api_version < API_MIN:
        yield error("docker", said, "Docker 20.10 or later is wanted: upgrade it")
    else:
        yield ok("docker", said)


def _kind(found: Engine) -> Iterator[Finding]:
    names = {one.partition(",")[0].removeprefix("name=") for one in found.security}
    if "rootless" in names:
        yield error(
            "docker", "rootless", "it cannot join networks of the host: use an engine that runs as root"
        )
    if "userns" in names:
        yield warning(
            "docker",
            "userns-remap is on: root in a pod is a subordinate user",
            "pods with hostNetwork or hostPID are refused by it; volumes belong to the subordinate user",
        )
    if "seccomp" not in names:
        yield warning(
            "docker",
            "built without seccomp",
            "pods that ask for a seccomp profile wait: use an engine that has it",
        )
    if "/snap/" in found.root_dir:
        yield warning(
            "docker",
            "installed as a snap",
            "it sees few of the host's folders: use the distribution's or Docker's own",
        )


def cgroups(facts: Facts) -> Iterator[Finding]:
    found = facts.cgroups
    if found is None:
        return
    missing = [name for name in CONTROLLERS if name not in found.controllers]
    if not found.version:
        yield error("cgroups", "none mounted", "mount them (systemd does; else the package cgroupfs-mount)")
    elif {"cpu", "memory"} & {*missing}:
        yield error(
            "cgroups",
            f"{found.version} without {', '.join(missing)}",
            "limits of pods need them: add cgroup_enable=memory to the kernel's command line, or delegate the "
            "controllers to where Docker runs",
        )
    elif missing:
        yield warning(
            "cgroups", f"{found.version} without pids", "nothing bounds how many processes a pod starts"
        )
    else:
        driver = facts.engine.cgroup_driver if facts.engine is not None else ""
        yield ok(
            "cgroups",
            f"{found.version} with {', '.join(CONTROLLERS)}" + (f", driver {driver}" if driver else ""),
        )
