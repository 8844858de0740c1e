"""Which attempt of a container a request for its output means."""

import pytest

from agent.logs import choose
from agent.runtime.protocol import ContainerState, Phase
from gitops.client import LogRequest
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import BadRequest
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, ONE, a_state

ENDED = a_state(phase=Phase.EXITED)
AGAIN = a_state(attempt=1)
CREATED = a_state(attempt=2, phase=Phase.CREATED)
WAITING: Pod = {
    **ONE,
    "status": {
        "containerStatuses": [
            {
                "name": "app",
                "image": "shop:1",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": "ErrImagePull"}},
            }
        ]
    },
}


def asked(container: str = "app", *, previous: bool = False) -> LogRequest:
    return LogRequest("shop", "web", "uid-web", container, previous=previous)


@pytest.mark.parametrize(
    ("states", "previous", "attempt"),
    [
        ([ENDED], False, 0),
        ([ENDED, AGAIN], False, 1),
        ([ENDED, AGAIN], True, 0),
        ([ENDED, AGAIN, CREATED], False, 1),
    ],
)
def test_the_newest_that_was_started_or_the_one_before(
    states: list[ContainerState], previous: bool, attempt: int
) -> None:
    assert choose(ONE, states, asked(previous=previous)).attempt == attempt


@pytest.mark.parametrize(
    ("pod", "states", "request_", "message"),
    [
        (a_pod(containers=[APP]), [], asked("none"), "container none is not valid for pod web"),
        (ONE, [AGAIN], asked(previous=True), 'previous terminated container "app" in pod "web" not found'),
        (WAITING, [], asked(), 'container "app" in pod "web" is waiting to start: ErrImagePull'),
    ],
)
def test_what_cannot_be_shown_is_told_in_kubernetes_words(
    pod: Pod, states: list[ContainerState], request_: LogRequest, message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        choose(pod, states, request_)
