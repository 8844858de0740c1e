"""Events are removed an hour after they last said something.

Source: kube-apiserver `--event-ttl`. The age counts from when the store recorded the last change.
"""

from datetime import datetime, timedelta
from typing import Final

from gitops.kinds.core.event import EVENT
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

EVENT_TTL_SECONDS: Final = 3600.0


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Delete an Event that is old enough, or say when it will be."""
    recorded = view.recorded(EVENT, key)
    if recorded is None:
        return NOTHING
    left = EVENT_TTL_SECONDS - (now - recorded) / timedelta(seconds=1)
    return Writes(after_seconds=left) if left > 0 else Writes(delete=(key,))


EVENT_TTL: Final = Controller(
    "event-ttl",
    reconcile,
    (Trigger("", "Event", lambda _, obj: (key_of(obj),)),),
    resync=lambda view: (key_of(one) for one in view.list(EVENT)),
)
