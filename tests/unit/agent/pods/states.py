"""Pods and containers in any state, for the tests of the machine and of what it reports."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.pods.observed import (
    PodObserved,
    Trouble,
)
from agent.runtime.protocol import (
    LABEL_BACK_OFF,
    LABEL_IMAGE,
    LABEL_SANDBOX,
    SANDBOX,
    ContainerState,
    Phase,
)
from gitops.kinds.core.pod import Pod, PodStatus
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


ONE = a_pod(containers=[APP])
INITS = a_pod(initContainers=[INIT], containers=[APP])
NEVER = a_pod(containers=[APP], restartPolicy="Never")
ON_FAILURE = a_pod(containers=[APP], restartPolicy="OnFailure")
WITH_SIDECAR = a_pod(initContainers=[SIDECAR], containers=[APP])
