"""Which of the engine's events make an agent ask it."""

import pytest

from agent.pods.observed import Action, EnsureVolumes, Remove, Run, Stop, TearDown, is_news
from agent.runtime.protocol import SANDBOX, Phase
from tests.unit.agent.pods.states import a_state

APP = a_state("app")
BOX = a_state(SANDBOX)
ENDED = a_state("app", Phase.EXITED, attempt=7)

EVENTS: dict[str, tuple[str, tuple[Action, ...], bool]] = {
    "one that ran has ended": (APP.id, (), True),
    "one that ran has ended while something else goes on": (APP.id, (EnsureVolumes(),), True),
    "one that we are stopping": (APP.id, (Stop("app", APP.id, 5, "why"),), False),
    "one beside that which we are stopping": (BOX.id, (Stop("app", APP.id, 5, "why"),), True),
    "one that we are removing": (APP.id, (Remove(APP.id),), False),
    "the sandbox of what we take down": (BOX.id, (TearDown(),), False),
    "an app in a sandbox that we take down": (APP.id, (TearDown(),), True),
    "one that is known to have ended": (ENDED.id, (), False),
    "one that we have removed": ("gone", (), False),
    "one that is just being made": ("new", (Run("app", 1, 0),), True),
}


@pytest.mark.parametrize(("container_id", "busy", "is_one"), EVENTS.values(), ids=EVENTS.keys())
def test_what_we_do_ourselves_is_no_news(container_id: str, busy: tuple[Action, ...], is_one: bool) -> None:
    assert is_news(container_id, (APP, BOX, ENDED), busy) is is_one
