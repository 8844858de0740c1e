"""What a confined renderer can and cannot do, tried from within; on this host, and on one that allows no namespaces."""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitops.sync.render import confine
from gitops.sync.render.box import OUTPUT_BYTES_MAX
from gitops.sync.render.confine import UID, Private
from gitops.sync.render.sandbox import Sandbox
from tests.tools.kubectl import renderers

CAP_SYS_ADMIN = 21
LIMITED = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
PROBE_SECONDS_MAX = 20


def tried(act: Callable[[], Any]) -> str:
    try:
        return f"done: {act()}"
    except OSError as error:
        return f"refused: {error.strerror}"


def probes() -> dict[str, str]:
    """Run by a process that is confined. What Python needs for it is loaded already."""
    libc = ctypes.CDLL(None, use_errno=True)
    return {
        "user": str(os.getuid()),
        "root": ",".join(sorted(map(str, Path().iterdir()))),
        "read": tried(lambda: Path("input").read_text()),
        "host": tried(lambda: list(Path("/etc").iterdir())),
        "proc": tried(lambda: Path("/proc/self/environ").read_bytes()),
        "write": tried(lambda: Path("output").write_text("x")),
        "tcp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
        "udp": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        "unix": tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)),
        "process": str(os.getpid()),
        "again": str(libc.unshare(0x10000000)),
        "root again": tried(lambda: os.setuid(0)),
        "limits": ",".join(str(resource.getrlimit(one)[1]) for one in LIMITED),
    }


def without_namespaces() -> None:
    """As in a container: root, but without CAP_SYS_ADMIN."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    held = struct.unpack("6I", data.raw)
    kept = [word & ~(1 << CAP_SYS_ADMIN) if place < 2 else word for place, word in enumerate(held)]
    assert libc.capset(header, struct.pack("6I", *kept)) == 0


def confined(tmp_path: Path, before: Callable[[], None] = lambda: None) -> dict[str, str]:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    binary = os.open(renderers() / "kubectl", os.O_RDONLY)
    reading, writing = os.pipe()
    seen, may_go = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PROBE_SECONDS_MAX)
        os.close(may_go)
        try:
            before()
            private = Private(str(folder))
            private.enter()
            Path("input").write_text("hello")
            private.seal(binary)
            inner = (
                os.fork()
            )  # The first process in a new space of process ids cannot be signalled by itself.
            if inner == 0:
                private.limit()
                told = {**probes(), "held": ", ".join(private.held)}
                os.write(writing, json.dumps(told).encode())
                os._exit(0)
            os.waitpid(inner, 0)
            os.close(writing)
            os.read(seen, 1)  # It is looked at from outside first.
        except BaseException:  # noqa: BLE001 # The top of a process: nobody else would tell.
            traceback.print_exc()
        finally:
            os._exit(0)
    for mine in (writing, binary, seen):
        os.close(mine)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    network = Path(f"/proc/{pid}/ns/net").readlink()
    os.close(may_go)
    os.waitpid(pid, 0)
    found: dict[str, str] = json.loads(answer)
    return {
        **found,
        "network": "the host's" if network == Path("/proc/self/ns/net").readlink() else "its own",
    }


def test_a_renderer_sees_its_files_and_nothing_else(tmp_path: Path) -> None:
    found = confined(tmp_path)

    assert found["root"] == "input"
    assert found["read"] == "done: hello"
    for what in ("host", "proc", "write", "tcp", "udp", "unix"):
        assert found[what].startswith("refused"), what
    assert found["process"] == "1"  # It can send nobody a signal.
    assert found["again"] == "-1"
    assert "network" in found["held"]
    assert found["network"] == "its own"
    assert found["limits"] == f"5,{2 << 30},64,64"
    assert "empty root" in found["held"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_as_root_it_is_another_user_for_good(tmp_path: Path) -> None:
    found = confined(tmp_path)

    assert found["user"] == str(UID)
    assert found["root again"] == "refused: Operation not permitted"


@pytest.mark.skipif(os.getuid() != 0, reason="only root has something to lose here")
def test_where_namespaces_are_not_allowed_the_same_holds_by_other_means(tmp_path: Path) -> None:
    found = confined(tmp_path, without_namespaces)

    assert found["held"].startswith(f"empty root, uid {UID}")
    assert found["root"] == "input"
    assert found["read"] == "done: hello"
    for what in ("host", "proc", "write", "tcp", "udp", "unix"):
        assert found[what].startswith("refused"), what


def run(tmp_path: Path, *arguments: str, files: dict[str, bytes] | None = None) -> Any:
    sandbox = Sandbox(tmp_path / "render")
    binary = os.open(renderers() / "kubectl", os.O_RDONLY)
    try:
        return sandbox.run(binary, arguments, list((files or {}).items()))
    finally:
        os.close(binary)
        sandbox.close()


def test_what_a_renderer_says_comes_back_and_nothing_stays(tmp_path: Path) -> None:
    files = {
        "k/kustomization.yaml": b"resources: [c.yaml]\n",
        "k/c.yaml": b"kind: C\napiVersion: v1\nmetadata: {name: c}\n",
    }

    end = run(tmp_path, "kubectl", "kustomize", "./k", files=files)

    assert (end.status, end.killed) == (0, "")
    assert end.output == b"apiVersion: v1\nkind: C\nmetadata:\n  name: c\n"
    assert list((tmp_path / "render").iterdir()) == []
    assert (
        str(tmp_path)
        not in subprocess.run(["cat", "/proc/mounts"], capture_output=True, check=True, text=True).stdout
    )


def test_where_it_runs_is_not_told(tmp_path: Path) -> None:
    end = run(
        tmp_path, "kubectl", "kustomize", "./k", files={"k/kustomization.yaml": b"resources: [c.yaml]\n"}
    )

    assert end.status == 1
    assert str(tmp_path).encode() not in end.errors


def test_its_environment_holds_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "canary-16")
    files = {
        "k/kustomization.yaml": b"configMapGenerator: [{name: e, envs: [e.env]}]\n",
        "k/e.env": b"CANARY\nPATH\n",
    }

    end = run(tmp_path, "kubectl", "kustomize", "./k", files=files)

    assert b"canary" not in end.output + end.errors
    assert b'PATH: ""' in end.output


def test_too_much_output_ends_it(tmp_path: Path) -> None:
    big = b"apiVersion: v1\nkind: C\nmetadata: {name: c%d}\ndata: {x: '%s'}\n"
    files = {f"k/{number}.yaml": big % (number, b"x" * (1 << 20)) for number in range(20)}
    names = ",".join(path.removeprefix("k/") for path in files)

    end = run(
        tmp_path,
        "kubectl",
        "kustomize",
        "./k",
        files={**files, "k/kustomization.yaml": f"resources: [{names}]".encode()},
    )

    assert end.killed == "output"
    assert len(end.output) <= OUTPUT_BYTES_MAX + (1 << 20)


def test_a_server_that_was_killed_is_started_again(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "render")
    binary = os.open(renderers() / "kubectl", os.O_RDONLY)
    assert sandbox.run(binary, ("kubectl", "version", "--client"), ()).status == 0
    server = sandbox._forks.pid
    assert server is not None
    os.kill(server, signal.SIGKILL)

    assert sandbox.run(binary, ("kubectl", "version", "--client"), ()).status == 0
    sandbox.close()
    os.close(binary)


def test_the_calls_that_are_refused_are_known_for_two_architectures() -> None:
    counts = {name: len(set(numbers)) for name, (_, numbers) in confine._CALLS.items()}

    assert counts == {"x86_64": 9, "aarch64": 9}
