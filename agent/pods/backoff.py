"""When a container that ended may start again: kubelet's rule, read from what was written on the attempt itself.

10 s, doubled up to 5 minutes, forgotten once an attempt ran for 10 minutes; the first restart is immediate.
"""

from datetime import datetime, timedelta
from typing import Final

from agent.runtime.protocol import LABEL_BACK_OFF, ContainerState, Phase

FIRST_SECONDS: Final = 10
MAX_SECONDS: Final = 300
RESET_SECONDS: Final = 600


def back_off_seconds(ended: ContainerState) -> int:
    """How long to wait after this end: what was written on the attempt, unless it ran long enough to be forgiven."""
    if ended.started_at and ended.finished_at:
        ran = ended.finished_at - ended.started_at
        if ran.total_seconds() >= RESET_SECONDS:
            return 0
    return int(ended.labels.get(LABEL_BACK_OFF, "0"))


def next_back_off_seconds(ended: ContainerState) -> int:
    """What to write on the attempt that follows."""
    return min(max(2 * back_off_seconds(ended), FIRST_SECONDS), MAX_SECONDS)


def may_start_at(ended: ContainerState) -> datetime | None:
    """When its next attempt may start. None: at once."""
    delay, since = back_off_seconds(ended), ended.finished_at or ended.created_at
    return since + timedelta(seconds=delay) if delay and since else None


def has_failed(state: ContainerState) -> bool:
    """Whether it ended, and not well."""
    return state.phase is Phase.EXITED and state.exit_code != 0
