"""What the agent asks of a container engine, in our words: a dozen verbs, a Docker driver, a fake. One contract suite.

Each call may be repeated: twice is once. Each raises `Unavailable` if the engine does not answer in time, never an
exception of its library. What runs is matched by pod UID and container name, read back from labels: the agent keeps
no state of its own that matters.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from agent.runtime.progress import PullProgress

PIDS_MAX: Final = 4096  # Processes and threads of a container, where nobody says otherwise.
SANDBOX: Final = "POD"  # The container name of a pod's sandbox, as dockershim named it.

# The stable names of what runs: `gitward down` finds its containers by them, even without the data directory.
LABEL_CLUSTER: Final = "io.gitward.cluster"
LABEL_POD_UID: Final = "io.gitward.pod-uid"
LABEL_POD_NAME: Final = "io.gitward.pod-name"
LABEL_POD_NAMESPACE: Final = "io.gitward.pod-namespace"
LABEL_CONTAINER: Final = "io.gitward.container"
LABEL_ATTEMPT: Final = "io.gitward.attempt"
LABEL_IMAGE: Final = "io.gitward.image"  # As the manifest names it: the engine may answer an id.
LABEL_SANDBOX: Final = "io.gitward.sandbox"  # The sandbox that a container was made for.
LABEL_BACK_OFF: Final = "io.gitward.back-off-seconds"  # How long to wait when this attempt ends.
LABEL_HOST_PORTS: Final = "io.gitward.host-ports"  # On a sandbox: ports of the node that lead to the pod.
LABEL_ADDRESS: Final = "io.gitward.address"  # On a sandbox: the pod's address.
LABEL_RUNTIME: Final = (
    "io.gitward.runtime"  # On a sandbox: the engine's runtime, if it is not its default one.
)
LABEL_SPARE: Final = (
    "io.gitward.spare"  # On a sandbox that was made before its pod was known: what tells it apart.
)


class Phase(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Mount(NamedTuple):
    """A bind mount: a path of the host at a path in the container.

    `options` not empty: a volume of the engine's `local` driver instead, which mounts by them and goes with it.
    """

    source: str
    target: str
    read_only: bool = False
    propagation: str = ""  # rslave or rshared; '': private.
    recursive: bool = False  # Read-only with every mount beneath it, or not at all.
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Zero: not set. Memory limits never allow swap."""

    memory_bytes: int = 0
    cpu_nano: int = 0
    cpu_shares: int = 2
    pids_max: int = PIDS_MAX
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What of its limits can change while a container runs. Zero: not set."""

    memory_bytes: int
    cpu_nano: int
    cpu_shares: int


@dataclass(frozen=True, slots=True)
class Security:
    user: str = ""  # "uid:gid", "uid" or '': the image's.
    groups: tuple[str, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    seccomp: str = ""  # '': the engine's default; `unconfined`; or a profile's JSON text.
    apparmor: str = ""  # '': the engine's default; `unconfined`; or a loaded profile's name.
    unmasked_proc: bool = False


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """The pod's network and IPC namespaces, held by a pause container."""

    pod_uid: str
    pod_name: str
    pod_namespace: str
    hostname: str
    host_network: bool = False
    host_ipc: bool = False
    runtime: str = ""  # Of the engine's runtimes; '': its default. Its containers have the same.
    sysctls: Mapping[str, str] = field(default_factory=dict)
    hosts: str = ""  # /etc/hosts and /etc/resolv.conf of every container of the pod; '': the engine's.
    resolv_conf: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # More labels to carry, such as the address.


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """An app or init container, joined to its pod's sandbox. `attempt` counts its restarts from 0."""

    pod_uid: str
    pod_name: str
    pod_namespace: str
    container: str
    attempt: int
    image: str
    command: tuple[str, ...] = ()  # Replaces ENTRYPOINT and drops the image's CMD.
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    security: Security = Security()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False  # The end of the first attachment's input is the end of the process's.
    host_pid: bool = False
    share_processes: bool = False  # The sandbox's PID namespace instead of one of its own.
    stop_signal: str = ""  # '': the image's.
    processes_of: str = ""  # The id of a container whose PID namespace it joins.
    labels: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""  # Of its pod, for a container whose sandbox was made without knowing it.


class ContainerState(NamedTuple):
    """One of our containers, by its labels. A sandbox has container == SANDBOX."""

    id: str
    pod_uid: str
    pod_name: str
    pod_namespace: str
    container: str
    attempt: int
    phase: Phase
    pid: int  # 0 unless running.
    image: str
    image_id: str
    exit_code: int
    oom_killed: bool
    error: str  # The engine's own words when a start failed.
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    labels: Mapping[str, str]
    capacity: Capacity | None = None  # None: the engine does not say.
    stop_signal: str = ""  # That it states, or its image does; '': SIGTERM.
    is_plain: bool = False  # Its pid is its first process on this host, and SIGTERM is what its stop sends.

    @property
    def sandbox_id(self) -> str:
        """The sandbox that an app or init container was made for."""
        return self.labels.get(LABEL_SANDBOX, "")


class ImageState(NamedTuple):
    """`id` is sha256:…; `user` as in the image's configuration."""

    id: str
    user: str
    digests: tuple[str, ...]
    size_bytes: int = 0


class EngineInfo(NamedTuple):
    name: str  # docker
    version: str
    api_version: str
    operating_system: str
    kernel_version: str
    architecture: str
    cpus: int
    memory_bytes: int
    security: tuple[str, ...] = ()  # As Docker tells: `name=seccomp,profile=default`, `name=apparmor`, …
    root_dir: str = ""  # Where it keeps images and containers.
    default_runtime: str = ""


class ExecResult(NamedTuple):
    exit_code: int
    output: bytes


class Streams(NamedTuple):
    """Which streams of a process are wanted. With `tty` its output is one stream, stdout."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class Session(Protocol):
    """The streams of a process in a container. What is not read keeps the process waiting, as a pipe does."""

    async def read(self) -> tuple[int, bytes] | None:
        """1 or 2 (stdout, stderr) and what came; None: nothing more comes. Raises Unavailable if the engine goes."""
        ...

    async def write(self, data: bytes) -> None:
        """To its stdin; waits while it takes nothing. What comes after its end is dropped."""
        ...

    async def finish(self) -> None:
        """Nothing more comes on stdin."""
        ...

    async def resize(self, width: int, height: int) -> None:
        """Of its terminal. One that has none, or that has ended, is left alone."""
        ...

    async def exit_code(self) -> int | None:
        """Waits for its end. None: not for us to know, since it is the container's own process."""
        ...


class RuntimeEvent(NamedTuple):
    """A hint that a container of this pod changed; the list is the truth."""

    pod_uid: str
    action: str  # start, die, oom, destroy, …
    container_id: str


class Runtime(Protocol):
    async def info(self) -> EngineInfo: ...

    async def has_runtime(self, name: str) -> bool:
        """Whether the engine has a runtime of this name now: one may be registered while it runs."""
        ...

    async def states(self, pod_uid: str = "") -> list[ContainerState]:
        """All containers of this cluster's pods, by label, running or not; of one pod if `pod_uid` is given.
        One filtered list, details of changed ones only."""
        ...

    async def state(self, container_id: str) -> ContainerState | None:
        """This one as it is now; None: there is none. What a caller asks who has just changed it."""
        ...

    async def spares(self) -> list[ContainerState]:
        """The sandboxes that no pod has taken yet, running or not."""
        ...

    async def make_spare(self, key: str, address: str) -> ContainerState:
        """A running sandbox for a pod to come, with its address as a label. `key` tells it apart from the others."""
        ...

    async def ensure_sandbox(self, spec: SandboxSpec, *, spare: str = "") -> ContainerState:
        """Running when it returns. `spare`: the id of a spare one, which becomes this pod's; raises if it cannot."""
        ...

    async def ensure_container(self, spec: ContainerSpec) -> str:
        """Created, not started; the id. An existing container of the same pod, name and attempt is taken as it is.
        Raises NotFound if the image is not there, Invalid if the engine refuses the specification."""
        ...

    async def start(self, container_id: str) -> None: ...

    async def stop(self, container_id: str, *, grace_seconds: float) -> None:
        """SIGTERM (or the container's own, or the image's), then SIGKILL after the grace. Returns when it has ended."""
        ...

    async def resize(self, container_id: str, capacity: Capacity) -> None:
        """Other limits for a container while it runs. Raises Unavailable if the kernel does not take them."""
        ...

    async def remove(self, container_id: str) -> None:
        """Killed if need be; absent is fine."""
        ...

    async def image(self, reference: str) -> ImageState | None:
        """The local image, None if absent."""
        ...

    async def pull(
        self, reference: str, auth: Mapping[str, str] | None, progress: PullProgress | None = None
    ) -> ImageState:
        """`auth`: username and password, or identitytoken, for its registry. `progress`: kept up to date. Raises
        NotFound or Unavailable with the registry's words."""
        ...

    async def remove_image(self, reference: str) -> bool:
        """False: a container uses it, and it stays. Absent is fine."""
        ...

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout_seconds: float
    ) -> ExecResult: ...

    def open_exec(
        self, container_id: str, command: tuple[str, ...], streams: Streams
    ) -> AbstractAsyncContextManager[Session]:
        """Runs a command in a container for as long as the block lasts: what still runs at its end is killed, with
        what it has started. Raises NotFound and Invalid as the engine says it."""
        ...

    def attach(self, container_id: str, streams: Streams) -> AbstractAsyncContextManager[Session]:
        """The streams of a container's own process. `tty` is the container's own, whatever is asked."""
        ...

    def logs(
        self,
        container_id: str,
        *,
        follow: bool,
        tail_lines: int | None,
        since: datetime | None,
        timestamps: bool,
        stream: str = "",
    ) -> AsyncGenerator[bytes, None]:
        """stdout and stderr in order (one of them alone if `stream` names it), in chunks of any size."""
        ...

    def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        """Ends with Unavailable when the engine goes; deaths meanwhile are never replayed: reconnect, then list."""
        ...

    async def close(self) -> None: ...
