"""How often things go wrong in a run, drawn from its seed: each kind in about half of the runs, none in some of them.

A run without a fault has invariants without an excuse; a run with all of them meets every combination.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

CALM: Final = 0.125  # Runs in which nothing goes wrong.
LATENCY_SECONDS: Final = 0.02  # At most, of a commit, and of a watch that is not late.
ZOMBIE_SECONDS: Final = 40.0  # At most, for which a master goes on that is taken for dead.
RESYNC_SECONDS: Final = 45.0  # What a lost hint would have said is found within this time.


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances are for each time that it might happen; numbers are of the whole run.

    Attributes:
        crash: of the master, before a commit and again after it.
        zombie: a master that is taken for dead goes on for a while.
        epochs: transactions of controllers state their leader's epoch, as in production; else only the fence that each
            transaction has keeps two leaders apart.
        late_seconds: by how much a watch may be late.
        lost_hint, doubled_hint: the view changes, and the runner is not told, or twice.
        refused: a commit that the disk does not take.
        engine: an effect on a node that fails, or that is done and told to have failed.
        acts: what people and other programs do to live objects.
        killed: containers that end by themselves, or with their sandbox.
        agents: crashes of agents.
        silences: nodes that are cut off for a while.
        dead_node: one of them for ever.
    """

    crash: float = 0.0
    zombie: float = 0.0
    epochs: bool = True
    late_seconds: float = 0.0
    lost_hint: float = 0.0
    doubled_hint: float = 0.0
    refused: float = 0.0
    engine: float = 0.0
    acts: int = 0
    killed: int = 0
    agents: int = 0
    silences: int = 0
    dead_node: bool = False

    @property
    def blind_seconds(self) -> float:
        """For how long a controller may act on what is no longer so."""
        lost = RESYNC_SECONDS if self.lost_hint else 0.0
        return 5.0 + 2 * self.late_seconds + 2 * lost + (10.0 if self.refused or self.crash else 0.0)

    @property
    def disputed_seconds(self) -> float:
        """For how long after another master begins there may be two, or one that knows less than the last one."""
        return 5.0 + 2 * self.late_seconds + (ZOMBIE_SECONDS if self.zombie else 0.0)


def drawn(random: Random) -> Faults:
    if random.random() < CALM:
        return Faults()

    def either(value: float) -> float:
        return value if random.random() < 0.5 else 0.0

    return Faults(
        crash=either(0.02),
        zombie=either(0.5),
        epochs=random.random() < 0.5,
        late_seconds=either(random.uniform(0.2, 3.0)),
        lost_hint=either(0.1),
        doubled_hint=either(0.1),
        refused=either(0.03),
        engine=either(0.03),
        acts=int(either(random.randint(3, 12))),
        killed=int(either(random.randint(2, 8))),
        agents=int(either(random.randint(1, 4))),
        silences=int(either(random.randint(1, 3))),
        dead_node=random.random() < 0.15,
    )
