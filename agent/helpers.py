"""Processes that outlive the agent, because running pods need them: DNS and the ingress proxy.

A helper leads a session of its own. A later agent takes it over by pid, start time and a hello that names its version;
one of another version is replaced. While an agent runs, a helper that died is back within a second. The record of a
helper lies in the run directory, so it is gone after a reboot, as the process is.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple, TypedDict

import orjson

from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

READY_SECONDS_MAX: Final = 15.0
HELLO_SECONDS_MAX: Final = (
    10.0  # One that is busy, or that reloads, is not one that hangs: replacing it costs requests.
)
STOP_SECONDS_MAX: Final = 3.0
POLL_SECONDS: Final = 0.02
HEALTHY_SECONDS: Final = 5.0  # One that lived as long is started again at once; others wait longer each time.
RESTART_DELAY_SECONDS_MIN: Final = 0.1
RESTART_DELAY_SECONDS_MAX: Final = 5.0
LOG_BYTES_MAX: Final = 1 << 20
LOG_TAIL_BYTES: Final = 2000
RECORD_SUFFIX: Final = ".pid.json"


class Record(TypedDict):
    pid: int
    started: str  # Field 22 of /proc/PID/stat: pids are used again, the pair is not.


class Greeting(NamedTuple):
    """Of whoever answers: a predecessor that is still there is not the one that was started."""

    version: str
    pid: int


@dataclass(frozen=True, slots=True)
class HelperSpec:
    """`version`: what a helper of today answers to a hello. `gentle`: the signal by which it ends what it has first."""

    name: str
    command: tuple[str, ...]
    run_dir: Path
    version: str
    gentle: signal.Signals = signal.SIGTERM

    @property
    def record_file(self) -> Path:
        return self.run_dir / (self.name + RECORD_SUFFIX)

    @property
    def log_file(self) -> Path:
        return self.run_dir / (self.name + ".log")


class Helper:
    """`hello` asks the running one who it is; raises Unavailable while it does not answer.

    `spawn` makes its process, seen from here by the pid that it returns; it blocks, in a thread.
    """

    def __init__(
        self, spec: HelperSpec, hello: Callable[[], Awaitable[Greeting]], spawn: "Spawn | None" = None
    ) -> None:
        self.spec = spec
        self._spawn = spawn or spawn_process
        self._hello = hello
        self._pid = 0
        # Held while one is started: two starts at once would leave a process that nobody knows of.
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int:
        return self._pid

    def is_running(self) -> bool:
        record = read_record(self.spec.record_file)
        return record is not None and is_alive(record)

    async def ensure(self) -> bool:
        """Running, of our version and answering when it returns. True: it was started, not taken over."""
        async with self._starting:
            return await self._ensure()

    async def _ensure(self) -> bool:
        record = read_record(self.spec.record_file)
        version = await self._version_of(record) if record is not None else ""
        if record is None or not is_alive(record):
            await self._start()
            return True
        if version == self.spec.version:
            self._pid = record["pid"]
            return False
        # The successor first: helpers share their ports with it, so nobody asks in vain meanwhile.
        try:
            await self._start()
        except Unavailable:
            self._write(record)
            raise
        await stop(record, self.spec.gentle)
        return True

    async def _version_of(self, record: Record) -> str:
        """'' if it does not say in time, or ends meanwhile."""
        end = monotonic() + HELLO_SECONDS_MAX
        while is_alive(record):
            try:
                return (await self._hello()).version
            except Unavailable as error:
                if monotonic() > end:
                    fields = {"helper": self.spec.name, "error": str(error)}
                    log.warning("a helper does not answer", extra={"fields": fields})
                    return ""
            await asyncio.sleep(POLL_SECONDS)
        return ""

    async def keep(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        delay_seconds = 0.0
        while True:
            begin = monotonic()
            await self._ended()
            if monotonic() - begin > HEALTHY_SECONDS:
                delay_seconds = 0.0
            log.warning("a helper ended", extra={"fields": {"helper": self.spec.name, "pid": self._pid}})
            await asyncio.sleep(delay_seconds)
            try:
                await self.ensure()
            except Unavailable as error:
                log.error(
                    "a helper does not start",
                    extra={"fields": {"helper": self.spec.name, "error": str(error)}},
                )
            delay_seconds = min(max(delay_seconds * 2, RESTART_DELAY_SECONDS_MIN), RESTART_DELAY_SECONDS_MAX)

    async def stop(self) -> None:
        if (record := read_record(self.spec.record_file)) is not None:
            await stop(record)
        self.spec.record_file.unlink(missing_ok=True)

    async def _start(self) -> None:
        self.spec.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        record, said_before = await asyncio.to_thread(self._spawn_recorded)
        self._pid = record["pid"]
        end = monotonic() + READY_SECONDS_MAX
        while is_alive(record) and monotonic() < end:
            with suppress(Unavailable):
                # Its predecessor may still answer for a moment, and must not go before it does.
                if await self._hello() == (self.spec.version, self._pid):
                    log.info(
                        "a helper was started", extra={"fields": {"helper": self.spec.name, "pid": self._pid}}
                    )
                    return
            await asyncio.sleep(POLL_SECONDS)
        await stop(record)
        raise Unavailable(f"{self.spec.name} does not start: {_log_tail(self.spec.log_file, said_before)}")

    def _spawn_recorded(self) -> tuple[Record, int]:
        """In one step, in a thread: an agent that is stopped meanwhile leaves no helper that nobody knows of.

        Also how many bytes its log had before.
        """
        said_before = 0
        with suppress(FileNotFoundError):
            said_before = self.spec.log_file.stat().st_size
            if said_before > LOG_BYTES_MAX:
                self.spec.log_file.unlink()
                said_before = 0
        pid = self._spawn(self.spec)
        record = Record(pid=pid, started=start_time(pid))
        self._write(record)
        return record, said_before

    def _write(self, record: Record) -> None:
        self.spec.record_file.write_bytes(orjson.dumps(record))

    async def _ended(self) -> None:
        """Until the process is gone, ours or taken over."""
        with _pidfd(self._pid) as descriptor:
            if descriptor is not None:
                loop, gone = asyncio.get_running_loop(), asyncio.Event()
                loop.add_reader(descriptor, gone.set)
                try:
                    await gone.wait()
                finally:
                    loop.remove_reader(descriptor)
        reap(self._pid)


Spawn = Callable[[HelperSpec], int]


def package_path() -> str:
    """Where the code of this very agent lies, wherever it runs from."""
    return str(Path(__file__).parents[1])


def spawn_process(spec: HelperSpec) -> int:
    """Its pid. A session of its own: no signal to the agent's group reaches it; no descriptor of ours is inherited."""
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        return os.posix_spawnp(
            spec.command[0],
            spec.command,
            {**os.environ, "PYTHONPATH": package_path()},
            setsid=True,
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(spec.log_file), log_flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
        )
    except OSError as error:
        raise Unavailable(f"{spec.command[0]} cannot be started: {error}") from error


async def stop(record: Record, first: signal.Signals = signal.SIGTERM) -> None:
    """SIGTERM, then SIGKILL, after a gentler signal if one is given. One that is gone already is fine; a stranger that
    got its pid is left alone."""
    for number in dict.fromkeys((first, signal.SIGTERM, signal.SIGKILL)):
        if not is_alive(record):
            return
        with suppress(ProcessLookupError):
            os.kill(record["pid"], number)
        end = monotonic() + STOP_SECONDS_MAX
        while is_alive(record) and monotonic() < end:
            await asyncio.sleep(POLL_SECONDS)


def read_record(path: Path) -> Record | None:
    """None: no helper was started, or its record is torn: then it does not answer to us either."""
    try:
        record: Record = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return record


def is_alive(record: Record) -> bool:
    """A zombie is not: if it is our child it is laid to rest here."""
    reap(record["pid"])
    return start_time(record["pid"]) == record["started"]


def start_time(pid: int) -> str:
    """'' if there is no such process, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def code_version(package: Path) -> str:
    """A digest of a package's source: a helper that runs other code than the agent's is replaced."""
    digest = sha256()
    for path in sorted(package.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _log_tail(path: Path, said_before: int) -> str:
    """What was written after the first `said_before` bytes."""
    try:
        told = path.read_bytes()[said_before:][-LOG_TAIL_BYTES:]
    except FileNotFoundError:
        told = b""
    return told.decode(errors="replace").strip() or "it said nothing"


@contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """None: it is gone already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
