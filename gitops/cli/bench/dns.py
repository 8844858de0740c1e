"""Answers of the node's DNS against unbound's, in turn, for the same names and by the same `dnsperf`."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

import orjson

from agent.dns import DnsTable
from gitops.kinds.errors import BadRequest, Unavailable

NAMES: Final = 1_000
SECONDS: Final = 4
CLIENTS: Final = 20
GOAL_MIN: Final = 0.8
OURS_PORT: Final = 5301
UNBOUND_PORT: Final = 5302
READY_SECONDS_MAX: Final = 20.0
PROGRAMS: Final = ("unbound", "dnsperf")


def check_programs() -> None:
    """Raises BadRequest with what to install."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise BadRequest(f"not installed: {', '.join(missing)}; apt-get install {' '.join(missing)}")


def run_bench(*, runs: int) -> None:
    """Print the ratio of answers per second."""
    names = [f"web-{number}.shop.svc.cluster.local" for number in range(NAMES)]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        questions = folder / "questions"
        questions.write_text("".join(f"{name} A\n" for name in names))
        servers = [_start_ours(folder, names), _start_unbound(folder, names)]
        try:
            for port in (OURS_PORT, UNBOUND_PORT):
                _wait(port, questions)
            pairs = [(_rate(OURS_PORT, questions), _rate(UNBOUND_PORT, questions)) for _ in range(runs)]
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    ours, peer = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    print(
        f"DNS answers, {NAMES} names, {CLIENTS} clients: {ours:.0f}/s, unbound (1 thread) {peer:.0f}/s, "
        f"ratio {ours / peer:.2f} (goal >= {GOAL_MIN})"
    )


def _start_ours(folder: Path, names: list[str]) -> subprocess.Popen[bytes]:
    table = DnsTable(
        domain="cluster.local",
        pod_cidr="10.77.0.0/16",
        service_cidr="10.78.0.0/16",
        upstreams=[],
        names={
            name.removesuffix(".cluster.local"): {"A": [_address(number)]}
            for number, name in enumerate(names)
        },
        pointers={},
    )
    (folder / "dns.json").write_bytes(orjson.dumps(table))
    command = (sys.executable, "-P", "-m", "agent.dns", "--table", str(folder / "dns.json"))
    where = ("--socket", str(folder / "dns.sock"), "--listen", f"127.0.0.1:{OURS_PORT}")
    return subprocess.Popen((*command, *where), stderr=subprocess.DEVNULL)


def _start_unbound(folder: Path, names: list[str]) -> subprocess.Popen[bytes]:
    data = "".join(f'  local-data: "{name}. 5 A {_address(number)}"\n' for number, name in enumerate(names))
    config = (
        f"server:\n  interface: 127.0.0.1\n  port: {UNBOUND_PORT}\n  num-threads: 1\n  do-daemonize: no\n"
        f'  username: ""\n  chroot: ""\n  pidfile: ""\n  use-syslog: no\n  logfile: "/dev/null"\n'
        f'  access-control: 127.0.0.0/8 allow\n  local-zone: "cluster.local." static\n{data}'
        "remote-control:\n  control-enable: no\n"
    )
    (folder / "unbound.conf").write_text(config)
    command = ("unbound", "-d", "-c", str(folder / "unbound.conf"))
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _address(number: int) -> str:
    return f"10.78.{number // 200 + 1}.{number % 200 + 20}"


def _wait(port: int, questions: Path) -> None:
    end = time.monotonic() + READY_SECONDS_MAX
    while _perf(port, questions, "-n", "1") == 0:
        if time.monotonic() > end:
            raise Unavailable(f"the DNS server on port {port} does not answer")
        time.sleep(0.2)


def _rate(port: int, questions: Path) -> float:
    return _perf(port, questions, "-l", str(SECONDS), "-c", str(CLIENTS))


def _perf(port: int, questions: Path, *more: str) -> float:
    """Answers per second; 0 where there were none."""
    command = ("dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(questions), *more)
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    completed = re.search(r"Queries completed:\s+(\d+)", told)
    rate = re.search(r"Queries per second:\s+([\d.]+)", told)
    return (
        float(rate.group(1))
        if rate is not None and completed is not None and int(completed.group(1))
        else 0.0
    )
