"""What a confined renderer can and cannot do, tried from within; on this host, and on one that allows no namespaces."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitops.sync.render import confine
from gitops.sync.render.box import OUTPUT_BYTES_MAX
from gitops.sync.render.confine import UID
from gitops.sync.render.sandbox import Sandbox
from tests.integration.sync import confined_probe
from tests.tools.kubectl import renderers


def confined(tmp_path: Path, *, namespaces: bool = True) -> dict[str, str]:
    """What a process found that was confined as a renderer is; `network` is looked at from outside."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    binary = os.open(renderers() / "kubectl", os.O_RDONLY)
    reading, writing = os.pipe()
    seen, may_go = os.pipe()
    given = (binary, writing, seen)
    # An interpreter of its own: with what the test run holds open by now, its own limits would end it.
    command = [sys.executable, "-m", confined_probe.__name__, str(folder)]
    command += [*map(str, given), str(int(namespaces))]
    with subprocess.Popen(command, pass_fds=given) as probe:
        for theirs in given:
            os.close(theirs)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        network = Path(f"/proc/{probe.pid}/ns/net").readlink()
        os.close(may_go)
    assert probe.returncode == 0
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
    found = confined(tmp_path, namespaces=False)

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
