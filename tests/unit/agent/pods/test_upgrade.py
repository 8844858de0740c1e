"""An upgrade that adds a default to pods restarts nothing, and neither does one that takes a default away."""

from typing import Any, cast

import pytest

from agent.pods.machine import step
from gitops.kinds.core.pod import Pod
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, NOW, SIDECAR, a_state, with_states

POD = a_pod(initContainers=[SIDECAR], containers=[APP])
RUNS = with_states(a_state(), a_state("side"))


def newer(pod: Pod) -> Pod:
    """As a version that knows more would have defaulted it."""
    spec: Any = pod["spec"]
    grown = {
        group: [{**one, "madeUp": {"by": "default"}} for one in spec[group]]
        for group in ("initContainers", "containers")
    }
    return cast(Pod, {**pod, "spec": {**spec, **grown, "madeUpPolicy": "Always"}})


@pytest.mark.parametrize("pod", [POD, newer(POD)], ids=["as it was made", "with made-up defaults"])
def test_what_runs_is_left_alone(pod: Pod) -> None:
    known = step(POD, RUNS, NOW).status
    assert known is not None

    actions = step({**pod, "status": known}, RUNS, NOW)

    assert actions.do == ()
    assert actions.status == known
