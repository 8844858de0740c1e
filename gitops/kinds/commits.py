"""What git says of a commit, for people: asked of whoever keeps the repository, told by the API."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple


class CommitFacts(NamedTuple):
    """Text of others: it may hold anything. `time`: the author's, seconds since 1970."""

    author: str
    time: int
    subject: str


FactsOf = Callable[[str, str], Awaitable[CommitFacts | None]]
"""Given a source's name and a commit's full id; None: that commit is not here."""
