"""Whether a container that ended is started again."""

from typing import Any, NamedTuple

import pytest

from agent.pods.restarting import restarts
from agent.pods.status import report
from agent.runtime.protocol import Phase
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, INIT, NOW, SIDECAR, a_state, with_states

OTHER = {"name": "other", "image": "shop:1"}


class Case(NamedTuple):
    pod: str
    own: str | None
    exit_code: int
    again: bool
    rules: list[dict[str, Any]] = []  # noqa: RUF012 # Never changed.


def rule(operator: str, *values: int) -> list[dict[str, Any]]:
    return [{"action": "Restart", "exitCodes": {"operator": operator, "values": list(values)}}]


SPEC = {
    "Always: after a success": Case("Always", None, 0, True),
    "OnFailure: not after a success": Case("OnFailure", None, 0, False),
    "OnFailure: after a failure": Case("OnFailure", None, 1, True),
    "Never: not after a failure": Case("Never", None, 1, False),
    "its own policy comes before its pod's": Case("Always", "Never", 1, False),
    "and the other way round": Case("Never", "Always", 0, True),
    "its own OnFailure": Case("Never", "OnFailure", 0, False),
    "a rule that matches restarts it": Case("Never", "Never", 42, True, rule("In", 42, 43)),
    "one that does not leaves it to the policy": Case("Always", "Never", 1, False, rule("In", 42)),
    "NotIn matches all others": Case("Never", "Never", 1, True, rule("NotIn", 0, 42)),
    "NotIn does not match its own": Case("Never", "Never", 42, False, rule("NotIn", 42)),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_an_app_container(case: Case) -> None:
    own = {**APP, **({"restartPolicy": case.own} if case.own else {})}
    pod = a_pod(containers=[{**own, "restartPolicyRules": case.rules}], restartPolicy=case.pod)

    assert restarts(pod, pod["spec"]["containers"][0], case.exit_code) is case.again


@pytest.mark.parametrize(
    ("container", "exit_code", "again"),
    [
        (INIT, 0, False),
        (INIT, 1, True),
        ({**INIT, "restartPolicy": "Never"}, 1, False),
        ({**INIT, "restartPolicy": "OnFailure"}, 0, False),
        (SIDECAR, 0, True),
        (SIDECAR, 1, True),
    ],
)
def test_an_init_container_of_a_pod_that_always_restarts(
    container: dict[str, Any], exit_code: int, again: bool
) -> None:
    pod = a_pod(initContainers=[container], containers=[APP])

    assert restarts(pod, pod["spec"]["initContainers"][0], exit_code) is again


def test_a_pod_fails_when_one_of_its_init_containers_may_not_be_tried_again() -> None:
    pod = a_pod(initContainers=[{**INIT, "restartPolicy": "Never"}], containers=[APP])

    assert report(pod, with_states(a_state("init", Phase.EXITED, exit_code=1)), NOW)["phase"] == "Failed"


def test_a_pod_ends_when_no_container_is_started_again_though_its_policy_is_always() -> None:
    pod = a_pod(containers=[{**APP, "restartPolicy": "Never"}, {**OTHER, "restartPolicy": "OnFailure"}])
    ended, failed = a_state(phase=Phase.EXITED), a_state(phase=Phase.EXITED, exit_code=1)
    other = a_state("other", Phase.EXITED)

    assert report(pod, with_states(ended, a_state("other")), NOW)["phase"] == "Running"
    assert report(pod, with_states(ended, other), NOW)["phase"] == "Succeeded"
    assert report(pod, with_states(failed, other), NOW)["phase"] == "Failed"
