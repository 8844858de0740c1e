"""Real kubectl runs commands in containers, attaches to them and forwards ports, over real sockets to a real agent's
handlers over the fake engine."""

import fcntl
import os
import pty
import socket
import socketserver
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from gitops.kinds.core.pod import POD
from tests.integration.api.pods_of import PATIENCE_SECONDS, a_running_pod
from tests.integration.api.served import Served


def until(holds: "threading.Event") -> None:
    assert holds.wait(PATIENCE_SECONDS)


def run(api: Served, *arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = api.command("-n", "shop", *arguments)
    return subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)


def test_exec_gives_both_outputs_and_the_exit_code(api: Served) -> None:
    with a_running_pod(api):
        done = run(api, "exec", "web", "--", "fail", "7")

        assert done.stdout == b"to out\n"
        assert done.stderr == b"to err\ncommand terminated with exit code 7\n"
        assert done.returncode == 7
        assert run(api, "exec", "web", "--", "fail", "0").returncode == 0


def test_exec_takes_input_to_its_end(api: Served) -> None:
    given = b"line of input\n" * 100_000
    with a_running_pod(api):
        done = run(api, "exec", "-i", "web", "--", "cat", given=given)

        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == given


def on_a_terminal(api: Served, *arguments: str, exits: int = 0) -> bytes:
    """What kubectl shows on a terminal of 99 columns and 33 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    command = api.command("-n", "shop", *arguments)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        assert process.wait(30) == exits
        return os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)


def test_exec_on_a_terminal_tells_its_size(api: Served) -> None:
    with a_running_pod(api):
        assert b"99x33 tty=True" in on_a_terminal(api, "exec", "-it", "web", "--", "size")


def test_what_cannot_be_run_is_told(api: Served) -> None:
    with a_running_pod(api):
        assert b"a simulated container runs no programs" in run(api, "exec", "web", "--", "none").stderr
        assert (
            b"container other is not valid for pod web"
            in run(api, "exec", "web", "-c", "other", "--", "cat").stderr
        )
        assert b'pods "nope" not found' in run(api, "exec", "nope", "--", "cat").stderr


def test_a_slow_reader_stops_the_process_and_a_client_that_leaves_kills_it(api: Served) -> None:
    with a_running_pod(api) as pod:
        process = subprocess.Popen(
            api.command("-n", "shop", "exec", "web", "--", "yes"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        until(pod.begun)
        settled, end = -1, monotonic() + PATIENCE_SECONDS
        while settled != pod.seen.get("written"):
            settled = pod.seen.get("written", 0)
            assert monotonic() < end
            sleep(1)
        assert settled < 16 << 20  # Buffers of sockets and pipes on the way, and no more.
        assert not pod.ended.is_set()

        process.kill()
        process.wait(10)

        until(pod.ended)
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]


def test_a_process_that_takes_no_input_is_killed_with_its_client(api: Served) -> None:
    with a_running_pod(api) as pod:
        process = subprocess.Popen(
            api.command("-n", "shop", "exec", "-i", "web", "--", "deaf"), stdin=subprocess.PIPE
        )
        until(pod.begun)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        with_room = monotonic() + 3
        while monotonic() < with_room:
            process.stdin.raw.write(b"x" * 65_536)  # type: ignore[attr-defined]
            sleep(0.01)
        process.kill()
        process.wait(10)

        until(pod.ended)
        process.stdin.close()


def test_an_agent_that_ends_ends_its_streams_with_the_reason(api: Served) -> None:
    with a_running_pod(api) as pod:
        process = subprocess.Popen(
            api.command("-n", "shop", "exec", "web", "--", "deaf"), stderr=subprocess.PIPE
        )
        until(pod.begun)

        api.run(pod.stop())

        assert process.wait(20) == 1
        assert process.stderr is not None
        assert b"node n1: the connection was lost" in process.stderr.read()
        process.stderr.close()
        assert pod.ended.is_set()
        assert b"node n1 is not connected" in run(api, "exec", "web", "--", "cat").stderr


def test_attach_joins_the_containers_own_process(api: Served) -> None:
    with a_running_pod(api):
        done = run(api, "attach", "-i", "web", given=b"hello\n")

        assert done.stdout == b"hello\n"
        assert done.returncode == 0


class _Echo(socketserver.StreamRequestHandler):
    """Answers when the client has said everything: it needs a half-closed connection."""

    def handle(self) -> None:
        said = self.rfile.read()
        self.wfile.write(b"heard %d bytes" % len(said))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def listening() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def forwarding(
    api: Served, *arguments: str, **environment: str
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A `kubectl port-forward` and the port that it listens on."""
    process = subprocess.Popen(
        api.command("-n", "shop", "port-forward", "--address=127.0.0.1", *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    try:
        assert line.startswith("Forwarding from 127.0.0.1:"), line
        yield process, int(line.split()[2].rpartition(":")[2])
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()  # type: ignore[union-attr]


def ask(port: int, said: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while part := connection.recv(4096):
            heard += part
        return heard


def test_ports_are_forwarded_several_at_once_and_half_closed(api: Served) -> None:
    with a_running_pod(api) as pod, listening() as port:
        pod.ports[80] = port
        with forwarding(api, "pod/web", ":80") as (_, local):
            answers: list[bytes] = []
            threads = [
                threading.Thread(target=lambda size=size: answers.append(ask(local, b"x" * size)))
                for size in (0, 1, 100_000, 1_000_000)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)

    assert sorted(answers) == sorted(
        [b"heard 0 bytes", b"heard 1 bytes", b"heard 100000 bytes", b"heard 1000000 bytes"]
    )


def test_a_port_on_which_nothing_listens_is_told(api: Served) -> None:
    with a_running_pod(api) as pod, forwarding(api, "pod/web", ":81") as (process, local):
        assert ask(local, b"x") == b""
        assert process.stderr is not None
        told = process.stderr.readline()

        assert b"error forwarding port 81 to pod web" in told
        assert b"Connection refused" in told
        assert pod.ports == {}


def test_a_pod_that_is_gone_has_no_ports(api: Served) -> None:
    with a_running_pod(api):
        api.remove(POD, "shop", "web")

        assert b'pods "web" not found' in run(api, "port-forward", "pod/web", "8080:80").stderr


def test_clients_that_speak_only_spdy_are_served_too(api: Served) -> None:
    without = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}
    given = b"line of input\n" * 50_000
    with a_running_pod(api):
        command = api.command("-n", "shop", "exec", "-i", "web", "--", "cat")
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=30, check=False, env={**os.environ, **without}
        )
        failed = subprocess.run(
            api.command("-n", "shop", "exec", "web", "--", "fail", "3"),
            capture_output=True, timeout=30, check=False, env={**os.environ, **without},
        )  # fmt: skip

        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == given
        assert (failed.returncode, failed.stdout) == (3, b"to out\n")


def test_ports_are_forwarded_over_plain_spdy_too(api: Served) -> None:
    with a_running_pod(api) as pod, listening() as port:
        pod.ports[80] = port
        with forwarding(api, "pod/web", ":80", KUBECTL_PORT_FORWARD_WEBSOCKETS="false") as (_, local):
            assert [ask(local, b"x" * size) for size in (3, 70_000)] == [
                b"heard 3 bytes",
                b"heard 70000 bytes",
            ]
