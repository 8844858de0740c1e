"""Commands in a container without a way through Docker's daemons: `runc exec`, as they would call it in the end.

A probe so costs two thirds of `docker exec`'s CPU time, and answers while the daemon does not. The confinement is the
container's own: runc takes user, groups, capabilities, seccomp, AppArmor, limits and environment from the bundle that
Docker made, and joins its cgroups. Entering the namespaces by ourselves would be cheaper still and keep none of that.

Where runc keeps its state is told by the container's shim, whose working directory is the bundle. Whatever is not as
expected (another runtime, an engine elsewhere, an error of runc's own) is answered by None: the API is then asked.
Source: containerd, `runtime/v2/runc` (options.json of a bundle); runc-exec(8).
"""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from agent.runtime.processes import children_of, session_members
from agent.runtime.protocol import ExecResult

BINARY: Final = "runc"  # Others have other command lines, and other ideas of an exec.
NAMESPACE: Final = "moby"  # Docker's, in containerd.
OUTPUT_MAX_BYTES: Final = 16 << 10  # The rest is read and dropped.
READ_BYTES: Final = 32 << 10
ERRORS_MAX_BYTES: Final = 4 << 10
END_SECONDS: Final = 2.0  # For runc to see the end of what was killed.
FAILURES_MAX: Final = 5  # In a row: then the API is asked at once, or each command would be tried twice.
PLACES_MAX: Final = 8  # Engines and their runtimes on one host.


class Place(NamedTuple):
    """Of one runtime of an engine: the program, and the directory of its containers' states."""

    program: str
    root: Path
    systemd: bool  # Whether it makes its cgroups by systemd.


class Runc:
    """All containers of one engine on this host."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._places: list[Place] = []
        self._failures = 0  # Of runc itself, since it last ran a command.

    async def exec(
        self, container_id: str, pid: int, command: tuple[str, ...], *, timeout_seconds: float
    ) -> ExecResult | None:
        """`pid`: of the container's first process, 0 if not known. None: this way is not open.

        Raises TimeoutError, having killed what it started.
        """
        place = self._place(container_id, pid)
        if place is None or self._failures >= FAILURES_MAX:
            return None
        errors, ours = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            running = await self._begin(place, container_id, command, ours)
            os.close(ours)
            ours = -1
            if running is None:
                return None
            try:
                async with asyncio.timeout(timeout_seconds):
                    output = await _output(running)
                    exit_code = await running.wait()
            except (TimeoutError, asyncio.CancelledError):
                await asyncio.shield(asyncio.ensure_future(_kill(running)))
                raise
            if exit_code != 0 and _has_failed(errors):
                self._failures += 1
                return None
            self._failures = 0
            return ExecResult(exit_code, output)
        finally:
            os.close(errors)
            if ours >= 0:
                os.close(ours)

    async def _begin(
        self, place: Place, container_id: str, command: tuple[str, ...], errors: int
    ) -> asyncio.subprocess.Process | None:
        words = ["--root", str(place.root), "--log", f"/proc/self/fd/{errors}", "--log-format", "json"]
        if place.systemd:
            words.append("--systemd-cgroup")
        try:
            return await asyncio.create_subprocess_exec(
                place.program,
                *words,
                "exec",
                "--tty=false",
                container_id,
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(errors,),
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd="/",
            )
        except OSError:
            return None

    def _place(self, container_id: str, pid: int) -> Place | None:
        for place in self._places:
            if (place.root / container_id).exists():
                return place
        found = self._found(container_id, pid) if pid > 1 else None
        if found is not None:
            self._places = [found, *self._places][:PLACES_MAX]
        return found

    def _found(self, container_id: str, pid: int) -> Place | None:
        """By the parent of the container's process, which lies in the bundle if it is its shim."""
        try:
            parent = int((self._proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
            bundle = (self._proc / str(parent) / "cwd").readlink()
            if bundle.name != container_id:
                return None
            options = orjson.loads((bundle / "options.json").read_bytes())
            told = (options.get("binary_name") or BINARY, options.get("root"), options.get("systemd_cgroup"))
        except (OSError, ValueError, AttributeError, IndexError):
            return None
        name, root, systemd = told
        program = shutil.which(name) if isinstance(name, str) else None
        if not isinstance(root, str) or program is None or Path(name).name != BINARY:
            return None
        place = Place(program, Path(root) / NAMESPACE, bool(systemd))
        return place if (place.root / container_id).exists() else None


async def _output(running: asyncio.subprocess.Process) -> bytes:
    """What it says until nobody can say any more; its beginning alone is kept."""
    kept = bytearray()
    if running.stdout is not None:
        while chunk := await running.stdout.read(READ_BYTES):
            kept += chunk[: OUTPUT_MAX_BYTES - len(kept)]
    return bytes(kept)


def _has_failed(errors: int) -> bool:
    """Whether runc itself complains: else the exit code is the command's."""
    try:
        told = os.read(errors, ERRORS_MAX_BYTES)
    except BlockingIOError:
        return False
    return b'"level":"error"' in told or b'"level":"fatal"' in told


async def _kill(running: asyncio.subprocess.Process) -> None:
    """The command with its session, whose parent runc is; then runc, if that was not its end."""
    leaders = await asyncio.to_thread(lambda: tuple(children_of(running.pid)))
    for member in await asyncio.to_thread(lambda: {pid for one in leaders for pid in _session(one)}):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(member, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS if leaders else 0):
            await running.wait()
            return
    with suppress(ProcessLookupError):
        running.kill()
    await running.wait()


def _session(leader: int) -> tuple[int, ...]:
    """Its members while it has become a leader: before, runc is its session's."""
    return (leader, *session_members(leader))
