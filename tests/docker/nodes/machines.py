"""Machines on one machine: each a network, mount and pid namespace with a Docker engine of its own.

The namespaces' first process stands for the machine: killing it is pulling the plug. The networks are made in the
test's own network namespace, which has to be one that may be changed (`tests/tools/isolated`).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from docker.api.client import APIClient
from docker.errors import DockerException

from tests.docker.engine import load_busybox

INIT: Final = (
    "import signal,sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nsys.stdout.write('up')\nsys.stdout.flush()\n"
    "while True: signal.pause()"
)
SNAPSHOT: Final = (
    "import json; from tests.docker.snapshot import snapshot;"
    " print(json.dumps({part: sorted(found) for part, found in snapshot().items()}))"
)
GITWARD: Final = (sys.executable, "-m", "gitops.cli.main")
WAIT_SECONDS: Final = 120.0
BRIDGE: Final = "gn0"


def eventually(is_so: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done.stdout


@dataclass
class Machine:
    """`number` from 1; `address` its own, `router` the test's on the same network."""

    number: int
    folder: Path
    address: str
    router: str
    live_restore: bool = False
    moved_from: str = ""
    init: subprocess.Popen[bytes] | None = None
    _agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"n{self.number}"

    @property
    def link(self) -> str:
        return f"gn-{self.name}"

    @property
    def docker_host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"

    def inside(self, *command: str) -> tuple[str, ...]:
        assert self.init is not None
        return ("nsenter", "-n", "-m", "-p", "-u", "-t", str(self.init.pid), "--", *command)

    def run(self, *command: str) -> str:
        return run(*self.inside(*command))

    def boot(self, bridged: bool) -> None:
        """Namespaces, network, engine."""
        self.folder.mkdir(exist_ok=True)
        command = ("unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc",
                   "--propagation", "private", sys.executable, "-c", INIT)  # fmt: skip
        outer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert outer.stdout is not None
        assert outer.stdout.read(2) == b"up"
        self._outer = outer
        child = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
        self.init = _Process(child)  # type: ignore[assignment] # Only its pid is asked for.
        self.run("mount", "-t", "tmpfs", "tmpfs", "/run")  # Sockets and pids of each machine's own.
        self.run("hostname", self.name)
        self._wire(bridged)
        self.start_engine()

    def _wire(self, bridged: bool) -> None:
        assert self.init is not None
        run(
            "ip",
            "link",
            "add",
            self.link,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            str(self.init.pid),
        )
        if bridged:
            run("ip", "link", "set", self.link, "master", BRIDGE)
        else:
            run("ip", "addr", "add", f"{self.router}/24", "dev", self.link)
        run("ip", "link", "set", self.link, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", self.router)

    def start_engine(self) -> None:
        home = self.folder
        (home / "docker.pid").unlink(missing_ok=True)
        flags = ["--data-root", f"{home}/root", "--exec-root", "/run/docker", "--pidfile", f"{home}/docker.pid",
                 "-H", self.docker_host, "--bridge", "none", "--iptables=false", "--ip-forward=false"]  # fmt: skip
        if self.live_restore:
            flags.append("--live-restore")
        # A very quick start after a kill once fails with "timeout waiting for containerd".
        if not self._started(flags) and not self._started(flags):
            raise AssertionError((home / "docker.log").read_text()[-2000:])
        load_busybox(self.docker_host)

    def _started(self, flags: list[str]) -> bool:
        with (self.folder / "docker.log").open("ab") as log:
            engine = subprocess.Popen(self.inside("dockerd", *flags), stdout=log, stderr=log)
        eventually(lambda: engine.poll() is not None or self._answers(), "the engine answers or ends", 60)
        return self._answers()

    def _answers(self) -> bool:
        try:
            with contextlib.closing(self.engine()) as api:
                return bool(api.ping())
        except (DockerException, OSError):
            return False

    def engine(self) -> Any:
        return APIClient(base_url=self.docker_host, version="1.41", timeout=30)

    def kill_engine(self) -> None:
        self.run("sh", "-c", f"kill -9 $(cat {self.folder}/docker.pid)")
        eventually(lambda: not self._answers(), "the engine is gone", 20)

    def start_agent(self, *flags: str) -> None:
        """By its own identity where it joined already."""
        self.data_dir.mkdir(exist_ok=True)
        command = (*GITWARD, "agent", f"--data-dir={self.data_dir}", f"--node-name={self.name}", *flags)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                self.inside("env", f"DOCKER_HOST={self.docker_host}", *command), stdout=log, stderr=log
            )
        self._agents.append(started)

    def stop_agent(self, how: str = "TERM") -> None:
        pid = (self.data_dir / "agent.pid").read_text().split()[0]
        self.run("kill", f"-{how}", pid)
        self._agents[-1].wait(40)

    def freeze_agent(self) -> None:
        pid = (self.data_dir / "agent.pid").read_text().split()[0]
        self.run("kill", "-STOP", pid)

    def thaw_agent(self) -> None:
        # nsenter stops when its child does, and wakes it when it is woken.
        self._agents[-1].send_signal(signal.SIGCONT)

    def down(self) -> str:
        return self.run(
            "env", f"DOCKER_HOST={self.docker_host}", *GITWARD, "down", f"--data-dir={self.data_dir}"
        )

    def pull_the_plug(self) -> None:
        """All its processes end at once, as by a power cut; the disk stays."""
        assert self.init is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init.pid, signal.SIGKILL)
        self._outer.wait(20)
        subprocess.run(("ip", "link", "del", self.link), check=False, capture_output=True)

    def move(self) -> None:
        """Another address on the same network, as a new lease would give."""
        self.moved_from = self.address
        head, _, last = self.address.rpartition(".")
        self.run("ip", "addr", "del", f"{self.address}/24", "dev", "eth0")
        self.address = f"{head}.{int(last) + 100}"
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "route", "replace", "default", "via", self.router)

    def snapshot(self) -> dict[str, list[str]]:
        """As `tests.docker.snapshot` sees this machine, without what its engine mounts for itself."""
        here = Path(__file__).parents[3]
        told: dict[str, list[str]] = json.loads(
            self.run("env", f"PYTHONPATH={here}", sys.executable, "-c", SNAPSHOT)
        )
        own = (f"{self.folder}/root", "/run/docker")
        return {**told, "mounts": [one for one in told["mounts"] if not one.startswith(own)]}

    def cut(self) -> None:
        run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        run("ip", "link", "set", self.link, "up")

    def containers(self, *, all_: bool = False) -> list[dict[str, Any]]:
        """App containers, not sandboxes."""
        with contextlib.closing(self.engine()) as api:
            found = api.containers(all=all_, filters={"label": ["io.gitward.pod-uid"]})
        return [one for one in found if one["Labels"]["io.gitward.container"].islower()]

    def in_pod(self, uid: str, *command: str) -> str:
        """What a command in a pod's container says; '' if it failed."""
        (one,) = (each for each in self.containers() if each["Labels"]["io.gitward.pod-uid"] == uid)
        with contextlib.closing(self.engine()) as api:
            made = api.exec_create(one["Id"], ["busybox", "timeout", "5", *command])
            said = api.exec_start(made["Id"])
            return said.decode() if api.exec_inspect(made["Id"])["ExitCode"] == 0 else ""


class _Process:
    def __init__(self, pid: int) -> None:
        self.pid = pid


@contextlib.contextmanager
def machines(folder: Path, *, bridged: bool, live_restore: frozenset[int]) -> Iterator[list[Machine]]:
    """Three: on one bridge, or each on a network of its own with the test's namespace as the router between."""
    made = [
        Machine(
            number,
            folder / f"n{number}",
            f"10.200.0.{number}" if bridged else f"10.200.{number}.1",
            "10.200.0.254" if bridged else f"10.200.{number}.254",
            number in live_restore,
        )
        for number in (1, 2, 3)
    ]
    rule = ("FORWARD", "-i", "gn+", "-o", "gn+", "-j", "ACCEPT")
    run("iptables", "-w", "5", "-I", *rule)
    if bridged:
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", "10.200.0.254/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
    else:
        run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    try:
        for machine in made:
            machine.boot(bridged)
        yield made
    finally:
        for machine in made:
            if machine.init is not None:
                machine.pull_the_plug()
            print(f"--- {machine.name}", machine.log.read_text()[-6000:] if machine.log.exists() else "")
        subprocess.run(("ip", "link", "del", BRIDGE), check=False, capture_output=True)
        run("iptables", "-w", "5", "-D", *rule)
