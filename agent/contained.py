"""The agent in a container of the very engine that it leads: what differs from an agent on the host.

DNS and proxy become containers of their own, since a container's end is the end of every process in it, whatever
session it leads; with the host's pid namespace all else about them (pids, signals, records) is as on a host. And of the
host's files only those are at hand that were mounted under the same path.
"""

import logging
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import docker
import docker.errors
import requests

from agent.helpers import HelperSpec, package_path
from gitops.kinds.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

LABEL_HELPER: Final = "io.gitward.helper"
ASK_SECONDS: Final = 30
PROC: Final = Path("/proc")
CONTAINER_ID: Final = re.compile(
    r"/containers/([0-9a-f]{64})/"
)  # Of the files that the engine mounts over /etc.


@dataclass(frozen=True, slots=True)
class Contained:
    """`binds`, `mounts`: as our own container was given them. `same`: folders of the host with one path for both."""

    host: str
    image: str
    binds: tuple[str, ...]
    mounts: tuple[Any, ...]
    same: tuple[Path, ...]

    def spawn(self, spec: HelperSpec) -> int:
        """A container of our image that runs the helper; its pid. It is removed when it ends. Raises Unavailable."""
        try:
            api = docker.APIClient(base_url=self.host, version="auto", timeout=ASK_SECONDS)
            try:
                name = f"gitward-{spec.run_dir.name}-{spec.name}-{token_hex(4)}"
                made = api.create_container_from_config(self.body(spec), name)  # type: ignore[no-untyped-call]
                api.start(made["Id"])
                return int(api.inspect_container(made["Id"])["State"]["Pid"])
            finally:
                api.close()
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise Unavailable(f"a container for {spec.name} cannot be started: {error}") from error

    def body(self, spec: HelperSpec) -> dict[str, Any]:
        """What the engine is asked for. Pure."""
        return {
            "Image": self.image,
            # The program takes the place of this one, so that its pid and command line are as on a host.
            "Entrypoint": [sys.executable, "-P", "-m", "agent.contained_start", str(spec.log_file)],
            "Cmd": list(spec.command),
            "Env": [f"PATH={os.environ.get('PATH', os.defpath)}", f"PYTHONPATH={package_path()}"],
            "Labels": {LABEL_HELPER: spec.name},
            "HostConfig": {
                "NetworkMode": "host",
                "PidMode": "host",
                "Binds": list(self.binds),
                "Mounts": list(self.mounts),
                "AutoRemove": True,
                "LogConfig": {"Type": "none", "Config": {}},
            },
        }


def find(host: str) -> Contained | None:
    """Our own container, by what is mounted here and by its pid. None: we run in none of this engine's.

    Raises Unavailable if the engine does not answer.
    """
    candidates = ids_in((PROC / "self/mountinfo").read_text(errors="replace"))
    if not candidates:
        return None
    ours = set(_ancestors(os.getpid()))
    try:
        api = docker.APIClient(base_url=host, version="auto", timeout=ASK_SECONDS)
        try:
            for one in candidates:
                try:
                    found = api.inspect_container(one)
                except docker.errors.NotFound:
                    continue  # Of an engine around this one.
                if found["State"]["Pid"] in ours:
                    log.info("the agent runs in a container", extra={"fields": {"image": found["Image"]}})
                    return of_inspection(host, found)
        finally:
            api.close()
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise Unavailable(f"Docker at {host}: {error}") from error
    return None


def ids_in(mountinfo: str) -> list[str]:
    """Whose files may be mounted here. Pure."""
    return sorted(set(CONTAINER_ID.findall(mountinfo)))


def of_inspection(host: str, found: dict[str, Any]) -> Contained:
    """Pure."""
    config = found["HostConfig"]
    points = [
        (Path(one["Source"]), Path(one["Destination"])) for one in found["Mounts"] if one["Type"] == "bind"
    ]
    return Contained(
        host=host,
        image=found["Image"],
        binds=tuple(config.get("Binds") or ()),
        mounts=tuple(config.get("Mounts") or ()),
        same=tuple(there for source, there in points if source == there),
    )


def same_of(container: Contained | None) -> tuple[Path, ...] | None:
    """What `check_reached` is told."""
    return None if container is None else container.same


def check_reached(path: Path, same: Iterable[Path] | None) -> None:
    """`same` None: we run on the host itself. Raises Invalid for a path of the host that is another one here."""
    if same is not None and not any(path.is_relative_to(one) for one in same):
        raise Invalid(
            f"{path} of the host is not at hand in the agent's container: start that with "
            f"--volume {path}:{path}:rslave, or with a folder above it"
        )


def _ancestors(pid: int) -> Iterable[int]:
    while pid > 1:
        yield pid
        try:
            pid = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return
