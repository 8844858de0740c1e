"""Ephemeral containers: run once beside the others, which do not depend on them."""

from typing import Any

from agent.pods.machine import step
from agent.pods.observed import Run
from agent.pods.status import report
from agent.runtime.protocol import Phase
from gitops.kinds.core.pod import Pod
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, INIT, NOW, a_state, with_states

DEBUGGER = {"name": "debugger", "image": "shop:1"}


def debugged(**spec: Any) -> Pod:
    return a_pod(containers=[APP], ephemeralContainers=[DEBUGGER], **spec)


def test_one_is_run_beside_what_runs() -> None:
    assert step(debugged(), with_states(a_state()), NOW).do == (Run("debugger", 0, 0),)


def test_one_does_not_wait_for_init_containers() -> None:
    actions = step(debugged(initContainers=[INIT]), with_states(a_state("init")), NOW)

    assert actions.do == (Run("debugger", 0, 0),)


def test_one_that_ended_is_not_run_again() -> None:
    ended = a_state("debugger", Phase.EXITED, exit_code=1)

    assert step(debugged(), with_states(a_state(), ended), NOW).do == ()


def test_one_that_somebody_removed_is_not_run_again() -> None:
    pod = debugged()
    ended = report(pod, with_states(a_state(), a_state("debugger", Phase.EXITED)), NOW)

    actions = step({**pod, "status": ended}, with_states(a_state()), NOW)

    assert actions.do == ()
    assert actions.status == ended


def test_the_pod_is_ready_and_ends_without_it() -> None:
    running = report(debugged(), with_states(a_state(), a_state("debugger")), NOW)
    assert running["conditions"][2]["status"] == "True"
    assert [one["name"] for one in running["containerStatuses"]] == ["app"]
    assert [one["name"] for one in running["ephemeralContainerStatuses"]] == ["debugger"]
    assert running["ephemeralContainerStatuses"][0]["ready"] is False
    ended = report(
        debugged(restartPolicy="Never"),
        with_states(a_state(phase=Phase.EXITED), a_state("debugger")),
        NOW,
    )
    assert ended["phase"] == "Succeeded"
