"""Whole clusters in virtual time with seeded faults; `make simulate` runs a thousand of them."""

import os
import subprocess
import sys
from typing import Final

import pytest

from gitops.simulator import simulate
from tests.simulated.mutants import MUTANTS, Mutant, caught

SEEDS: Final = 50
SEED: Final = 5  # With crashes, late watches and two leaders.
QUICK: Final = (
    "apply prunes what is held",
    "an agent compares a container's image id with the image's name",
)


def test_whatever_goes_wrong_the_invariants_hold_and_everything_settles() -> None:
    broken = {seed: result.failure for seed in range(SEEDS) if (result := simulate(seed)).failure}

    assert broken == {}


def test_the_same_seed_gives_the_same_history_whatever_the_hash_seed() -> None:
    program = f"from gitops.simulator import simulate; print(simulate({SEED}).digest)"

    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert digests == {f"{simulate(SEED).digest}\n"}


def test_another_seed_gives_another_history() -> None:
    assert simulate(SEED).digest != simulate(SEED + 1).digest


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.name in QUICK], ids=lambda one: one.name)
def test_a_planted_mistake_is_found(mutant: Mutant) -> None:
    assert caught(mutant, seeds_max=30) is not None


def test_a_planted_mistake_is_gone_afterwards() -> None:
    caught(MUTANTS[0], seeds_max=1)

    assert simulate(SEED).failure == ""
