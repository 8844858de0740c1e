"""The sandbox's program, run as it is: what it does with and without an argument, and how it ends."""

import os
import platform
import signal
import subprocess
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep

import pytest

from agent.runtime import pause
from agent.runtime.unshared import is_unshared

NOBODY = 65534
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    if not HERE:
        pytest.skip(f"there is no pause program for {platform.machine()}")
    path = tmp_path / "pause"
    path.write_bytes(pause.elf(HERE))
    path.chmod(0o755)
    return path


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def asleep(process: subprocess.Popen[bytes]) -> None:
    """Until it waits for signals, which it has blocked by then."""
    end = monotonic() + 20
    while "pause" not in Path(f"/proc/{process.pid}/comm").read_text() or state_of(process.pid) != "S":
        assert monotonic() < end
        sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stays_where_it_is_without_an_argument_and_ends_well_when_told(
    program: Path, number: signal.Signals
) -> None:
    with subprocess.Popen([program]) as process:
        asleep(process)
        process.send_signal(signal.SIGUSR1)
        asleep(process)
        where = Path(f"/proc/{process.pid}/ns/net").readlink()
        process.send_signal(number)

        assert process.wait(timeout=20) == 0
    assert where == Path("/proc/self/ns/net").readlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may leave a network namespace")
def test_with_an_argument_it_leaves_the_network_and_gives_up_root(program: Path) -> None:
    with subprocess.Popen([program, pause.UNSHARE]) as process:
        try:
            asleep(process)
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            )

            assert is_unshared(process.pid)
            assert status["Uid"].split() == status["Gid"].split() == ["65535"] * 4
            assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        finally:
            process.terminate()
        assert process.wait(timeout=20) == 0


def test_where_it_may_not_leave_it_ends_with_1_and_stays_nowhere(program: Path) -> None:
    readable = Path("/tmp") / f"gitward-pause-{os.getpid()}"  # The test's own folder is root's alone.
    readable.write_bytes(program.read_bytes())
    readable.chmod(0o755)
    try:
        user = NOBODY if os.geteuid() == 0 else None
        assert subprocess.run([readable, pause.UNSHARE], user=user, timeout=20, check=False).returncode == 1
    finally:
        readable.unlink()


def test_the_program_of_an_architecture_is_the_one_that_was_tried() -> None:
    """arm64 was run in an emulator, call by call; a changed program has to be tried again."""
    assert sha256(pause.elf("arm64")).hexdigest() == ARM64
    assert sha256(pause.elf("amd64")).hexdigest() == AMD64


ARM64 = "c258c02d6c4b67310667a9c50be587755c04ee7cc463a5196578d03e6d083b41"
AMD64 = "781e46535c566e68813ef09002237ecc58a55d3ec64743f33f8f3b92809bc174"
