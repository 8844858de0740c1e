"""What the API is told of a pod."""

from datetime import timedelta

from agent.pods.observed import PodObserved, Verdict
from agent.pods.status import report
from agent.runtime.protocol import Phase
from gitops.kinds.core.pod import ContainerStatus, Pod
from gitops.kinds.objects import Condition
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import (
    APP,
    INIT,
    INITS,
    NEVER,
    NOW,
    ONE,
    a_state,
    failed,
    going,
    with_states,
)


def state_of(pod: Pod, observed: PodObserved, container: int = 0) -> ContainerStatus:
    return report(pod, observed, NOW)["containerStatuses"][container]


def test_conditions_are_in_kubernetes_order_and_keep_their_times() -> None:
    first = report(ONE, with_states(a_state()), NOW)
    second = report({**ONE, "status": first}, with_states(a_state()), NOW + timedelta(hours=1))

    assert [one["type"] for one in first["conditions"]] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    assert second == first


def test_conditions_of_others_are_kept() -> None:
    gate: Condition = {
        "type": "example.org/gate",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }

    status = report({**ONE, "status": {"conditions": [gate]}}, with_states(a_state()), NOW)

    assert status["conditions"][-1] == gate


def test_waiting_init_containers_make_the_others_wait_for_initialisation() -> None:
    status = report(INITS, with_states(a_state("init")), NOW)

    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert status["conditions"][1]["message"] == "containers with incomplete status: [init]"
    assert status["conditions"][2]["message"] == "containers with unready status: [app]"


def test_a_pod_is_pending_until_every_container_was_started_once() -> None:
    pod = a_pod(containers=[APP, {"name": "other", "image": "shop:1"}])

    assert report(pod, with_states(a_state()), NOW)["phase"] == "Pending"
    assert report(pod, with_states(a_state(), a_state("other")), NOW)["phase"] == "Running"


def test_an_init_container_that_failed_for_good_fails_the_pod() -> None:
    pod = a_pod(initContainers=[INIT], containers=[APP], restartPolicy="Never")

    status = report(pod, with_states(a_state("init", Phase.EXITED, exit_code=2)), NOW)

    assert status["phase"] == "Failed"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 2


def test_probes_decide_of_ready_and_started() -> None:
    pod = a_pod(containers=[{**APP, "readinessProbe": {"tcpSocket": {"port": 1}}}])
    unknown = state_of(pod, with_states(a_state()))
    ready = state_of(pod, with_states(a_state(), verdicts={"app": Verdict("app-0", True, True)}))

    assert (unknown["started"], unknown["ready"]) == (True, False)
    assert (ready["started"], ready["ready"]) == (True, True)


def test_a_restarted_agent_believes_what_was_reported_of_the_same_start() -> None:
    pod = a_pod(containers=[{**APP, "readinessProbe": {"tcpSocket": {"port": 1}}}])
    before = report(pod, with_states(a_state(), verdicts={"app": Verdict("app-0", True, True)}), NOW)
    known: Pod = {**pod, "status": before}

    assert state_of(known, with_states(a_state()))["ready"]
    assert not state_of(known, with_states(a_state(attempt=1)))["ready"]


def test_a_failed_pull_is_shown_as_such_then_as_backing_off() -> None:
    now = state_of(ONE, with_states(trouble={"app": failed("ErrImagePull", 0)}))
    later = state_of(ONE, with_states(trouble={"app": failed("ErrImagePull", 3)}))

    assert now["state"]["waiting"] == {"reason": "ErrImagePull", "message": "words"}
    assert later["state"]["waiting"] == {
        "reason": "ImagePullBackOff",
        "message": 'Back-off pulling image "shop:1": ErrImagePull: words',
    }


def test_how_a_container_ended_is_told() -> None:
    killed = a_state(phase=Phase.EXITED, exit_code=137, back_off=10)._replace(oom_killed=True)
    unstarted = a_state(phase=Phase.EXITED, exit_code=127)._replace(started_at=None, error="no such file")
    never = a_pod(containers=[APP], restartPolicy="Never")

    assert state_of(never, with_states(killed))["state"]["terminated"]["reason"] == "OOMKilled"
    assert state_of(never, with_states(unstarted))["state"]["terminated"]["reason"] == "StartError"
    assert state_of(never, with_states(unstarted))["state"]["terminated"]["message"] == "no such file"
    assert state_of(ONE, with_states(killed))["state"]["waiting"]["reason"] == "CrashLoopBackOff"


def test_a_container_does_not_run_until_its_post_start_hook_is_done() -> None:
    hooked = with_states(a_state(), starting=frozenset({"app"}))

    assert state_of(ONE, hooked)["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert (state_of(ONE, hooked)["ready"], state_of(ONE, hooked)["started"]) == (False, False)
    assert report(ONE, hooked, NOW)["phase"] == "Pending"
    assert "running" in state_of(ONE, with_states(a_state()))["state"]


def test_the_last_words_of_a_container_stay_though_their_file_is_gone() -> None:
    ended = a_state(phase=Phase.EXITED, exit_code=1)

    first = report(NEVER, with_states(ended, messages={"app-0": "no money"}), NOW)
    assert first["containerStatuses"][0]["state"]["terminated"]["message"] == "no money"

    again = report({**NEVER, "status": first}, with_states(ended, messages={"app-0": ""}), NOW)
    assert again == first


def test_the_words_of_all_containers_of_a_pod_share_twelve_kibibytes() -> None:
    six = [{"name": f"c{number}", "image": "shop:1"} for number in range(6)]
    ended = [a_state(one["name"], Phase.EXITED) for one in six]
    pod = a_pod(containers=six, restartPolicy="Never")

    status = report(pod, with_states(*ended, messages={one.id: "ä" * 2_000 for one in ended}), NOW)

    lengths = [len(one["state"]["terminated"]["message"]) for one in status["containerStatuses"]]
    assert lengths == [1_024] * 6


def test_a_terminal_phase_is_final() -> None:
    done: Pod = {**a_pod(containers=[APP], restartPolicy="Never"), "status": {"phase": "Succeeded"}}

    assert report(done, with_states(a_state()), NOW)["phase"] == "Succeeded"


def test_a_stopped_pod_has_succeeded_or_failed_by_its_exit_codes() -> None:
    good = with_states(a_state(phase=Phase.EXITED))
    bad = with_states(a_state(phase=Phase.EXITED, exit_code=137))

    assert report(going(ONE), good, NOW)["phase"] == "Succeeded"
    assert report(going(ONE), bad, NOW)["phase"] == "Failed"


def gates(status: str | None) -> tuple[Condition, Condition]:
    """Ready and ContainersReady of a pod that has one gate."""
    pod = a_pod(containers=[APP], readinessGates=[{"conditionType": "example.org/lb"}])
    gate: Condition = {"type": "example.org/lb", "status": "True"}
    told: Pod = (
        {**pod, "status": {"conditions": [{**gate, "status": "True" if status == "True" else "False"}]}}
        if status
        else pod
    )
    ready, containers = report(told, with_states(a_state()), NOW)["conditions"][2:4]
    return ready, containers


def test_a_readiness_gate_keeps_a_pod_unready_until_somebody_opens_it() -> None:
    absent, containers = gates(None)
    assert (absent["status"], absent["reason"]) == ("False", "ReadinessGatesNotReady")
    assert absent["message"] == (
        'corresponding condition of pod readiness gate "example.org/lb" does not exist.'
    )
    assert containers["status"] == "True"
    shut, _ = gates("False")
    assert shut["message"] == ('the status of pod readiness gate "example.org/lb" is not "True", but False')
    assert gates("True")[0]["status"] == "True"
