"""The real clock and the real source of ids: made by composition roots, handed to everything else."""

import random
import time
import uuid
from datetime import UTC, datetime
from typing import Final

SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes': no vowels, so no words.
SUFFIX_LENGTH: Final = 5


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class RandomMint:
    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def uid(self) -> str:
        return str(uuid.uuid4())

    def suffix(self) -> str:
        return "".join(self._random.choices(SUFFIX_LETTERS, k=SUFFIX_LENGTH))
