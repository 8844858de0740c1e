"""`python -m gitops.simulator --seeds N --from K`: N clusters on all cores. `SEED=K`: one of them, line by line."""

import os
import sys
from argparse import ArgumentParser
from multiprocessing import Pool
from typing import Final

from gitops.simulator.run import simulate

CHUNK: Final = 5  # Seeds that a process takes at once.
PROGRESS: Final = 100  # Seeds between two lines.


def main() -> int:
    parser = ArgumentParser(prog="python -m gitops.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many clusters")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if seed := os.environ.get("SEED"):
        return _replay(int(seed))
    failed, seconds = 0, 0.0
    with Pool(asked.processes) as pool:
        seeds = range(asked.first, asked.first + asked.seeds)
        for done, result in enumerate(pool.imap(simulate, seeds, chunksize=CHUNK), start=1):
            seconds += result.seconds
            if result.failure:
                failed += 1
                print(f"seed {result.seed}: {result.failure}\n  replay: make simulate SEED={result.seed}")
            if done % PROGRESS == 0:
                print(f"{done} seeds, {failed} failed", flush=True)
    print(f"{asked.seeds} seeds, {seconds / 60:.0f} simulated minutes, {failed} failed")
    return 1 if failed else 0


def _replay(seed: int) -> int:
    result = simulate(seed, print)
    print(f"1 seed, {result.transactions} transactions, digest {result.digest}")
    print(result.failure or "nothing is broken")
    return 1 if result.failure else 0


if __name__ == "__main__":
    sys.exit(main())
