"""The renderers' processes: a server that forks one keeper for each render; the keeper confines itself, starts the
renderer in its confinement, and sends back what that said. Nothing here reads what a repository holds: bytes only.

Run as `python -m gitops.sync.render.box FD`; `gitops/sync/render/sandbox.py` is the other side.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple, NoReturn

from gitops.sync.render.confine import Private
from gitops.sync.render.fork_server import say_nothing, serve_forks
from gitops.sync.render.wire import receive_frame, send_frame

ORDER_BYTES_MAX: Final = 8 << 20
FILE_BYTES_MAX: Final = 64 << 20
OUTPUT_BYTES_MAX: Final = 16 << 20
ERROR_BYTES_MAX: Final = 64 << 10
WALL_SECONDS_MAX: Final = 10.0
NOT_STARTED: Final = 126  # The shell's word for a file that cannot be executed.
ENVIRONMENT: Final = {"HOME": "/", "GOMAXPROCS": "1", "HELM_PLUGINS": "/nowhere"}  # And no PATH.


class End(NamedTuple):
    """How a renderer ended. `killed`: why it had to be, else ''."""

    status: int
    killed: str
    output: bytes
    errors: bytes


def main(control_fd: int) -> None:
    """Fork a keeper for each socket and binary that arrive, until the master is gone."""
    with socket.socket(fileno=control_fd) as control:
        say_nothing(os.open(os.devnull, os.O_RDWR))
        serve_forks(control, "ready", _keep, descriptors_max=2)


def _keep(descriptors: Sequence[int]) -> NoReturn:
    """One render: an order (JSON) and the files that it names, in; an end (JSON), output and errors, out."""
    try:
        requests, binary = socket.socket(fileno=descriptors[0]), descriptors[1]
        order: dict[str, Any] = json.loads(receive_frame(requests, bytes_max=ORDER_BYTES_MAX))
        contents = [receive_frame(requests, bytes_max=FILE_BYTES_MAX) for _ in order["paths"]]
        private = Private(order["folder"])
        try:
            private.enter()
            _write(order["paths"], contents)
            private.seal(binary)
            end = _run(
                private,
                binary,
                order["arguments"],
                is_enough=bool({"empty root", "Landlock"} & {*private.held}),
            )
        except OSError as error:
            end = End(NOT_STARTED, "", b"", f"cannot be confined: {error}".encode())
        told = {"status": end.status, "killed": end.killed, "held": ", ".join(private.held) or "none"}
        send_frame(requests, json.dumps(told).encode())
        send_frame(requests, end.output)
        send_frame(requests, end.errors)
    finally:
        os._exit(0)  # Whatever happened: nothing of the server's runs in a keeper.


def _write(paths: list[str], contents: list[bytes]) -> None:
    """Fresh files in the empty folder that is our current directory. Never a link."""
    for path, content in zip(paths, contents, strict=True):
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)


def _run(private: Private, binary: int, arguments: list[str], *, is_enough: bool) -> End:
    if not is_enough:
        return End(
            NOT_STARTED,
            "",
            b"",
            b"this host offers neither namespaces nor Landlock: nothing is rendered on it",
        )
    output, errors = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(private, binary, arguments, output[1], errors[1])
    os.close(output[1])
    os.close(errors[1])
    taken = {output[0]: bytearray(), errors[0]: bytearray()}
    killed = _drained(taken, {output[0]: OUTPUT_BYTES_MAX, errors[0]: ERROR_BYTES_MAX})
    if killed:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not killed and os.WIFSIGNALED(status):
        killed = "memory or processor time"
    return End(os.waitstatus_to_exitcode(status), killed, bytes(taken[output[0]]), bytes(taken[errors[0]]))


def _become(private: Private, binary: int, arguments: list[str], output: int, errors: int) -> NoReturn:
    try:
        os.dup2(output, 1)
        os.dup2(errors, 2)
        private.limit()
        os.execve(binary, arguments, ENVIRONMENT)  # noqa: S606 # A vector; which file is never the repository's choice.
    except OSError as error:
        os.write(2, f"cannot be started: {error.strerror} (wanted: the statically linked release)".encode())
    finally:
        os._exit(NOT_STARTED)


def _drained(taken: dict[int, bytearray], bytes_max: dict[int, int]) -> str:
    """Read to the ends of both pipes; says why it stopped before ('' if it did not)."""
    deadline = monotonic() + WALL_SECONDS_MAX
    left = set(taken)
    while left:
        ready, _, _ = select.select(list(left), [], [], max(deadline - monotonic(), 0))
        if not ready:
            return "time"
        for descriptor in ready:
            part = os.read(descriptor, 1 << 20)
            taken[descriptor] += part
            if not part:
                left.discard(descriptor)
            if len(taken[descriptor]) > bytes_max[descriptor]:
                return "output"
    return ""


if __name__ == "__main__":
    main(int(sys.argv[1]))
