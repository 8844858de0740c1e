"""What to do next for a pod: tables of what is, and a property about where every pod ends."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pods.machine import step
from agent.pods.observed import (
    VOLUMES,
    Action,
    DeleteFromApi,
    EnsureSandbox,
    EnsureVolumes,
    PodObserved,
    Remove,
    Run,
    Stop,
    TearDown,
    Trouble,
    Verdict,
    Withdraw,
)
from agent.runtime.protocol import (
    LABEL_BACK_OFF,
    LABEL_IMAGE,
    LABEL_SANDBOX,
    SANDBOX,
    ContainerState,
    Phase,
)
from gitops.kinds.core.pod import Pod, PodStatus, pod_status
from gitops.kinds.objects import timestamp, with_meta
from tests.agent_world import a_pod

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
APP = {"name": "app", "image": "shop:1"}
INIT = {"name": "init", "image": "shop:1"}
SIDECAR = {"name": "side", "image": "shop:1", "restartPolicy": "Always"}
WIRED = PodObserved(address="10.77.1.2", node_address="192.0.2.1", volumes_ready=True)


def a_state(
    container: str = "app",
    phase: Phase = Phase.RUNNING,
    *,
    attempt: int = 0,
    exit_code: int = 0,
    ran_seconds: float = 1,
    ended_seconds_ago: float = 0,
    back_off: int = 0,
    image: str = "shop:1",
    sandbox: str = "s1",
) -> ContainerState:
    ended = NOW - timedelta(seconds=ended_seconds_ago)
    started = ended - timedelta(seconds=ran_seconds)
    return ContainerState(
        id=f"{container}-{attempt}",
        pod_uid="uid-web",
        pod_name="web",
        pod_namespace="shop",
        container=container,
        attempt=attempt,
        phase=phase,
        pid=0,
        image=image,
        image_id="sha256:1",
        exit_code=exit_code,
        oom_killed=False,
        error="",
        created_at=started,
        started_at=None if phase is Phase.CREATED else started,
        finished_at=ended if phase is Phase.EXITED else None,
        labels={LABEL_BACK_OFF: str(back_off), LABEL_SANDBOX: sandbox, LABEL_IMAGE: image},
    )


SANDBOX_RUNS = a_state(SANDBOX)._replace(id="s1")
SANDBOX_ENDED = a_state(SANDBOX, Phase.EXITED)._replace(id="s1")


def with_states(*states: ContainerState, **fields: Any) -> PodObserved:
    return replace(WIRED, containers=(SANDBOX_RUNS, *states), **fields)


def going(pod: Pod, grace: int = 5, status: PodStatus | None = None) -> Pod:
    marked = with_meta(pod, deletionTimestamp=timestamp(NOW), deletionGracePeriodSeconds=grace)
    return marked if status is None else {**marked, "status": status}


def failed(reason: str, seconds_ago: float, failures: int = 1) -> Trouble:
    return Trouble(reason, "words", NOW - timedelta(seconds=seconds_ago), failures)


class Case(NamedTuple):
    pod: Pod | None
    observed: PodObserved
    do: tuple[Action, ...]


ONE = a_pod(containers=[APP])
INITS = a_pod(initContainers=[INIT], containers=[APP])
NEVER = a_pod(containers=[APP], restartPolicy="Never")
ON_FAILURE = a_pod(containers=[APP], restartPolicy="OnFailure")
WITH_SIDECAR = a_pod(initContainers=[SIDECAR], containers=[APP])
STOP_APP = Stop("app", "app-0", 5, "Stopping container")

SPEC: dict[str, Case] = {
    "nothing is there: sandbox and volumes at once": Case(
        ONE, PodObserved(), (EnsureSandbox(), EnsureVolumes())
    ),
    "a sandbox without its network is ensured again": Case(
        ONE, PodObserved(containers=(SANDBOX_RUNS,), volumes_ready=True), (EnsureSandbox(),)
    ),
    "volumes that failed just now are not tried again yet": Case(
        ONE, replace(with_states(), volumes_ready=False, trouble={VOLUMES: failed("FailedMount", 1)}), ()
    ),
    "volumes that failed two seconds ago are tried again": Case(
        ONE,
        replace(with_states(), volumes_ready=False, trouble={VOLUMES: failed("FailedMount", 2)}),
        (EnsureVolumes(),),
    ),
    "all is there: the container runs": Case(ONE, with_states(), (Run("app", 0, 0),)),
    "a running container is left alone": Case(ONE, with_states(a_state()), ()),
    "a container that was created and not started is started": Case(
        ONE, with_states(a_state(phase=Phase.CREATED, back_off=10)), (Run("app", 0, 10),)
    ),
    "the first end is followed at once": Case(
        ONE, with_states(a_state(phase=Phase.EXITED)), (Run("app", 1, 10),)
    ),
    "the second end waits 10 seconds": Case(
        ONE, with_states(a_state(phase=Phase.EXITED, attempt=1, back_off=10, ended_seconds_ago=9)), ()
    ),
    "and is then followed, the next wait doubled": Case(
        ONE,
        with_states(a_state(phase=Phase.EXITED, attempt=1, back_off=10, ended_seconds_ago=10)),
        (Run("app", 2, 20),),
    ),
    "the wait is never longer than 5 minutes": Case(
        ONE,
        with_states(a_state(phase=Phase.EXITED, attempt=9, back_off=300, ended_seconds_ago=300)),
        (Run("app", 10, 300),),
    ),
    "an attempt that ran for 10 minutes is forgiven": Case(
        ONE,
        with_states(a_state(phase=Phase.EXITED, attempt=9, back_off=300, ran_seconds=600)),
        (Run("app", 10, 10),),
    ),
    "with OnFailure a success is not repeated": Case(
        ON_FAILURE, with_states(a_state(phase=Phase.EXITED)), (TearDown(),)
    ),
    "with OnFailure a failure is": Case(
        ON_FAILURE, with_states(a_state(phase=Phase.EXITED, exit_code=1)), (Run("app", 1, 10),)
    ),
    "with Never nothing is repeated, and what held the pod goes": Case(
        NEVER, with_states(a_state(phase=Phase.EXITED, exit_code=1)), (TearDown(),)
    ),
    "init containers come first": Case(INITS, with_states(), (Run("init", 0, 0),)),
    "one that runs is waited for": Case(INITS, with_states(a_state("init")), ()),
    "one that succeeded is followed": Case(
        INITS, with_states(a_state("init", Phase.EXITED)), (Run("app", 0, 0),)
    ),
    "one that failed is repeated": Case(
        INITS, with_states(a_state("init", Phase.EXITED, exit_code=1)), (Run("init", 1, 10),)
    ),
    "one of an older sandbox runs again": Case(
        INITS, with_states(a_state("init", Phase.EXITED, sandbox="s0")), (Run("init", 1, 10),)
    ),
    "somebody removed its remains: it had succeeded, since the app was made": Case(
        INITS, with_states(a_state()), ()
    ),
    "a sidecar is started, and the rest when it runs": Case(
        WITH_SIDECAR, with_states(a_state("side")), (Run("app", 0, 0),)
    ),
    "a sidecar that ended is started again beside the running app": Case(
        WITH_SIDECAR, with_states(a_state(), a_state("side", Phase.EXITED)), (Run("side", 1, 10),)
    ),
    "a failed liveness probe stops the container, with the probe's own grace": Case(
        ONE,
        with_states(a_state(), verdicts={"app": Verdict("app-0", True, False, "sick", 3)}),
        (Stop("app", "app-0", 3, "sick"),),
    ),
    "a verdict on an older start is no verdict": Case(
        ONE, with_states(a_state(attempt=1), verdicts={"app": Verdict("app-0", True, False, "sick")}), ()
    ),
    "a changed image stops the container": Case(
        ONE,
        with_states(a_state(image="shop:0")),
        (Stop("app", "app-0", 5, "Container app definition changed"),),
    ),
    "and starts it at once, whatever its back-off": Case(
        ONE,
        with_states(a_state(image="shop:0", phase=Phase.EXITED, back_off=300)),
        (Run("app", 1, 300),),
    ),
    "an image that could not be pulled waits 10 seconds": Case(
        ONE, with_states(trouble={"app": failed("ErrImagePull", 9)}), ()
    ),
    "and 20 after the second failure": Case(
        ONE, with_states(trouble={"app": failed("ErrImagePull", 19, failures=2)}), ()
    ),
    "a missing ConfigMap is asked for again after 2 seconds": Case(
        ONE, with_states(trouble={"app": failed("CreateContainerConfigError", 2)}), (Run("app", 0, 0),)
    ),
    "a dead sandbox: what still runs is stopped first": Case(
        ONE,
        replace(WIRED, containers=(SANDBOX_ENDED, a_state())),
        (Stop("app", "app-0", 5, "Pod sandbox is gone"),),
    ),
    "then it is removed": Case(
        ONE, replace(WIRED, containers=(SANDBOX_ENDED, a_state(phase=Phase.EXITED))), (Remove("s1"),)
    ),
    "of many attempts the last two are kept": Case(
        ONE,
        with_states(a_state(attempt=2), *(a_state(phase=Phase.EXITED, attempt=n) for n in (0, 1))),
        (Remove("app-0"),),
    ),
    "going: first out of the proxies": Case(going(ONE), with_states(a_state()), (Withdraw("10.77.1.2"),)),
    "then stopped": Case(going(ONE), with_states(a_state(), withdrawn=True), (STOP_APP,)),
    "a forced delete still lets a process see SIGTERM": Case(
        going(ONE, grace=0),
        with_states(a_state(), withdrawn=True),
        (Stop("app", "app-0", 1, "Stopping container"),),
    ),
    "going: the app before its sidecar": Case(
        going(WITH_SIDECAR), with_states(a_state(), a_state("side"), withdrawn=True), (STOP_APP,)
    ),
    "the sidecar after the app": Case(
        going(WITH_SIDECAR),
        with_states(a_state(phase=Phase.EXITED), a_state("side"), withdrawn=True),
        (Stop("side", "side-0", 5, "Stopping container"),),
    ),
    "ended: the last words come before the traces go": Case(
        going(ONE), with_states(a_state(phase=Phase.EXITED), withdrawn=True), ()
    ),
    "the API does not answer: the traces go all the same": Case(
        going(ONE),
        with_states(a_state(phase=Phase.EXITED), withdrawn=True, offline=True),
        (Remove("app-0"), TearDown()),
    ),
    "no pod of the API, something runs: it is withdrawn": Case(
        None, with_states(a_state()), (Withdraw("10.77.1.2"),)
    ),
    "no pod of the API: it is stopped": Case(
        None, with_states(a_state(), withdrawn=True), (Stop("app", "app-0", 30, "Stopping container"),)
    ),
    "no pod of the API: its traces go": Case(
        None, with_states(a_state(phase=Phase.EXITED)), (Remove("app-0"), TearDown())
    ),
    "no pod of the API and nothing left: settled": Case(None, PodObserved(), ()),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_step(case: Case) -> None:
    assert step(case.pod, case.observed, NOW).do == case.do


def test_a_pod_that_waits_says_when_to_look_again() -> None:
    ended = a_state(phase=Phase.EXITED, attempt=1, back_off=10, ended_seconds_ago=4)

    assert step(ONE, with_states(ended), NOW).wake_at == NOW + timedelta(seconds=6)


def test_a_ready_pod_that_is_deleted_is_reported_unready_before_anything_else() -> None:
    ready = step(ONE, with_states(a_state()), NOW).status
    assert ready is not None
    assert ready["conditions"][2]["status"] == "True"

    actions = step(going(ONE, status=ready), with_states(a_state()), NOW)

    assert actions.do == ()
    assert actions.status is not None
    assert actions.status["conditions"][2]["status"] == "False"


def test_a_container_that_the_engine_lost_is_made_again_with_a_higher_count() -> None:
    status = step(ONE, with_states(a_state(attempt=3)), NOW).status
    assert status is not None

    actions = step({**ONE, "status": status}, with_states(), NOW)

    assert actions.do == (Run("app", 4, 0),)
    assert actions.status is not None
    assert (
        actions.status["containerStatuses"][0]["lastState"]["terminated"]["reason"]
        == "ContainerStatusUnknown"
    )


def test_a_deadline_ends_the_pod() -> None:
    pod = a_pod(containers=[APP], activeDeadlineSeconds=60)
    begun: Pod = {**pod, "status": {"startTime": timestamp(NOW - timedelta(seconds=60))}}

    actions = step(begun, with_states(a_state()), NOW)

    assert actions.do == (Stop("app", "app-0", 5, "Pod has finished"),)
    assert actions.status is not None
    assert (actions.status["phase"], actions.status["reason"]) == ("Failed", "DeadlineExceeded")


NOTHING_YET = PodObserved(node_address="192.0.2.1")


@dataclass
class World:
    """Carries out actions at once, or loses them: the machine must come to rest all the same."""

    pod: Pod | None
    observed: PodObserved = NOTHING_YET
    now: datetime = NOW
    deleted: bool = False

    def do(self, action: Action) -> None:
        states, seen = self.observed.containers, self.observed
        match action:
            case EnsureSandbox():
                fresh = tuple(state for state in states if state.container != SANDBOX)
                self.observed = replace(seen, containers=(*fresh, SANDBOX_RUNS), address="10.77.1.2")
            case EnsureVolumes():
                self.observed = replace(seen, volumes_ready=True)
            case Run():
                others = tuple(
                    s for s in states if (s.container, s.attempt) != (action.container, action.attempt)
                )
                phase = Phase.EXITED if action.container == "init" else Phase.RUNNING
                made = a_state(
                    action.container, phase, attempt=action.attempt, back_off=action.back_off_seconds
                )
                self.observed = replace(seen, containers=(*others, made))
            case Stop():
                self._change(
                    action.container_id, lambda s: s._replace(phase=Phase.EXITED, finished_at=self.now)
                )
            case Remove():
                self.observed = replace(
                    seen, containers=tuple(s for s in states if s.id != action.container_id)
                )
            case Withdraw():
                self.observed = replace(seen, withdrawn=True)
            case TearDown():
                left = tuple(state for state in states if state.container != SANDBOX)
                self.observed = replace(seen, containers=left, volumes_ready=False, address="")
            case DeleteFromApi():
                self.pod, self.deleted = None, True

    def kill(self, index: int) -> None:
        """One of what runs ends by itself."""
        running = [state for state in self.observed.containers if state.phase is Phase.RUNNING]
        if running:
            self._change(
                running[index % len(running)].id,
                lambda s: s._replace(phase=Phase.EXITED, exit_code=1, finished_at=self.now),
            )

    def _change(self, container_id: str, how: Callable[[ContainerState], ContainerState]) -> None:
        changed = (how(s) if s.id == container_id else s for s in self.observed.containers)
        self.observed = replace(self.observed, containers=tuple(changed))

    def round(self, lost: int = -1) -> int:
        """One step; the action number `lost` gets lost. How much there was to do."""
        actions = step(self.pod, self.observed, self.now)
        for index, action in enumerate(actions.do):
            if index != lost:
                self.do(action)
        if self.pod is not None and actions.status is not None:
            self.pod = {**self.pod, "status": actions.status}
        self.now += timedelta(seconds=30)
        return len(actions.do)


FAULTS = st.lists(st.tuples(st.sampled_from(["lose", "kill"]), st.integers(0, 3)), max_size=12)


@given(faults=FAULTS, policy=st.sampled_from(["Always", "OnFailure", "Never"]))
def test_after_any_faults_a_pod_runs_or_has_ended_and_a_deleted_one_leaves_nothing(
    faults: list[tuple[str, int]], policy: str
) -> None:
    pod = a_pod(initContainers=[INIT, SIDECAR], containers=[APP], restartPolicy=policy)
    world = World(pod)
    for fault, number in faults:
        world.round(number if fault == "lose" else -1)
        if fault == "kill":
            world.kill(number)

    for _ in range(60):
        world.round()
    assert world.pod is not None
    phase = pod_status(world.pod)["phase"]
    assert phase in ("Running", "Succeeded", "Failed")
    assert policy != "Always" or phase == "Running"
    assert world.round() == 0

    world.pod = going(world.pod)
    for _ in range(12):
        world.round()
    assert world.deleted
    assert world.observed.containers == ()
    assert not world.observed.volumes_ready
