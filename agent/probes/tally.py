"""When the results of a probe count: thresholds, and how long to wait for the next one. Pure.

Source: kubernetes/pkg/kubelet/prober/worker.go.
"""

from typing import Final, NamedTuple

from gitops.kinds.core.pod import Probe

EAGER_FIRST_SECONDS: Final = 0.1


class Outcome(NamedTuple):
    """One probe. `message`: the first words of what came back, for people."""

    ok: bool
    message: str = ""


class Tally(NamedTuple):
    """`holds`: what the results mean so far; None until a threshold was reached once."""

    holds: bool | None = None
    successes: int = 0  # In a row.
    failures: int = 0
    eager: int = 0  # Probes made ahead of time, before the first success.


def counted(tally: Tally, probe: Probe, outcome: Outcome) -> Tally:
    """The tally after one more result."""
    if outcome.ok:
        successes = tally.successes + 1
        return Tally(
            True if successes >= probe["successThreshold"] else tally.holds, successes, 0, tally.eager
        )
    failures = tally.failures + 1
    return Tally(False if failures >= probe["failureThreshold"] else tally.holds, 0, failures, tally.eager)


def eager_delay_seconds(tally: Tally, probe: Probe) -> float | None:
    """Before its first success a container is asked more often than its period says, so that it is found ready soon.

    0.1 s, doubled, while that is shorter than the period; None: the ordinary period. Such failures do not count.
    """
    delay = EAGER_FIRST_SECONDS * 2.0**tally.eager
    return delay if tally.holds is None and tally.successes == 0 and delay < probe["periodSeconds"] else None
