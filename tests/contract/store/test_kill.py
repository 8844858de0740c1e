"""A writer killed by SIGKILL a hundred times: every transaction that it was told of is found whole afterwards."""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from gitops.kinds.core.pod import POD
from gitops.store import Txn
from tests.contract.store.stores import a_pod, open_sqlite, txn

ROUNDS: Final = 100
WRITERS: Final = 8
PODS_EACH: Final = 3  # Each transaction writes so many pods, with its number in each.
LIFE_SECONDS: Final = (0.02, 0.25)


def test_every_acknowledged_transaction_survives_a_hundred_kills(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: dict[int, int] = {}  # Writer -> the newest number it was told of.
    for _ in range(ROUNDS):
        acknowledged.update(one_life(tmp_path, chance.uniform(*LIFE_SECONDS)))
        check(asyncio.run(found(tmp_path)), acknowledged)

    assert len(acknowledged) == WRITERS
    assert sum(acknowledged.values()) > ROUNDS


def check(held: dict[int, list[int]], acknowledged: dict[int, int]) -> None:
    """Whole: all pods of a writer bear one number. Not lost: it is no older than what was acknowledged."""
    for writer, numbers in held.items():
        assert len(numbers) == PODS_EACH
        assert len(set(numbers)) == 1
        assert numbers[0] >= acknowledged.get(writer, 0)
    assert acknowledged.keys() <= held.keys()


def one_life(directory: Path, seconds: float) -> dict[int, int]:
    """Fork a writer, kill it, and return what it had been told before. No thread runs when it is forked."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            asyncio.run(write_for_ever(directory, writing))
        os._exit(1)
    os.close(writing)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().split(b"\n")[:-1]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer failed before it was killed"
    return {int(writer): int(number) for writer, number in (line.split() for line in lines)}


async def write_for_ever(directory: Path, acknowledgements: int) -> None:
    store = await open_sqlite(directory)
    start: int = store.view().revision

    def transaction(writer: int, number: int) -> Txn:
        return txn(*(a_pod(f"w{writer}-{pod}", number=number) for pod in range(PODS_EACH)))

    async def write(writer: int) -> None:
        number = start
        while True:
            number += 1
            await store.commit(transaction(writer, number))
            os.write(acknowledgements, f"{writer} {number}\n".encode())

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))


async def found(directory: Path) -> dict[int, list[int]]:
    store = await open_sqlite(directory)
    numbers: dict[int, list[int]] = {}
    for pod in store.view().list(POD):
        writer = int(pod["metadata"]["name"][1:].partition("-")[0])
        numbers.setdefault(writer, []).append(pod["spec"]["number"])  # type: ignore[typeddict-item] # Our own field.
    await store.close()
    return numbers
