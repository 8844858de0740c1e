"""Wherever a pod has been and whatever went wrong on the way: it runs, has ended, or is gone without a trace."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.pods.machine import step
from agent.pods.observed import (
    Action,
    DeleteFromApi,
    EnsureSandbox,
    EnsureVolumes,
    PodObserved,
    Remove,
    Run,
    Stop,
    TearDown,
    Withdraw,
)
from agent.runtime.protocol import (
    SANDBOX,
    ContainerState,
    Phase,
)
from gitops.kinds.core.pod import Pod, pod_status
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import (
    APP,
    INIT,
    NOW,
    SANDBOX_RUNS,
    SIDECAR,
    a_state,
    going,
)

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
