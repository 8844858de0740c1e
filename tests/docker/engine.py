"""A Docker engine of the tests' own, and images without a registry.

It has no bridge and touches no rule of the host. `GITWARD_TEST_DOCKER_HOST` names another engine to use instead.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docker.api.client import APIClient
from docker.errors import DockerException

ENV_HOST: Final = "GITWARD_TEST_DOCKER_HOST"
RUNTIME: Final = "traced"  # A runtime beside runc: runc, by way of a script that writes down its calls.
IMAGE: Final = "gitward.test/busybox:1"
READY_SECONDS: Final = 30.0
APPLETS: Final = (
    "sh",
    "cat",
    "echo",
    "env",
    "hostname",
    "httpd",
    "id",
    "ls",
    "mkdir",
    "mount",
    "nc",
    "ps",
    "sleep",
    "stat",
    "test",
    "touch",
    "true",
    "false",
    "wget",
    "yes",
    "head",
    "kill",
    "readlink",
    "seq",
    "date",
    "stty",
    "tar",
)


def lacks() -> str:
    """What this machine lacks for an engine; '' if nothing."""
    if os.environ.get(ENV_HOST):
        return ""
    if os.geteuid() != 0:
        return "needs root"
    missing = [program for program in ("dockerd", "containerd", "busybox") if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextlib.contextmanager
def private_engine() -> Iterator[str]:
    """The host of a fresh engine (or of the one that the environment names), with the test image in it."""
    if host := os.environ.get(ENV_HOST):
        load_busybox(host)
        yield host
        return
    home = Path(tempfile.mkdtemp(prefix="gw-docker-", dir="/tmp"))
    host = f"unix://{home}/docker.sock"
    command = [
        "dockerd",
        "--data-root",
        f"{home}/root",
        "--exec-root",
        f"{home}/exec",
        "--pidfile",
        f"{home}/pid",
    ]
    command += ["-H", host, "--bridge", "none", "--iptables=false", "--ip-forward=false"]
    runtime = home / "runtime"
    runtime.write_text(f'#!/bin/sh\necho "$@" >> {home}/runtime.calls\nexec runc "$@"\n')
    runtime.chmod(0o755)
    command += ["--add-runtime", f"{RUNTIME}={runtime}"]
    with (home / "log").open("wb") as log:
        engine = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(host, engine, home / "log")
        load_busybox(host)
        yield host
    finally:
        engine.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            engine.wait(20)
        if engine.poll() is None:
            engine.kill()
            engine.wait(5)
        _sweep(home)


def _wait_for(host: str, engine: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            APIClient(base_url=host, version="1.41", timeout=5).ping()
        except (DockerException, OSError):
            if engine.poll() is not None:
                raise AssertionError(f"dockerd ended:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"dockerd is not ready:\n{log.read_text()[-2000:]}")


def _sweep(home: Path) -> None:
    """Shims that outlived the engine, then what is still mounted, then the files."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{home}/".encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                    os.kill(int(entry.name), signal.SIGKILL)
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{home}/")), reverse=True):
        subprocess.run(("umount", "-l", point), check=False, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)


def load_busybox(host: str) -> None:
    """A static busybox alone in an image, its applets as links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("bin", "etc", "tmp", "data"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
        content = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = len(content), 0o755
        archive.addfile(program, io.BytesIO(content))
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    repository, _, tag = IMAGE.partition(":")
    client = APIClient(base_url=host, version="1.41", timeout=60)
    client.import_image_from_data(out.getvalue(), repository=repository, tag=tag, changes=["ENV PATH=/bin"])
    client.close()
