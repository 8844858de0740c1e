"""What git says of a commit, for people: asked of whoever keeps the repository, told by the API."""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from gitops.kinds.gitward import Claim
from gitops.kinds.keys import Key


class CommitFacts(NamedTuple):
    """Text of others: it may hold anything. `time`: the author's, seconds since 1970."""

    author: str
    time: int
    subject: str


FactsOf = Callable[[str, str], Awaitable[CommitFacts | None]]
"""Given a source's name and a commit's full id; None: that commit is not here."""


class StatedCommit(NamedTuple):
    """What a commit states, declared or not. `problems`: lines that start with `file:line:`; an app that has one would
    be held back, and nothing of it is among the claims."""

    commit: str
    claims: Mapping[Key, Claim]
    problems: tuple[str, ...]


StatedAt = Callable[[str, str], Awaitable[StatedCommit]]
"""Given a source's name and what git calls the commit. NotFound: its remote has no such commit."""
