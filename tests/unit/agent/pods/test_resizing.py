"""In-place resize: other limits while a container runs, or by its restart, or not at all."""

from dataclasses import replace
from typing import Any

import pytest

from agent.pods.machine import step
from agent.pods.observed import RESIZE, Action, PodObserved, Resize, Run, Stop
from agent.pods.status import report
from agent.runtime.protocol import Capacity, Phase
from gitops.kinds.core.pod import Pod
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, NOW, a_state, failed, with_states

SMALL = Capacity(memory_bytes=64 << 20, cpu_nano=0, cpu_shares=102)
LARGE = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
LARGE_CAPACITY = Capacity(memory_bytes=128 << 20, cpu_nano=0, cpu_shares=204)
BY_RESTART = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
OTHER_BY_RESTART = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]


def large(**container: Any) -> Pod:
    return a_pod(containers=[{**APP, "resources": LARGE, **container}])


def running(**fields: Any) -> PodObserved:
    return with_states(a_state()._replace(capacity=SMALL), **fields)


@pytest.mark.parametrize(
    ("pod", "observed", "do"),
    [
        (large(), running(), (Resize("app", "app-0", LARGE_CAPACITY),)),
        (large(), with_states(a_state()._replace(capacity=LARGE_CAPACITY)), ()),
        (large(), with_states(a_state()), ()),
        (large(), running(trouble={RESIZE: failed("ResizeError", 1)}), ()),
        (
            large(resizePolicy=BY_RESTART),
            running(),
            (Stop("app", "app-0", 5, "Container app definition changed"),),
        ),
        (large(resizePolicy=OTHER_BY_RESTART), running(), (Resize("app", "app-0", LARGE_CAPACITY),)),
        (large(), running(allocatable={"cpu": "100m"}), ()),
        (large(resizePolicy=BY_RESTART), running(allocatable={"memory": "1Mi"}), ()),
        (large(), running(allocatable={"cpu": "1"}, others={"cpu": 900}), ()),
        (
            large(),
            running(allocatable={"cpu": "1"}, others={"cpu": 800}),
            (Resize("app", "app-0", LARGE_CAPACITY),),
        ),
    ],
    ids=[
        "in place",
        "done",
        "an engine that does not say",
        "not again at once after a failure",
        "by a restart",
        "what is changed by a restart does not differ",
        "more than the node has",
        "more than the node has, by a restart",
        "more than others leave",
        "all that others leave",
    ],
)
def test_step(pod: Pod, observed: PodObserved, do: tuple[Action, ...]) -> None:
    assert step(pod, observed, NOW).do == do


def test_a_container_that_was_stopped_for_it_starts_at_once_with_the_new_limits() -> None:
    ended = a_state(phase=Phase.EXITED, attempt=1, back_off=300)._replace(capacity=SMALL)

    assert step(large(resizePolicy=BY_RESTART), with_states(ended), NOW).do == (Run("app", 2, 300),)


def test_the_status_tells_what_a_container_has_until_it_has_more() -> None:
    small = a_pod(
        containers=[{**APP, "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}}]
    )
    before = report(small, running(), NOW)
    asked: Pod = {**large(), "status": before}

    during = report(asked, running(), NOW)
    after = report({**asked, "status": during}, with_states(a_state()._replace(capacity=LARGE_CAPACITY)), NOW)

    assert before["containerStatuses"][0]["resources"]["limits"] == {"memory": "64Mi"}
    assert during["containerStatuses"][0]["resources"]["limits"] == {"memory": "64Mi"}
    assert conditions(during) == {"PodResizeInProgress": ""}
    assert after["containerStatuses"][0]["resources"] == LARGE
    assert after["containerStatuses"][0]["allocatedResources"] == LARGE["requests"]
    assert conditions(after) == {}


def test_why_a_resize_is_not_done_is_told() -> None:
    failing = report(large(), running(trouble={RESIZE: failed("ResizeError", 1)}), NOW)
    too_large = report(large(), replace(running(), allocatable={"cpu": "100m"}), NOW)

    assert conditions(failing) == {"PodResizeInProgress": "words"}
    assert conditions(too_large) == {
        "PodResizePending": "Node didn't have enough capacity: cpu, requested: 200, capacity: 100"
    }


def conditions(status: Any) -> dict[str, str]:
    return {
        one["type"]: one.get("message", "")
        for one in status["conditions"]
        if one["type"].startswith("PodResize")
    }


def test_a_resize_that_waits_for_others_says_so_and_is_looked_at_again() -> None:
    actions = step(large(), running(allocatable={"cpu": "1"}, others={"cpu": 900}), NOW)

    assert actions.status is not None
    pending = next(one for one in actions.status["conditions"] if one["type"] == "PodResizePending")
    assert (pending["status"], pending.get("reason"), pending.get("message")) == (
        "True",
        "Deferred",
        "Node didn't have enough resource: cpu, requested: 200, used: 900, capacity: 1000",
    )
    assert actions.wake_at is not None
