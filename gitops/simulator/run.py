"""One seed: a cluster is made, disturbed, left alone, and judged."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import format_exception
from typing import Final

from gitops.simulator import disturbances, settled
from gitops.simulator.cluster import Cluster
from gitops.simulator.disturbances import ACTIVE_SECONDS
from gitops.simulator.faults import LATENCY_SECONDS
from gitops.simulator.history import Broken, History

SETTLE_SECONDS: Final = (
    190.0  # Resync, back-offs, leases and evictions after the last fault: all of it takes less.
)
QUIET_SECONDS: Final = 60.0
LOGGERS: Final = (
    "gitops.runner.runner",
    "gitops.store.feed",
)  # Where our own bugs are logged, and passed over.


@dataclass(frozen=True, slots=True)
class Result:
    """`failure`: which invariant does not hold; '' if all do. `lines`: the last ones before it."""

    seed: int
    seconds: float  # Of virtual time.
    transactions: int
    digest: str
    failure: str
    lines: tuple[str, ...]


def simulate(seed: int, tell: Callable[[str], None] | None = None) -> Result:
    """`tell` gets each line of the history as it happens."""
    history = History(tell)
    cluster: Cluster | None = None
    failure = ""
    try:
        with _bugs_raised():
            cluster = Cluster(seed, history)
            history.note(0.0, f"{cluster.faults}")
            disturbances.plan(cluster)
            cluster.agenda.run(ACTIVE_SECONDS)
            cluster.calm()
            cluster.agenda.run(ACTIVE_SECONDS + SETTLE_SECONDS)
            quiet_from = len(cluster.batches)
            cluster.agenda.run(ACTIVE_SECONDS + SETTLE_SECONDS + QUIET_SECONDS)
            while cluster.master.cursor < len(cluster.batches):  # What came last is still on its way.
                cluster.agenda.run(cluster.agenda.seconds + LATENCY_SECONDS)
            settled.check(cluster, quiet_from)
    except Broken as broken:
        failure = str(broken)
    except Exception as error:  # noqa: BLE001 # The top of a run: a bug in one seed must not stop the others.
        failure = "".join(format_exception(error))
    seconds = cluster.agenda.seconds if cluster is not None else 0.0
    return Result(seed, seconds, history.transactions, history.digest, failure, tuple(history.lines))


class _Raising(logging.Handler):
    """A controller that raises what it should not is logged and passed over in production; here it is a failure."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            text = "".join(format_exception(record.exc_info[1])[-3:])
            raise Broken(f"{record.getMessage()}: {record.__dict__.get('fields')}: {text}")


@contextmanager
def _bugs_raised() -> Iterator[None]:
    handler = _Raising(logging.ERROR)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.addHandler(handler)
        one.setLevel(logging.ERROR)
        one.propagate = False
    try:
        yield
    finally:
        for one, (level, propagate) in zip(loggers, before, strict=True):
            one.removeHandler(handler)
            one.setLevel(level)
            one.propagate = propagate
