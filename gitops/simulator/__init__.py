"""A whole cluster in virtual time: real controllers, scheduler, apply and pods' state machine, and seeded faults.

`python -m gitops.simulator --seeds N --from K` runs N clusters; `SEED=K` replays one with its trace. One heap of
(time, order, action) drives everything, without asyncio: every interleaving is a choice of the seed, and the same seed
gives the same history. Invariants are checked in every commit, and at the end everything must have settled.
May import all of gitops but api and cli, and of the agent its pure parts and the fake runtime.

Reading order: `run.py` (one seed), `cluster.py` (who is in it), `master.py`, `node.py`, `follower.py` (late watches),
`repository.py` (what git says), `disturbances.py` (what goes wrong), `faults.py` (how often), `invariants.py` and
`sizes.py` (what must hold in every commit), `settled.py` (what must hold in the end), `agenda.py` (time and chance),
`history.py`.
"""

from gitops.simulator.history import Broken
from gitops.simulator.run import Result, simulate

__all__ = ["Broken", "Result", "simulate"]
