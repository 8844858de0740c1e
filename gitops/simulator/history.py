"""What happened: a digest that tells two histories apart, and the last lines of it for people."""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import orjson

from gitops.store.contract import Batch, Change, Txn

LINES_MAX: Final = 60  # Kept for the report of a failure; a replay prints every line.
DIGEST_BYTES: Final = 16


class Broken(Exception):  # As the project's other errors, without a suffix.
    """An invariant does not hold; the message says which, and where it was seen."""


class History:
    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        """`tell` gets every line."""
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._tell = tell
        self.lines: deque[str] = deque(maxlen=LINES_MAX)
        self.transactions = 0

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def committed(self, seconds: float, txn: Txn, batch: Batch) -> None:
        """A transaction that changed something."""
        self.transactions += 1
        for change in batch.changes:
            self._digest.update(f"{seconds:.6f} {txn.actor} {change.position} {change.key.text}".encode())
            self._digest.update(orjson.dumps(change.after, default=repr))
        what = ", ".join(_sign(change) for change in batch.changes)
        self.note(seconds, f"r{batch.revision} {txn.actor} ({txn.cause}): {what}")

    def note(self, seconds: float, text: str) -> None:
        """What happened outside the store."""
        line = f"{seconds:9.3f} {text}"
        self._digest.update(line.encode())
        self.lines.append(line)
        if self._tell is not None:
            self._tell(line)


def _sign(change: Change) -> str:
    before, after = change.before, change.after
    if before is None or after is None:
        return f"{'+' if before is None else '-'}{change.key}"
    going = "deletionTimestamp" in after["metadata"] and "deletionTimestamp" not in before["metadata"]
    return f"{'x' if going else '~'}{change.key}"
