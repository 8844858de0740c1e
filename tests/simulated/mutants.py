"""Ten planted mistakes, one at a time, each of which the simulation must find within a bounded number of seeds.

A mutant is a function of ours with one piece of its text replaced; if the text is no longer there, the mutant says so.
`python -m tests.simulated.mutants` runs all of them, `… NAME` one.
"""

import inspect
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import Pool
from typing import Any, Final, NamedTuple

from gitops.simulator import Result, simulate

SEEDS_MAX: Final = 200  # A mutant that lives through so many clusters is not caught.


class Mutant(NamedTuple):
    """`where`: module:function or module:Class.method; `old` stands there exactly once."""

    name: str
    where: str
    old: str
    new: str


MUTANTS: Final = (
    Mutant(
        "the runner's transactions expect nothing of what they were decided from",
        "gitops.runner.transaction:_position",
        'return Position(int(obj["metadata"]["resourceVersion"]))',
        "return None",
    ),
    Mutant(
        "what creates or deletes does not touch the reconciled object",
        "gitops.runner.transaction:_fence",
        "if touch:",
        "if False:",
    ),
    Mutant(
        "a ReplicaSet counts pods that are being deleted",
        "gitops.controllers.families:Families._fact",
        "not going and not ended,",
        "not ended,",
    ),
    Mutant(
        "a Deployment takes all old pods away at once",
        "gitops.controllers.deployment_sizes:limits_of",
        "unavailable if surge or unavailable else 1",
        "replicas",
    ),
    Mutant(
        "the scheduler forgets what a node can take",
        "gitops.scheduler.filters:room_refusal",
        "if amount > has - used.get(resource, 0) - ahead:",
        "if amount > has:",
    ),
    Mutant(
        "an endpoint slice sends to pods that are not ready",
        "gitops.controllers.endpointslice:_endpoint",
        "(member.ready and not member.going)",
        "(not member.going)",
    ),
    Mutant(
        "apply prunes what is held",
        "gitops.controllers.apply:reconcile",
        'if any(claim["state"] == "held" for claim in record["claims"]):',
        "if False:",
    ),
    Mutant(
        "the garbage collector knows owners of the whole cluster only",
        "gitops.controllers.garbage:_may_own",
        'return namespace in ("", dependent["metadata"].get("namespace", ""))',
        'return namespace == ""',
    ),
    Mutant(
        "an agent compares a container's image id with the image's name",
        "agent.pods.machine:_Plan._keep_running",
        'changed = newest.image != container["image"]',
        'changed = newest.image_id != container["image"]',
    ),
    Mutant(
        "a view forgets what was deleted",
        "gitops.view:View.apply",
        "self._tombstones[entry.key] = entry.position",
        "del self._entries[entry.key]",
    ),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mistake is in the code while the block runs, wherever the function was imported to."""
    module_name, _, path = mutant.where.partition(":")
    module = import_module(module_name)
    holder: Any = module
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    original = getattr(holder, name)
    source = textwrap.dedent(inspect.getsource(original))
    assert source.count(mutant.old) == 1, (
        f"{mutant.where} has not exactly one {mutant.old!r}: renew the mutant"
    )
    made: dict[str, Any] = {}
    exec(compile(source.replace(mutant.old, mutant.new), f"<{mutant.name}>", "exec"), vars(module), made)
    before = original.__code__
    original.__code__ = made[name].__code__
    try:
        yield
    finally:
        original.__code__ = before


def caught(mutant: Mutant, seeds_max: int = SEEDS_MAX) -> Result | None:
    """The first run that finds it."""
    with planted(mutant):
        found = (simulate(seed) for seed in range(seeds_max))
        return next((result for result in found if result.failure), None)


def main() -> int:
    chosen = [one for one in MUTANTS if len(sys.argv) < 2 or sys.argv[1] in one.name]
    number = 0
    with Pool(os.cpu_count()) as pool:
        for mutant, result in zip(chosen, pool.imap(caught, chosen, chunksize=1), strict=True):
            number += result is not None
            how = f"seed {result.seed}: {result.failure.splitlines()[-1]}" if result else "NOT CAUGHT"
            print(f"{mutant.name}: {how[:200]}", flush=True)
    print(f"{len(chosen)} mutants, {number} caught")
    return 0 if number == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
