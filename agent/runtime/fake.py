"""A container engine that is a dict: for tests and for simulated nodes. It keeps the promises of `protocol.py`.

Time is an injected clock. A container obeys the labels `simulated.gitward.io/…` that its pod's annotations become:
`run-for` (seconds until it ends), `exit-code`, `start-after` (seconds until it runs), `fail-pull`. `ready-after` is the
prober's. With a journal what runs survives the process, as an engine's containers survive the agent.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import orjson

from agent.runtime.fake_programs import Program, running
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import (
    LABEL_ADDRESS,
    LABEL_IMAGE,
    LABEL_SANDBOX,
    LABEL_SPARE,
    SANDBOX,
    Capacity,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    ImageState,
    Phase,
    RuntimeEvent,
    SandboxSpec,
    Session,
    Streams,
)
from gitops.kinds.errors import Invalid, NotFound, Unavailable
from gitops.kinds.objects import micro_timestamp, moment_of

PREFIX: Final = "simulated.gitward.io/"
RUN_FOR: Final = PREFIX + "run-for"
EXIT_CODE: Final = PREFIX + "exit-code"
START_AFTER: Final = PREFIX + "start-after"
READY_AFTER: Final = PREFIX + "ready-after"
FAIL_PULL: Final = PREFIX + "fail-pull"
KILLED_EXIT_CODE: Final = 137
TERMINATED_EXIT_CODE: Final = 143
PID_FIRST: Final = 1000
TIMES: Final = ("created_at", "started_at", "ends_at")


@dataclass(frozen=True, slots=True)
class FakeContainer:
    """What was asked for, and what became of it. `ends_at`: when it ends by itself, with `exit_code`."""

    id: str
    pod_uid: str
    pod_name: str
    pod_namespace: str
    container: str
    attempt: int
    image: str
    labels: Mapping[str, str]
    created_at: datetime
    started_at: datetime | None = None
    ends_at: datetime | None = None
    exit_code: int = 0
    capacity: Capacity | None = None

    def state(self, now: datetime) -> ContainerState:
        """As an engine would tell it at this time."""
        ended = self.ends_at is not None and self.ends_at <= now
        started = self.started_at is not None and self.started_at <= now
        phase = Phase.EXITED if ended else Phase.RUNNING if started else Phase.CREATED
        return ContainerState(
            id=self.id,
            pod_uid=self.pod_uid,
            pod_name=self.pod_name,
            pod_namespace=self.pod_namespace,
            container=self.container,
            attempt=self.attempt,
            phase=phase,
            pid=PID_FIRST if phase is Phase.RUNNING else 0,
            image=self.image,
            image_id=image_id(self.image),
            exit_code=self.exit_code if ended else 0,
            oom_killed=False,
            error="",
            created_at=self.created_at,
            started_at=self.started_at if started or ended else None,
            finished_at=self.ends_at if ended else None,
            labels=self.labels,
            capacity=self.capacity,
        )


def image_id(reference: str) -> str:
    """A made-up id, the same for the same name."""
    return f"sha256:{reference.encode().hex():0<64.64}"


@dataclass(eq=False)
class FakeRuntime:
    """`down = True`: every call raises Unavailable. `images` None: every image is there; `runtimes` None: every
    runtime is.

    Attributes:
        clock, sleep: UTC, and waiting for it to go on.
        journal: where what runs is written, one line for each change; None: nowhere.
    """

    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    journal: Path | None = None
    images: set[str] | None = None
    runtimes: set[str] | None = None
    down: bool = False
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    output: dict[str, bytes] = field(default_factory=dict)  # By container id: what `logs` gives.
    exec_results: dict[str, ExecResult] = field(
        default_factory=dict
    )  # By container name: what `exec` answers.
    programs: dict[str, Program] = field(default_factory=dict)  # By name of command; attached: of container.
    _events: list[asyncio.Queue[RuntimeEvent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.journal is not None and self.journal.exists():
            self._load(self.journal)

    async def info(self) -> EngineInfo:
        self._answer()
        return EngineInfo("simulated", "1.0", "1.41", "Gitward simulation", "0", "amd64", 8, 32 << 30)

    async def has_runtime(self, name: str) -> bool:
        self._answer()
        return self.runtimes is None or name in self.runtimes

    async def states(self, pod_uid: str = "") -> list[ContainerState]:
        self._answer()
        now = self.clock()
        mine = (one for one in self.containers.values() if one.pod_uid and pod_uid in ("", one.pod_uid))
        return [one.state(now) for one in mine]

    async def state(self, container_id: str) -> ContainerState | None:
        self._answer()
        found = self.containers.get(container_id)
        return found.state(self.clock()) if found is not None else None

    async def spares(self) -> list[ContainerState]:
        self._answer()
        return [one.state(self.clock()) for one in self.containers.values() if not one.pod_uid]

    async def make_spare(self, key: str, address: str) -> ContainerState:
        self._answer()
        labels, now = {LABEL_ADDRESS: address, LABEL_SPARE: key}, self.clock()
        made = FakeContainer(
            f"spare-{key}", "", "", "", SANDBOX, 0, "pause", labels, created_at=now, started_at=now
        )
        self._write(made)
        return made.state(now)

    async def ensure_sandbox(self, spec: SandboxSpec, *, spare: str = "") -> ContainerState:
        self._answer()
        if spare:
            whose = {name: getattr(spec, name) for name in ("pod_uid", "pod_name", "pod_namespace")}
            taken = replace(self._find(spare), **whose)
            self._write(taken)
            return taken.state(self.clock())
        made = FakeContainer(
            f"{spec.pod_uid}-{SANDBOX}",
            spec.pod_uid,
            spec.pod_name,
            spec.pod_namespace,
            SANDBOX,
            0,
            "pause",
            dict(spec.labels),
            created_at=self.clock(),
            started_at=self.clock(),
        )
        known = self._sandbox_of(spec.pod_uid)
        if known is None or known.state(self.clock()).phase is not Phase.RUNNING:
            self._write(made)
            known = made
        return known.state(self.clock())

    async def ensure_container(self, spec: ContainerSpec) -> str:
        self._answer()
        container_id = f"{spec.pod_uid}-{spec.container}-{spec.attempt}"
        if container_id in self.containers:
            return container_id
        if await self.image(spec.image) is None or spec.labels.get(FAIL_PULL) == "true":
            raise NotFound(f"No such image: {spec.image}")
        sandbox = self._sandbox_of(spec.pod_uid)
        if sandbox is None:
            raise Invalid(f"container {spec.container}: its sandbox is not there")
        labels, limits = {**spec.labels, LABEL_IMAGE: spec.image, LABEL_SANDBOX: sandbox.id}, spec.limits
        self._write(
            FakeContainer(
                container_id,
                spec.pod_uid,
                spec.pod_name,
                spec.pod_namespace,
                spec.container,
                spec.attempt,
                spec.image,
                labels,
                created_at=self.clock(),
                capacity=Capacity(limits.memory_bytes, limits.cpu_nano, limits.cpu_shares),
            )
        )
        return container_id

    async def start(self, container_id: str) -> None:
        self._answer()
        made = self._find(container_id)
        if made.started_at is not None:
            return
        if START_AFTER in made.labels:
            await self.sleep(_seconds(made.labels, START_AFTER).total_seconds())
        started = self.clock()
        ends = started + _seconds(made.labels, RUN_FOR) if RUN_FOR in made.labels else None
        exit_code = int(made.labels.get(EXIT_CODE, "0"))
        self._write(replace(made, started_at=started, ends_at=ends, exit_code=exit_code))

    async def stop(self, container_id: str, *, grace_seconds: float) -> None:
        """Obeyed at once."""
        self._answer()
        self._end(self._find(container_id), TERMINATED_EXIT_CODE if grace_seconds > 0 else KILLED_EXIT_CODE)

    def kill(self, container_id: str, exit_code: int = KILLED_EXIT_CODE) -> None:
        """As if the process ended by itself: for tests."""
        self._end(self._find(container_id), exit_code)

    async def resize(self, container_id: str, capacity: Capacity) -> None:
        self._answer()
        self._write(replace(self._find(container_id), capacity=capacity))

    async def remove(self, container_id: str) -> None:
        self._answer()
        if self.containers.pop(container_id, None) is not None:
            self._note(orjson.dumps({"id": container_id}) + b"\n")

    async def image(self, reference: str) -> ImageState | None:
        self._answer()
        here = self.images is None or reference in self.images
        return ImageState(image_id(reference), "", ()) if here else None

    async def pull(
        self, reference: str, auth: Mapping[str, str] | None, progress: PullProgress | None = None
    ) -> ImageState:
        self._answer()
        found = await self.image(reference)
        if found is None:
            raise NotFound(f"manifest for {reference} not found: manifest unknown")
        return found

    async def remove_image(self, reference: str) -> bool:
        self._answer()
        if any(one.image == reference for one in self.containers.values()):
            return False
        if self.images is not None:
            self.images.discard(reference)
        return True

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout_seconds: float
    ) -> ExecResult:
        self._answer()
        if self._find(container_id).state(self.clock()).phase is not Phase.RUNNING:
            raise NotFound(f"container {container_id} is not running")
        return self.exec_results.get(self._find(container_id).container, ExecResult(0, b""))

    @asynccontextmanager
    async def open_exec(
        self, container_id: str, command: tuple[str, ...], streams: Streams
    ) -> AsyncIterator[Session]:
        self._answer()
        self._find(container_id)
        if command[0] not in self.programs:
            raise Invalid(f'exec: "{command[0]}": a simulated container runs no programs')
        async with running(self.programs[command[0]], command, streams) as session:
            yield session

    @asynccontextmanager
    async def attach(self, container_id: str, streams: Streams) -> AsyncIterator[Session]:
        self._answer()
        program = self.programs.get(self._find(container_id).container)
        if program is None:
            raise Invalid("a simulated container runs no programs: there is nothing to attach to")
        async with running(program, (), streams, own=True) as session:
            yield session

    async def logs(
        self,
        container_id: str,
        *,
        follow: bool,
        tail_lines: int | None,
        since: datetime | None,
        timestamps: bool,
        stream: str = "",
    ) -> AsyncGenerator[bytes, None]:
        self._answer()
        self._find(container_id)
        lines = self.output.get(container_id, b"").splitlines(keepends=True)
        for line in lines if tail_lines is None else lines[len(lines) - min(tail_lines, len(lines)) :]:
            yield line

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        self._answer()
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._events.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._events.remove(queue)

    async def close(self) -> None:
        """Nothing is held."""

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the simulated engine is down")

    def _sandbox_of(self, pod_uid: str) -> FakeContainer | None:
        ours = (one for one in self.containers.values() if one.pod_uid == pod_uid)
        return next((one for one in ours if one.container == SANDBOX), None)

    def _find(self, container_id: str) -> FakeContainer:
        try:
            return self.containers[container_id]
        except KeyError:
            raise NotFound(f"No such container: {container_id}") from None

    def _end(self, made: FakeContainer, exit_code: int) -> None:
        now = self.clock()
        if made.state(now).phase is not Phase.RUNNING:
            return
        self._write(replace(made, ends_at=now, exit_code=exit_code))
        for queue in self._events:
            queue.put_nowait(RuntimeEvent(made.pod_uid, "die", made.id))

    def _write(self, made: FakeContainer) -> None:
        self.containers[made.id] = made
        self._note(_line(made))

    def _note(self, line: bytes) -> None:
        if self.journal is not None:
            with self.journal.open("ab") as file:
                file.write(line)

    def _load(self, journal: Path) -> None:
        """Of each container the last line counts; one without a pod says that it was removed. A torn one is dropped."""
        for line in journal.read_bytes().splitlines():
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            self.containers.pop(entry["id"], None)
            if "pod_uid" in entry:
                times = {name: entry[name] and moment_of(entry[name]) for name in TIMES}
                limits = entry.get("capacity") and Capacity(**entry["capacity"])
                self.containers[entry["id"]] = FakeContainer(**{**entry, **times, "capacity": limits})
        fresh = journal.with_suffix(".new")
        fresh.write_bytes(b"".join(_line(made) for made in self.containers.values()))
        fresh.replace(journal)


def _line(made: FakeContainer) -> bytes:
    times = {name: getattr(made, name) for name in TIMES}
    rest = {name: getattr(made, name) for name in FakeContainer.__slots__ if name not in times}
    written = {name: at and micro_timestamp(at) for name, at in times.items()}
    return orjson.dumps({**rest, **written}) + b"\n"


def _seconds(labels: Mapping[str, str], name: str) -> timedelta:
    return timedelta(seconds=float(labels.get(name, "0")))
