"""What the machine is told of a pod, and what it answers: values only, so that a step is a pure function."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from agent.pods.rejection import Rejection
from agent.runtime.protocol import SANDBOX, Capacity, ContainerState, Phase
from gitops.kinds.core.pod import PodStatus

VOLUMES: Final = "VOLUMES"  # No container's name: those are lower case.
RESIZE: Final = "RESIZE"


class Trouble(NamedTuple):
    """Why something could not be done: a container, by its name; SANDBOX: also the network; VOLUMES."""

    reason: str  # ErrImagePull, CreateContainerConfigError, FailedCreatePodSandBox, …
    message: str
    at: datetime
    failures: int  # In a row, from 1.


class Verdict(NamedTuple):
    """What the probes of one container say. Belongs to one start of it, by id."""

    container_id: str
    started: bool
    ready: bool
    unhealthy: str = (
        ""  # Not empty: it failed its liveness or startup probe and shall be stopped; the reason.
    )
    grace_seconds: int | None = None  # The failed probe's own grace period.


@dataclass(frozen=True, slots=True)
class PodObserved:
    """What is, as far as the agent can see.

    Attributes:
        containers: those of this pod, sandbox included, dead ones too.
        address: where its network is attached; '' until then.
        wired: whether it is attached, as far as known: a sandbox that was made anew may not be yet.
        node_address: the node's own, shown as hostIP and given to pods on the host's network.
        volumes_ready: mounted and filled.
        trouble, verdicts: by container name.
        withdrawn: its address is out of the node's proxies, or never was in them.
        starting: containers that an attempt is being made of right now, its postStart hook included.
        messages: by container id, what those that ended have left as their last words.
        allocatable: what the node has for pods; empty: not known.
        evicted: why the node ends it, '' if it does not; how much time it gives it.
        rejected: why the node did not take it; None: it did.
        unsafe_sysctls: those that pods may set beside the safe ones.
        others: what the node's other pods take.
        offline: the API did not take the last report; nothing waits for it then.
    """

    containers: tuple[ContainerState, ...] = ()
    address: str = ""
    wired: bool = True
    node_address: str = ""
    volumes_ready: bool = False
    trouble: Mapping[str, Trouble] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    withdrawn: bool = False
    starting: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    evicted: str = ""
    evicted_grace_seconds: float = 0
    rejected: Rejection | None = None
    unsafe_sysctls: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    offline: bool = False

    @property
    def sandbox(self) -> ContainerState | None:
        return next((state for state in self.containers if state.container == SANDBOX), None)

    def history(self, container: str) -> tuple[ContainerState, ...]:
        """The attempts of one container, newest first."""
        ours = (state for state in self.containers if state.container == container)
        return tuple(sorted(ours, key=lambda state: state.attempt, reverse=True))

    def newest(self, container: str) -> ContainerState | None:
        return next(iter(self.history(container)), None)

    def runs(self, state: ContainerState) -> bool:
        """Whether it counts as running: Kubernetes says so only when its postStart hook is done."""
        return state.phase is Phase.RUNNING and state.container not in self.starting

    @property
    def running(self) -> tuple[ContainerState, ...]:
        """App and init containers that run."""
        return tuple(s for s in self.containers if s.container != SANDBOX and s.phase is Phase.RUNNING)


class EnsureSandbox(NamedTuple):
    """A running sandbox with its network attached."""


class EnsureVolumes(NamedTuple):
    """Every volume of the pod mounted and filled."""


class Run(NamedTuple):
    """Pull if need be, create and start one attempt of a container."""

    container: str
    attempt: int
    back_off_seconds: int  # To be remembered on it: how long to wait when it ends.


class Stop(NamedTuple):
    container: str
    container_id: str
    grace_seconds: float
    why: str


class Resize(NamedTuple):
    """Give a running container the limits that its specification asks for now."""

    container: str
    container_id: str
    capacity: Capacity


class Remove(NamedTuple):
    container_id: str


class Withdraw(NamedTuple):
    """Take the address out of the node's proxies; done when no open flow uses it, or after a short bound."""

    address: str


class TearDown(NamedTuple):
    """Sandbox removed, network detached, volumes unmounted and removed: only dead containers are left of the pod."""


class DeleteFromApi(NamedTuple):
    """The last word about a pod: grace 0, with its uid as precondition."""


Action = EnsureSandbox | EnsureVolumes | Run | Stop | Resize | Remove | Withdraw | TearDown | DeleteFromApi


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do next. All may go on at once; each may be given again while it goes on.

    Attributes:
        probe: the containers whose probes shall run now.
        status: what the API shall say; None: nothing (the object is gone).
        wake_at: when to look again though nothing happened.
        gives_up: what is being started shall not go on: the pod ends.
    """

    do: tuple[Action, ...] = ()
    probe: tuple[str, ...] = ()
    status: PodStatus | None = None
    wake_at: datetime | None = None
    gives_up: bool = False


def place_of(action: Action) -> object:
    """Actions of the same place exclude each other."""
    match action:
        case Run() | Stop() | Resize():
            return action.container
        case Remove():
            return action.container_id
        case _:
            return type(action)


def subject_of(action: Action) -> str:
    """Under which name its failure is noted."""
    match action:
        case Run():
            return action.container
        case EnsureVolumes():
            return VOLUMES
        case Resize():
            return RESIZE
        case EnsureSandbox():
            return SANDBOX
        case _:
            return type(action).__name__


def is_news(container_id: str, known: Iterable[ContainerState], busy: Iterable[Action]) -> bool:
    """Whether an event about this container is one: not of what is known to be over, nor of an end that an action of
    ours brings about, which will tell what has become of it. What is being made is not known yet."""
    going_on = tuple(busy)
    if any(isinstance(action, Run | EnsureSandbox) for action in going_on):
        return True
    state = next((state for state in known if state.id == container_id), None)
    if state is None or state.phase is Phase.EXITED:
        return False
    return not any(_ends(action, state) for action in going_on)


def _ends(action: Action, state: ContainerState) -> bool:
    match action:
        case Stop() | Remove():
            return action.container_id == state.id
        case TearDown():
            return state.container == SANDBOX
        case _:
            return False


def overrides(action: Action, running: Action) -> bool:
    """A shorter grace wins, and whoever is to stop does not wait for the end of its postStart hook."""
    if not isinstance(action, Stop):
        return False
    return isinstance(running, Run | Resize) or (
        isinstance(running, Stop) and action.grace_seconds < running.grace_seconds
    )
