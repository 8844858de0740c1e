"""What to do next for a pod: tables of what is."""

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest

from agent.pods.machine import step
from agent.pods.observed import (
    VOLUMES,
    Action,
    EnsureSandbox,
    EnsureVolumes,
    PodObserved,
    Remove,
    Run,
    Stop,
    TearDown,
    Verdict,
    Withdraw,
)
from agent.runtime.protocol import (
    Phase,
)
from gitops.kinds.core.pod import Pod, PodStatus
from gitops.kinds.objects import timestamp
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import (
    APP,
    INITS,
    NEVER,
    NOW,
    ON_FAILURE,
    ONE,
    SANDBOX_ENDED,
    SANDBOX_RUNS,
    WIRED,
    WITH_SIDECAR,
    a_state,
    failed,
    going,
    with_states,
)


class Case(NamedTuple):
    pod: Pod | None
    observed: PodObserved
    do: tuple[Action, ...]


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


def test_no_probe_runs_before_the_post_start_hook_is_done() -> None:
    assert step(ONE, with_states(a_state(), starting=frozenset({"app"})), NOW).probe == ()
    assert step(ONE, with_states(a_state()), NOW).probe == ("app",)


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
    """It has failed when nothing of it runs any more: whoever makes another one relies on that."""
    pod = a_pod(containers=[APP], activeDeadlineSeconds=60)
    status: PodStatus = {"phase": "Running", "startTime": timestamp(NOW - timedelta(seconds=60))}
    begun: Pod = {**pod, "status": status}

    ending = step(begun, with_states(a_state()), NOW)
    ended = step(begun, with_states(a_state(phase=Phase.EXITED, exit_code=143)), NOW)

    assert ending.do == (Stop("app", "app-0", 5, "Pod has finished"),)
    assert ending.status is not None
    assert (ending.status["phase"], ending.status.get("reason")) == ("Running", None)
    assert ended.do == (TearDown(),)
    assert ended.status is not None
    assert (ended.status["phase"], ended.status["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pod_whose_sidecar_still_runs_is_not_over() -> None:
    pod: Pod = {**WITH_SIDECAR, "spec": {**WITH_SIDECAR["spec"], "restartPolicy": "Never"}}
    running: Pod = {**pod, "status": {"phase": "Running", "startTime": timestamp(NOW)}}
    app, side = a_state(phase=Phase.EXITED), a_state("side")

    ending = step(running, with_states(app, side), NOW)
    ended = step(running, with_states(app, a_state("side", Phase.EXITED)), NOW)

    assert [one.container for one in ending.do if isinstance(one, Stop)] == ["side"]
    assert ending.status is not None
    assert ending.status["phase"] == "Running"
    assert ended.status is not None
    assert ended.status["phase"] == "Succeeded"
