"""Real kubectl against real containers: exec, attach, cp, port-forward and logs with all options."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.docker import DockerRuntime
from agent.runtime.processes import session_of
from tests.docker.pods.inside import FOREVER, container
from tests.integration.api.builders import a_node
from tests.integration.api.pods_of import NODE, Running, a_running_pod
from tests.integration.api.served import Served, serving
from tests.integration.api.test_kubectl_exec import ask, forwarding, on_a_terminal, run

PATIENCE_SECONDS = 30.0


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@contextmanager
def a_pod_of(
    api: Served, docker_host: str, script: str = FOREVER, *containers: Mapping[str, Any], **fields: Any
) -> Iterator[Running]:
    """A pod whose container `app` runs a script."""

    async def connect() -> DockerRuntime:
        return await DockerRuntime.connect(docker_host, cluster="streams")

    async def clean(runtime: DockerRuntime) -> None:
        for state in await runtime.states():
            await runtime.remove(state.id)
        await runtime.close()

    runtime = api.run(connect())
    every = [container("app", script, **fields), *containers]
    try:
        with a_running_pod(api, engine=runtime, containers=every) as running:
            yield running
    finally:
        api.run(clean(runtime))


def eventually(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not after {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(0.1)


def processes_with(text: str) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line and b"kubectl" not in line:
                found.add(int(entry.name))
    return found


def test_exec_keeps_outputs_apart_and_gives_the_exit_code(api: Served, docker_host: str) -> None:
    with a_pod_of(api, docker_host):
        done = run(api, "exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 42")

        assert (done.stdout, done.returncode) == (b"out\n", 42)
        assert done.stderr == b"err\ncommand terminated with exit code 42\n"
        missing = run(api, "exec", "web", "--", "/no/such/program")
        assert missing.returncode in (126, 127)
        assert b"no such file or directory" in missing.stdout + missing.stderr


def test_input_goes_in_to_its_end_and_a_megabyte_comes_back(api: Served, docker_host: str) -> None:
    given = os.urandom(1 << 20)
    with a_pod_of(api, docker_host):
        done = run(api, "exec", "-i", "web", "--", "cat", given=given)

        assert done.returncode == 0
        assert done.stdout == given


def test_a_terminal_has_the_size_of_the_users(api: Served, docker_host: str) -> None:
    with a_pod_of(api, docker_host):
        told = on_a_terminal(
            api, "exec", "-it", "web", "--", "sh", "-c", "sleep 1; stty size; exit 5", exits=5
        )

        assert b"33 99" in told


def test_a_client_that_leaves_takes_its_processes_with_it(api: Served, docker_host: str) -> None:
    with a_pod_of(api, docker_host):
        command = api.command(
            "-n", "shop", "exec", "web", "--", "sh", "-c", "sleep 98765 & sleep 98764; true"
        )
        client = subprocess.Popen(command)
        eventually(lambda: len(processes_with("98765")) >= 2, "both run")
        leaders = {session_of(Path(f"/proc/{pid}/stat").read_bytes()) for pid in processes_with("98765")}

        client.kill()
        client.wait(10)

        eventually(lambda: not processes_with("98765") and not processes_with("98764"), "both are gone")
        assert len(leaders) == 1


def test_cp_copies_both_ways(api: Served, docker_host: str, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "big").write_bytes(os.urandom(3 << 20))
    (folder / "a name").write_text("content\n")
    with a_pod_of(api, docker_host):
        assert run(api, "cp", str(folder), "web:/data/copied").returncode == 0
        assert run(api, "cp", "web:/data/copied", str(tmp_path / "back")).returncode == 0

    assert (tmp_path / "back" / "big").read_bytes() == (folder / "big").read_bytes()
    assert (tmp_path / "back" / "a name").read_text() == "content\n"


def test_attach_to_a_process_that_reads_once(api: Served, docker_host: str) -> None:
    with a_pod_of(api, docker_host, "cat; echo over; sleep 100", stdin=True, stdinOnce=True):
        client = subprocess.Popen(
            api.command("-n", "shop", "attach", "-i", "web"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"hello\n"
        client.stdin.close()
        assert client.stdout.readline() == b"over\n"
        client.kill()
        client.wait(10)
        client.stdout.close()


def test_a_port_on_loopback_alone_is_reached_many_times(api: Served, docker_host: str) -> None:
    script = "mkdir -p /tmp/www; echo hello > /tmp/www/index.html; httpd -f -p 127.0.0.1:80 -h /tmp/www"
    with a_pod_of(api, docker_host, script), forwarding(api, "pod/web", ":80") as (_, local):
        answers = [ask(local, b"GET /index.html HTTP/1.0\r\n\r\n") for _ in range(5)]

    assert all(answer.endswith(b"hello\n") for answer in answers)


def test_the_options_of_logs(api: Served, docker_host: str) -> None:
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.2; done; " + FOREVER
    with a_pod_of(api, docker_host, script, container("other", f"echo other; {FOREVER}")):
        eventually(lambda: b"err 3" in run(api, "logs", "web", "-c", "app").stdout, "all was said")
        whole = run(api, "logs", "web", "-c", "app").stdout.splitlines()

        assert sorted(whole) == [b"err 1", b"err 2", b"err 3", b"out 1", b"out 2", b"out 3"]
        assert run(api, "logs", "web", "-c", "app", "--tail=2").stdout.splitlines() == whole[-2:]
        assert run(api, "logs", "web", "-c", "app", "--limit-bytes=4").stdout == b"\n".join(whole)[:4]
        assert run(api, "logs", "web", "-c", "app", "--since=1h").stdout.splitlines() == whole
        raw = "/api/v1/namespaces/shop/pods/web/log?container=app"
        stamped = run(api, "logs", "web", "-c", "app", "--timestamps").stdout.splitlines()
        last_time, _, last = stamped[-1].decode().partition(" ")
        assert last.encode() == whole[-1]
        assert run(api, "get", "--raw", f"{raw}&sinceTime={last_time}").stdout.splitlines() == whole[-1:]
        assert (
            run(api, "logs", "web", "-c", "app", f"--since-time={last_time}").stdout.splitlines()[-1:]
            == whole[-1:]
        )
        both = run(api, "logs", "web", "--all-containers", "--prefix").stdout
        assert b"[pod/web/other] other\n" in both
        assert b"out 2\n" in both
        raw += "&stream="
        assert run(api, "get", "--raw", raw + "Stderr").stdout == b"err 1\nerr 2\nerr 3\n"
        assert run(api, "get", "--raw", raw + "Stdout").stdout == b"out 1\nout 2\nout 3\n"
        assert b"must be greater than 0" in run(api, "get", "--raw", raw + "All&limitBytes=0").stderr


def test_following_goes_on_where_the_engine_begins_a_new_file(api: Served, docker_host: str) -> None:
    """The engine keeps files of 10 MB: this is about twice as much."""
    script = "sleep 2; seq 1 250000; echo last; sleep 1"
    with a_pod_of(api, docker_host, script):
        done = run(api, "logs", "-f", "web")

    lines = done.stdout.splitlines()
    assert lines == [*(b"%d" % number for number in range(1, 250_001)), b"last"]


def test_top_and_cadvisors_metrics_tell_what_a_busy_container_uses(api: Served, docker_host: str) -> None:
    api.create(a_node(NODE))
    with a_pod_of(api, docker_host, "while :; do :; done"):
        eventually(lambda: b"web" in run(api, "top", "pods", "--no-headers").stdout, "its use is known")
        milli_cores = int(run(api, "top", "pods", "--no-headers").stdout.split()[1].removesuffix(b"m"))
        page = f"/api/v1/nodes/{NODE}/proxy/metrics/cadvisor"
        told = run(api, "get", "--raw", page).stdout.decode().splitlines()

    assert 100 <= milli_cores <= 1_100
    seconds = [line for line in told if line.startswith('container_cpu_usage_seconds_total{container="app"')]
    assert float(seconds[0].split()[-1]) > 0.1
    working_set = [
        line for line in told if line.startswith('container_memory_working_set_bytes{container="app"')
    ]
    assert 10_000 < float(working_set[0].split()[-1]) < 50_000_000
